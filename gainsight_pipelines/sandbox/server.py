"""Starts the sandbox: generates the data, serves everything in one event loop, and writes files with the addresses.

Files in the folder: sandbox.json (addresses, no secrets), sandbox.env and its variants (credentials),
gainsight.salesforce.yaml and gainsight.hubspot.yaml (settings for this sandbox), truth.json, ca.pem, ca-bundle.pem,
salesforce-jwt.pem. All 0600.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import orjson
import trustme
import uvicorn
from ruamel.yaml import YAML
from starlette.applications import Starlette

from gainsight_pipelines.sandbox.control import control_app
from gainsight_pipelines.sandbox.edits import Editor
from gainsight_pipelines.sandbox.gainsight import gainsight_app
from gainsight_pipelines.sandbox.generate import Size, generate
from gainsight_pipelines.sandbox.hubspot import hubspot_app
from gainsight_pipelines.sandbox.query import Engine
from gainsight_pipelines.sandbox.salesforce import salesforce_app
from gainsight_pipelines.sandbox.switches import Counters, SandboxSecrets, Switches

SERVICES = ("gainsight", "salesforce", "hubspot", "control")
"""In the order of their ports when a base is given."""
LOOPBACK = "127.0.0.1"
STATE_LASTS = timedelta(hours=12)
"""A start in a folder that was used a short time ago makes the same world at the same ports: a second demo finds
nothing new. Not for longer, since what is within the last 30 days depends on the time."""
PARENT_CHECK_SECONDS = 0.5
STOP_SECONDS = 2.0
CRM_FIELDS = {
    "salesforce": {"arr": "ARR__c", "renewal_date": "Renewal_Date__c"},
    "hubspot": {"arr": "arr", "renewal_date": "renewal_date"},
}
GSID_FIELDS = {"salesforce": "Gainsight_GSID__c", "hubspot": "gainsight_gsid"}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a start."""

    folder: Path
    seed: int
    port_base: int
    size: Size
    now: datetime | None
    switches: dict[str, Any] = field(default_factory=dict)
    host: str = LOOPBACK
    """The address that the three services listen on; beyond the loopback all of them speak TLS. The control endpoint
    stays on the loopback."""

    def host_of(self, service: str) -> str:
        """The address of one service."""
        return LOOPBACK if service == "control" else self.host

    def is_tls(self, service: str) -> bool:
        """Whether a service uses TLS."""
        return service == "salesforce" or self.host_of(service) != LOOPBACK


def run(options: Options) -> None:
    """Serves until SIGTERM, SIGINT or the end of the parent process."""
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Sandbox(options).serve())


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the sandbox."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Sandbox:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._parent = os.getppid()
        former = _former_state(options)
        self._now = options.now or (datetime.fromisoformat(former["now"]) if former else datetime.now(UTC))
        self._sockets = _open_sockets(options, former.get("ports", {}) if former else {})
        self._switches, self._counters, self._secrets = Switches(), Counters(), SandboxSecrets.random()
        self._switches.update(options.switches)
        self._world = generate(options.seed, self._now, options.size)
        self._engine = Engine(self._world, self._switches)
        self._editor = Editor(self._world, self._engine, self._switches, options.seed)
        self._authority = trustme.CA()

    async def serve(self) -> None:
        """Serves all applications; writes sandbox.json when they answer, and removes nothing at the end."""
        servers = {name: self._server(name, app) for name, app in self._apps().items()}
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [
            asyncio.create_task(server.serve(sockets=[self._sockets[name]]), name=name)
            for name, server in servers.items()
        ]
        while not all(server.started for server in servers.values()):
            if any(task.done() for task in tasks):
                raise RuntimeError("a server of the sandbox did not start")
            await asyncio.sleep(0.01)
        sys.stdout.write(json.dumps(self._write_files()) + "\n")
        sys.stdout.flush()
        await self._until_stopped(stop)
        for server in servers.values():
            # Clients keep connections open; without force, the server would wait for them.
            server.should_exit = server.force_exit = True
        _done, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and os.getppid() == self._parent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PARENT_CHECK_SECONDS)

    def _apps(self) -> dict[str, Starlette]:
        world, switches, counters, secrets = self._world, self._switches, self._counters, self._secrets
        return {
            "gainsight": gainsight_app(world, switches, counters, secrets, self._engine, self._editor),
            "salesforce": salesforce_app(world, switches, counters, secrets),
            "hubspot": hubspot_app(world, switches, counters, secrets),
            "control": control_app(world, switches, counters, self._editor),
        }

    def _server(self, name: str, app: Starlette) -> _Server:
        # Gainsight's application sets Date, because a switch changes its clock.
        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            lifespan="off",
            date_header=name != "gainsight",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        config.load()
        if self._options.is_tls(name):
            config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert("localhost", self._options.host).configure_cert(config.ssl)
        return _Server(config)

    # -- files ----------------------------------------------------------------------------------------------------

    def _write_files(self) -> dict[str, Any]:
        folder = self._options.folder.absolute()
        authority = self._authority.cert_pem.bytes()
        _write(folder / "ca.pem", authority)
        _write(folder / "ca-bundle.pem", _machine_authorities() + b"\n" + authority)
        _write(folder / "salesforce-jwt.pem", self._secrets.salesforce_private_key_pem.encode())
        _write(folder / "truth.json", orjson.dumps(self._world.truth))
        ports = {name: self._sockets[name].getsockname()[1] for name in SERVICES}
        urls = {
            name: f"{'https' if self._options.is_tls(name) else 'http'}://{self._options.host_of(name)}:{port}"
            for name, port in ports.items()
        }
        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = False
        writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        for kind in ("salesforce", "hubspot"):
            text = io.StringIO()
            writer.dump(_settings(kind, urls), text)
            content = f"# Settings for the sandbox, made by it.\n{text.getvalue()}"
            _write(folder / f"gainsight.{kind}.yaml", content.encode())
        for name, variables in self._environments(folder, urls).items():
            _write(folder / name, "".join(f"{key}={value}\n" for key, value in variables.items()).encode())
        state: dict[str, Any] = {"urls": urls, "ports": ports, "pid": os.getpid(), "now": self._now.isoformat()}
        state |= {"seed": self._options.seed, "size": asdict(self._options.size), "folder": str(folder)}
        state["files"] = {
            "env": str(folder / "sandbox.env"),
            "env_password": str(folder / "sandbox.password.env"),
            "env_jwt": str(folder / "sandbox.jwt.env"),
            "ca": str(folder / "ca.pem"),
            "ca_bundle": str(folder / "ca-bundle.pem"),
            "truth": str(folder / "truth.json"),
            "settings_salesforce": str(folder / "gainsight.salesforce.yaml"),
            "settings_hubspot": str(folder / "gainsight.hubspot.yaml"),
        }
        _write(folder / "sandbox.json", json.dumps(state, indent=1).encode())
        return state

    def _environments(self, folder: Path, urls: dict[str, str]) -> dict[str, dict[str, str]]:
        """Variables by file: one with the usual logins, and one for each other login of Salesforce and Gainsight."""
        secrets = self._secrets
        shared = {
            "GAINSIGHT_API_KEY": secrets.gainsight_api_key,
            "HUBSPOT_ACCESS_TOKEN": secrets.hubspot_access_token,
            "HUBSPOT_BASE_URL": urls["hubspot"],
            "REQUESTS_CA_BUNDLE": str(folder / "ca-bundle.pem"),
            "SALESFORCE_CA_FILE": str(folder / "ca.pem"),
            "SALESFORCE_INSTANCE_URL": urls["salesforce"],
        }
        client = {"SALESFORCE_CLIENT_ID": secrets.salesforce_client_id}
        login = {"SALESFORCE_LOGIN_URL": urls["salesforce"], "SALESFORCE_USERNAME": secrets.salesforce_username}
        password = {"SALESFORCE_PASSWORD": secrets.salesforce_password}
        password["SALESFORCE_SECURITY_TOKEN"] = secrets.salesforce_security_token
        return {
            "sandbox.env": shared | client | {"SALESFORCE_CLIENT_SECRET": secrets.salesforce_client_secret},
            "sandbox.jwt.env": shared
            | client
            | login
            | {"SALESFORCE_JWT_KEY_FILE": str(folder / "salesforce-jwt.pem")},
            "sandbox.password.env": shared | login | password,
            "sandbox.m2m.env": {
                "GAINSIGHT_CLIENT_ID": secrets.gainsight_m2m_id,
                "GAINSIGHT_CLIENT_SECRET": secrets.gainsight_m2m_secret,
            },
        }


