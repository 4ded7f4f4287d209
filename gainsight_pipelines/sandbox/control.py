"""The control endpoint, on its own port: tests read the sandbox's state, set switches and edit data. No secrets.

GET /calls, /truth (?part=accounts or an object's name), /switches, /requests (?last=n), /health
POST /switch {name: value, …}, /reset, /edit (an edit, a list of them, or {"edits": […]}; see edits.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gainsight_pipelines.sandbox.edits import Editor
from gainsight_pipelines.sandbox.switches import Counters, Switches
from gainsight_pipelines.sandbox.world import World


def control_app(world: World, switches: Switches, counters: Counters, editor: Editor) -> Starlette:
    """The control application."""
    control = _Control(world, switches, counters, editor)
    routes = {"/calls": control.calls, "/truth": control.truth, "/switches": control.switches, "/health": _health}
    routes["/requests"] = control.requests
    changes: dict[str, Callable[..., Any]] = {"/switch": control.switch, "/reset": control.reset, "/edit": control.edit}
    return Starlette(
        routes=[Route(path, handler) for path, handler in routes.items()]
        + [Route(path, handler, methods=["POST"]) for path, handler in changes.items()]
    )


class _Control:
    def __init__(self, world: World, switches: Switches, counters: Counters, editor: Editor) -> None:
        self._world = world
        self._switches = switches
        self._counters = counters
        self._editor = editor

    async def calls(self, _request: Request) -> Response:
        """Calls by service, and by service and kind; what tried to write to a CRM."""
        services = {"gainsight": 0, "salesforce": 0, "hubspot": 0}
        totals = services | self._counters.totals
        return _json({"totals": totals, "calls": self._counters.calls, "crm_writes": self._world.crm_writes})

    async def truth(self, request: Request) -> Response:
        """The current truth; truth.json has that of the start."""
        part = request.query_params.get("part")
        if part is None:
            return _json(self._world.truth)
        if part == "accounts":
            return _json(self._world.truth["accounts"])
        return _json(self._world.truth["records"].get(part.lower(), {}))

    async def switches(self, _request: Request) -> Response:
        """All switches with their values."""
        return _json(asdict(self._switches))

    async def requests(self, request: Request) -> Response:
        """The last Gainsight requests, oldest first."""
        last = int(request.query_params.get("last", "200"))
        return _json(list(self._counters.requests)[-last:] if last > 0 else [])

    async def switch(self, request: Request) -> Response:
        """Sets switches."""
        try:
            self._switches.update(orjson.loads(await request.body()))
        except (ValueError, KeyError, AttributeError) as error:
            return _json({"error": str(error)}, 400)
        return await self.switches(request)

    async def reset(self, request: Request) -> Response:
        """Resets switches and counters; edits of the data stay."""
        self._switches.reset()
        self._counters.reset()
        self._world.crm_writes = 0
        return await self.switches(request)

    async def edit(self, request: Request) -> Response:
        """Applies edits, in their order; the first that fails ends it."""
        try:
            body = orjson.loads(await request.body())
            edits = body.get("edits", [body]) if isinstance(body, dict) else body
            return _json({"done": [self._editor.apply(each) for each in edits]})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)


async def _health(_request: Request) -> Response:
    return _json({"ready": True})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
