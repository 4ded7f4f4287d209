"""Wraps the handlers of both CRM servers: counts calls and simulates faults. No protocol, no data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gainsight_pipelines.sandbox.switches import Counters, Switches

Handler = Callable[[Request], Awaitable[Response]]

SHOW_ACCOUNTS = {"query", "queryAll", "query_more", "list", "search", "batch_read"}
"""Kinds of calls whose answers hold accounts."""


def guarded(
    handler: Handler,
    *,
    service: str,
    kind: str,
    switches: Switches,
    counters: Counters,
    unavailable: Callable[[], Response],
) -> Handler:
    """A handler that counts the call, waits `crm_delay`, and returns `unavailable` while the CRM is down.

    A call is counted when it arrives, so that tests can compare the number with the client's own counter.
    """

    async def answer(request: Request) -> Response:
        counters.count(service, kind)
        if switches.crm_delay:
            await asyncio.sleep(switches.crm_delay)
        if switches.is_crm_down():
            return unavailable()
        response = await handler(request)
        return _dirty(response) if switches.dirty_text and kind in SHOW_ACCOUNTS else response

    return answer


def _dirty(response: Response) -> Response:
    r"""The response with \u0000 or a lone surrogate appended to the names of every seventh account and its owner."""
    body = json.loads(bytes(response.body))
    rows: list[dict[str, Any]] = (body.get("records") or body.get("results") or []) if isinstance(body, dict) else []
    for number, row in enumerate(rows):
        if number % 7 == 0:
            for named in (row, row.get("properties"), row.get("Owner")):
                _spoil(named, "\x00" if number % 2 else "\ud83d")
    response.body = json.dumps(body).encode()
    response.headers["content-length"] = str(len(response.body))
    return response


def _spoil(named: Any, end: str) -> None:
    for name in ("Name", "name"):
        if isinstance(named, dict) and isinstance(named.get(name), str):
            named[name] += end
