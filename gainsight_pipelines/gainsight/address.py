"""Checks without credentials whether a base URL leads to Gainsight: the API key must not reach a wrong host.

Without a key, Gainsight refuses the object list with its own JSON error (GS_APIG_2401, seen at live gateways). Other
responses are told apart: a login page, a proxy, another web site or API, a gateway whose service is down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson
import requests
import urllib3.exceptions

from gainsight_pipelines.errors import CredentialsRejected, PermanentError, PipelineError, TransientError
from gainsight_pipelines.gainsight.client import OBJECT_LIST, checked_base_url, network_error, redirected
from gainsight_pipelines.gainsight.errors import IP_CODE, IP_REJECTED, code_of
from gainsight_pipelines.gainsight.responses import looks_like_a_web_page

MOST_BYTES = 256 * 1024
"""How much of a response is read: web pages may be of any size."""

_OWN_CODE = re.compile(r"(GS_APIG|GSOBJ|GU)_\w+")
_LOGIN = re.compile(rb"""type\s*=\s*["']?password|\b(log|sign)[ -]?in\b|single sign-?on""", re.IGNORECASE)
_PROXY = re.compile(
    rb"\b(proxy|squid|zscaler|blue ?coat|forcepoint|fortiguard|netskope|web ?filter|captive portal|blocked by|"
    rb"access (to this (site|page) )?(has been |is )?(denied|blocked)|network policy)\b",
    re.IGNORECASE,
)
_LOGIN_PATH = re.compile(r"log-?in|sign-?in|sso|saml|auth", re.IGNORECASE)
_CHECK = "Set gainsight.base_url to the tenant's own host, like https://your-tenant.gainsightcloud.com."


def check_address(base_url: str, *, connect_timeout: float, read_timeout: float) -> tuple[int, str]:
    """Checks that Gainsight responds at a base URL.

    Args:
        base_url: the setting `gainsight.base_url`.
        connect_timeout: seconds.
        read_timeout: seconds without a byte.

    Returns:
        HTTP status and error code with which the tenant refuses a call without a key.

    Raises:
        SettingsError: not a base URL.
        CredentialsRejected: Gainsight refuses this machine's IP address.
        PipelineError: not Gainsight, or unreachable; says what responds instead, and what to do.
    """
    base = checked_base_url(base_url)
    with requests.Session() as session:
        session.auth = _without
        try:
            with session.get(
                base + OBJECT_LIST, timeout=(connect_timeout, read_timeout), allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(MOST_BYTES, decode_content=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise network_error(error, "address check", base) from None
    return answer.status_code, _judge(answer.status_code, answer.headers, body, base)


def _without(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from reading ``~/.netrc``."""
    return request


def _judge(status: int, headers: Mapping[str, str], body: bytes, base: str) -> str:
    """Gainsight's error code. Raises an error for any other response."""
    host = urlsplit(base).netloc
    if 300 <= status < 400:
        raise _redirect(headers.get("Location", ""), base)
    envelope = _json(body)
    if envelope is not None:
        code = code_of(envelope)
        if code == IP_CODE:
            raise CredentialsRejected(*IP_REJECTED)
        if _OWN_CODE.fullmatch(code) or {"result", "requestId"} <= envelope.keys():
            return code
        raise PermanentError(f"{host} is another service: its JSON isn't Gainsight's.", _CHECK)
    if looks_like_a_web_page(headers.get("Content-Type", ""), body):
        raise _web_page(status, headers, body, host)
    if status >= 500:
        raise _unavailable(status, host)
    raise PermanentError(f"{host} isn't Gainsight's API (HTTP {status}).", _CHECK)


def _web_page(status: int, headers: Mapping[str, str], body: bytes, host: str) -> PipelineError:
    lowered = {name.lower() for name in headers}
    if status in (407, 511) or any(name.startswith(("x-squid", "proxy-")) for name in lowered) or _PROXY.search(body):
        return PermanentError(
            f"A proxy or filter responds in place of {host} (HTTP {status}).",
            "Have the host allowed there, or set HTTPS_PROXY (or NO_PROXY) correctly for this network.",
        )
    if status in (502, 503, 504):
        return _unavailable(status, host)
    if status < 500 and _LOGIN.search(body):
        return PermanentError(
            f"{host} shows a login page instead of Gainsight's API.",
            f"The address is that of a web page, or a login portal is in between. {_CHECK}",
        )
    return PermanentError(f"{host} is a web site, not a Gainsight tenant (HTTP {status}).", _CHECK)


def _unavailable(status: int, host: str) -> PipelineError:
    return TransientError(
        f"A gateway responds for {host}, but Gainsight behind it doesn't (HTTP {status}).",
        "It may be down for maintenance; try again later.",
    )


def _redirect(location: str, base: str) -> PipelineError:
    if _LOGIN_PATH.search(urlsplit(location).path):
        return PermanentError(
            f"{urlsplit(base).netloc} redirects to a login page instead of Gainsight's API.",
            f"The address is that of a web page, or a login portal is in between. {_CHECK}",
        )
    return redirected(location, base)


def _json(body: bytes) -> dict[str, object] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None
