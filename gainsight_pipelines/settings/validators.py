"""Validators for single values that pydantic's types don't cover. Each raises ValueError with the end of a sentence.

An empty ValueError means "see what the setting takes". Messages never contain parts of an address that may be secret.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from gainsight_pipelines.values import is_loopback

OWNER = r"^(team:[\w.-]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"
"""What Dagster accepts as the owner of an asset; anything else makes it refuse the whole code location."""
SCHEMA_NAME = r"^[A-Za-z_][A-Za-z0-9_$-]{0,62}$"
SCHEMA_WORDS = "a PostgreSQL schema (letters, digits, _, $ and -, at most 63, none of PostgreSQL's own)"
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_ADDRESS = "it takes an address like https://your-tenant.gainsightcloud.com"


def base_url(value: object) -> str:
    """A base URL without a trailing slash: https, or http on a loopback address."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 (pydantic turns ValueError, not TypeError, into an error of the file)
    url, host = _split(value.strip())
    if url.username is not None or url.password is not None:
        raise ValueError(f"holds a user name or password, which never belong in the settings file; {_ADDRESS}")
    if url.query or url.fragment or value.strip()[-1] in "?#":
        raise ValueError(f"has a query (?) or fragment (#); {_ADDRESS}")
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError(f"begins with http://, which is allowed for loopback addresses only; {_ADDRESS}")
    return url._replace(path=url.path.rstrip("/")).geturl()


def ui_url(value: object) -> str:
    """The address of a web page for people, without a trailing slash. The value is never shown."""
    takes = "it takes an address like https://dagster.example.com"
    try:
        url, _ = _split(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"isn't an address; {takes}") from None
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError(f"holds a user name, password, query or fragment; {takes}")
    return url._replace(path=url.path.rstrip("/")).geturl()


def _split(text: str) -> tuple[SplitResult, str]:
    """The parts of an address, and its host, which must look like one."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(f"isn't an address; {_ADDRESS}") from None
    if url.scheme not in {"https", "http"}:
        raise ValueError(f"doesn't begin with https://; {_ADDRESS}")
    is_name = _HOST_NAME.fullmatch(host) or _ip(host) is not None
    if not is_name or port == 0 or not text.isascii() or re.search(r"[\s\\\x00-\x1f]", text):
        raise ValueError(f"has no usable host name; {_ADDRESS}")
    return url, host


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def schema(value: str) -> str:
    """The name of a schema that isn't one of PostgreSQL's own."""
    if value.startswith("pg_") or value == "information_schema":
        raise ValueError
    return value


def timezone(value: str) -> str:
    """The name of a time zone that exists on this machine."""
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError from None
    return value


PLAIN_CRON = re.compile(r"[0-9*,/-]+( [0-9*,/-]+){4}")
"""Expressions that Dagster accepts whenever cronsim does."""


def cron(value: str) -> str:
    """A cron expression that both Dagster and cronsim accept; cronsim finds missed ticks."""
    from cronsim import CronSim

    try:
        CronSim(value, datetime.now(UTC))
        if not PLAIN_CRON.fullmatch(value):
            import dagster as dg  # takes most of a second, so only for unusual expressions

            dg.ScheduleDefinition(name="cron_check", job_name="cron_check", cron_schedule=value)
    except Exception:  # noqa: BLE001 (the vendored croniter has its own errors beside Dagster's)
        raise ValueError from None
    return value
