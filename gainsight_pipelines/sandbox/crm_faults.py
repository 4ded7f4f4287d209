"""What both CRM servers do before they answer: count the call, play the switches. No protocol, no data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from gainsight_pipelines.sandbox.switches import Counters, Switches

Handler = Callable[[Request], Awaitable[Response]]


def guarded(
    handler: Handler,
    *,
    service: str,
    kind: str,
    switches: Switches,
    counters: Counters,
    unavailable: Callable[[], Response],
) -> Handler:
    """A handler that counts the call, waits `crm_delay`, and answers `unavailable` while it is down.

    A call counts when it arrives, answered or not: that is what a client's own counter is compared with.
    """

    async def answer(request: Request) -> Response:
        counters.count(service, kind)
        if switches.crm_delay:
            await asyncio.sleep(switches.crm_delay)
        if switches.is_crm_down():
            return unavailable()
        return await handler(request)

    return answer
