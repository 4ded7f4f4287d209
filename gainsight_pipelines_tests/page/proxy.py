"""A reverse proxy for the settings page: it terminates TLS, strips a path prefix and sets Host to the page's address.

Run it with `python -m gainsight_pipelines_tests.page.proxy CERTIFICATE PORT PAGE_PORT PATH`. It forwards one request
or one WebSocket per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies bytes until the end of the stream."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def passed_on(head: bytes, page: str, path: str) -> bytes:
    """The request line and headers as the page receives them."""
    first, *lines = head.decode("latin-1").split("\r\n")
    is_socket = any(line.lower().startswith("upgrade:") for line in lines)
    kept = [line for line in lines if not line.lower().startswith("host:")]
    if not is_socket:
        kept = ["Connection: close", *(line for line in kept if not line.lower().startswith("connection:"))]
    return "\r\n".join([first.replace(f" {path}/", " /", 1), f"Host: {page}", *kept]).encode("latin-1")


async def main(certificate: str, port: int, page_port: int, path: str) -> None:
    """Serves until the process ends."""
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