def _former_state(options: Options) -> dict[str, Any] | None:
    """The sandbox.json of a recent start in this folder with the same seed and size."""
    try:
        state: dict[str, Any] = json.loads((options.folder / "sandbox.json").read_bytes())
        is_recent = abs(datetime.now(UTC) - datetime.fromisoformat(state["now"])) < STATE_LASTS
        is_same = (state["seed"], state["size"]) == (options.seed, asdict(options.size))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if is_recent and is_same else None


def _open_sockets(options: Options, former: dict[str, int]) -> dict[str, socket.socket]:
    """Listening sockets: at the base port and above, or at the former ports if they are free, or at any."""
    base, sockets = options.port_base, {}
    for position, name in enumerate(SERVICES):
        wanted = base + position if base else former.get(name, 0)
        host = options.host_of(name)
        try:
            sockets[name] = _listen(host, wanted)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise SystemExit(f"sandbox: {host} is no address of this machine") from None
            if base:
                raise SystemExit(f"sandbox: port {wanted} for {name} is not free") from None
            sockets[name] = _listen(host, 0)
    return sockets


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only if the protocol is given; without it, each response waits 40 ms for an ACK.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    opened.setblocking(False)
    return opened


def _machine_authorities() -> bytes:
    """The certificate authorities that requests trusts on this machine, or those of its configured bundle."""
    for path in (os.environ.get("REQUESTS_CA_BUNDLE"), certifi.where()):
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""


def _settings(kind: str, urls: dict[str, str]) -> dict[str, Any]:
    """Settings that enable everything."""
    company: dict[str, Any] = {"enabled": True}
    if kind == "hubspot":
        company["crm_id_field"] = "HubSpot_Company_ID__gc"
    aggregate = {
        "key": "GsCompanyId",
        "key_kind": "gsid",
        "dimension_field": "Dimension__gc",
        "metric_name_field": "MetricName__gc",
        "metric_value_field": "MetricValue__gc",
        "additional_value_fields": ["SecondaryValue__gc"],
    }
    usage = {"enabled": True, "object": "product_usage__gc", "company_field": "GsCompanyId"}
    return {
        "gainsight": {"base_url": urls["gainsight"]},
        "primary_crm": {"kind": kind, "fields": CRM_FIELDS[kind]},
        "common": {"gsid_field": GSID_FIELDS[kind]},
        "company": company,
        "activity": {"enabled": True, "initial_lookback_days": None},
        "surveys": {
            "enabled": True,
            "mode": "single",
            "objects": [{"object": "survey_response"}],
            "response_limit": 5000,
            "lookback_days": 30,
            "register_custom_fields": True,
        },
        "product_usage": usage | {"observed_at_field": "ObservedDate__gc", "aggregate": aggregate},
        "schedules": {"timezone": "UTC"},
    }


def _write(path: Path, content: bytes) -> None:
    """Writes a file atomically, readable by this user only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
