"""A reverse proxy as people put one in front of the page: it ends TLS, takes a path off, and names the page's own host.

A process of its own: `python -m gainsight_pipelines_tests.page.proxy CERTIFICATE PORT PAGE_PORT PATH`. It passes one
request on per connection, or one websocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes until the end."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def passed_on(head: bytes, page: str, path: str) -> bytes:
    """The head of a request as the page gets it."""
    first, *lines = head.decode("latin-1").split("\r\n")
    is_socket = any(line.lower().startswith("upgrade:") for line in lines)
    kept = [line for line in lines if not line.lower().startswith("host:")]
    if not is_socket:
        kept = ["Connection: close", *(line for line in kept if not line.lower().startswith("connection:"))]
    return "\r\n".join([first.replace(f" {path}/", " /", 1), f"Host: {page}", *kept]).encode("latin-1")


async def main(certificate: str, port: int, page_port: int, path: str) -> None:
    """Serves until it is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            page_reader, page_writer = await asyncio.open_connection("127.0.0.1", page_port)
            page_writer.write(passed_on(head, f"127.0.0.1:{page_port}", path))
            await asyncio.gather(pipe(reader, page_writer), pipe(page_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    print("ready", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
