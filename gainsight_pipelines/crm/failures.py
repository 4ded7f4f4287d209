"""Turns failed CRM calls into the package's errors, with messages for people.

The only place that translates the errors of simple-salesforce, requests, hubspot-api-client and urllib3.

::

    no response, DNS, TLS, timeout, 5xx, a page that isn't the API's  GateClosed
    login refused, 401, 403                                           CredentialsRejected
    the daily or momentary API limit                                  RateLimited
    a query that took too long                                        TransientError
    an address or field that cannot be                                SettingsError
    any other refusal                                                 PermanentError

Messages come only from the tables below, the HTTP status and the vendor's error code. A library's own message may quote
a header (with the token), a URL or a record, so it is neither shown nor chained.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import CRMKind
from gainsight_pipelines.errors import (
    CredentialsRejected,
    GateClosed,
    PermanentError,
    PipelineError,
    RateLimited,
    SettingsError,
    TransientError,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)

BLIP_WAITS = (0.5, 2.0)
"""Seconds before the second and third attempt of a call whose response was lost or was a server error."""
BLIP_SECONDS = 5.0
"""A failure that lasts longer is no blip: no further attempt starts later."""
LOST_CALL_WAITS = (5.0, 20.0)
"""Seconds before further attempts of a call that failed in the middle of a read."""

_SECRET_NAMES = {
    "salesforce": "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET (or the JWT key, or the user's password)",
    "hubspot": "HUBSPOT_ACCESS_TOKEN",
}
_ADDRESS_NAMES = {"salesforce": "SALESFORCE_INSTANCE_URL", "hubspot": "HUBSPOT_BASE_URL"}


class QueryForgotten(PermanentError):
    """Salesforce no longer holds the query result whose next page was requested; the reader restarts the query."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The CRM that was called, for messages. `address` is a host, with the port unless it is the default.

    `secret_names`: the variables of the credentials in use, where there are several kinds.
    """

    kind: CRMKind
    address: str
    secret_names: str = ""

    def __str__(self) -> str:
        return f"{'Salesforce' if self.kind == 'salesforce' else 'HubSpot'} ({self.address})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error means: its kind, the predicate of a sentence about the peer, and what to do.

    `is_blip`: it may be over in a second.
    """

    error: type[PipelineError]
    reason: str
    todo: str
    is_blip: bool = False


_WAIT = "Bring it back, or wait until it is, then run again."
_CHECK_ADDRESS = "Check {address_name} and this machine's network, then run again."
_RENEW = "Put valid credentials in {secret_name}, then run again."
_GRANT = "Give the integration's user access to the API and read access to accounts, then run again."
_LATER = "Run again later, or raise the API limit."

TRANSPORT: tuple[tuple[tuple[str, ...], Verdict], ...] = (
    (
        ("NameResolutionError", "gaierror"),
        Verdict(GateClosed, "does not answer: its host name is not known (DNS)", _CHECK_ADDRESS),
    ),
    (
        ("SSLCertVerificationError", "CertificateError"),
        Verdict(
            GateClosed,
            "does not answer: its TLS certificate is not trusted",
            "Check {address_name}, or add the authority to the file in REQUESTS_CA_BUNDLE, then run again.",
        ),
    ),
    (("SSLError",), Verdict(GateClosed, "does not answer: no TLS connection could be made", _CHECK_ADDRESS)),
    (("ProxyError",), Verdict(GateClosed, "does not answer: the proxy refuses", "Check HTTPS_PROXY and NO_PROXY.")),
    (("ConnectionRefusedError",), Verdict(GateClosed, "does not answer: connection refused", _CHECK_ADDRESS)),
    (("NewConnectionError",), Verdict(GateClosed, "does not answer: no connection could be made", _CHECK_ADDRESS)),
    (
        ("ConnectTimeoutError", "ConnectTimeout"),
        Verdict(GateClosed, "does not answer: no connection within the timeout", _CHECK_ADDRESS),
    ),
    (
        ("ReadTimeoutError", "ReadTimeout", "TimeoutError"),
        Verdict(GateClosed, "does not answer: connected, but no answer within the timeout", _WAIT),
    ),
    (
        ("ProtocolError", "ChunkedEncodingError", "ConnectionResetError", "RemoteDisconnected", "ContentDecodingError"),
        Verdict(GateClosed, "dropped the connection in the middle of a response", _WAIT, is_blip=True),
    ),
    (
        ("InvalidURL", "InvalidSchema", "MissingSchema", "LocationParseError", "LocationValueError"),
        Verdict(SettingsError, "has an unusable address", "Correct {address_name}."),
    ),
    (
        ("InvalidHeader",),
        Verdict(SettingsError, "cannot be sent these credentials: they contain line breaks", "Correct {secret_name}."),
    ),
    (
        ("JSONDecodeError", "ExpatError"),
        Verdict(
            GateClosed,
            "responds with something that is not the API (a login or maintenance page?)",
            _CHECK_ADDRESS,
            is_blip=True,
        ),
    ),
    (
        ("RequestException", "HTTPError"),
        Verdict(GateClosed, "does not answer: the call failed", _CHECK_ADDRESS),
    ),
)
"""Class name (of the error, or of one that it wraps) → verdict; the first match wins."""

CODES: Mapping[str, Verdict] = {
    # Salesforce, token endpoint: https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
    "server_error": Verdict(GateClosed, "is not available", _WAIT, is_blip=True),
    "temporarily_unavailable": Verdict(GateClosed, "is not available", _WAIT, is_blip=True),
    # Salesforce, API: "Core Data Types Used in API Calls", StatusCode and ExceptionCode
    "REQUEST_LIMIT_EXCEEDED": Verdict(RateLimited, "has used up its API calls for these 24 hours", _LATER),
    "CONCURRENT_REQUEST_LIMIT_EXCEEDED": Verdict(RateLimited, "has too many long calls at this time", _LATER),
    "LOGIN_RATE_EXCEEDED": Verdict(RateLimited, "refuses more logins in this hour", _LATER),
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": Verdict(
        CredentialsRejected,
        "refuses a user whose password has expired",
        "Set a new password in Salesforce, put it and its new security token in {secret_name}, then run again.",
    ),
    "SERVER_UNAVAILABLE": Verdict(GateClosed, "is not available", _WAIT, is_blip=True),
    "URL_NO_LONGER_EXISTS": Verdict(GateClosed, "has moved", _CHECK_ADDRESS),
    "INVALID_QUERY_LOCATOR": Verdict(QueryForgotten, "no longer holds the query's result", "Run again."),
    "QUERY_TIMEOUT": Verdict(TransientError, "took too long over the query", "Run again."),
    "UNABLE_TO_LOCK_ROW": Verdict(TransientError, "is busy with these records", "Run again."),
    "INVALID_TYPE": Verdict(CredentialsRejected, "does not show accounts to this user", _GRANT),
    "INVALID_FIELD": Verdict(SettingsError, "does not have one of the account fields", "Run validate to see which."),
    # HubSpot: category of the error body, https://developers.hubspot.com/docs/api-reference/error-handling
    "MISSING_SCOPES": Verdict(
        CredentialsRejected,
        "does not let this token read what is needed",
        "Give the private app the scopes crm.objects.companies.read, crm.schemas.companies.read and "
        "crm.objects.owners.read, then run again.",
    ),
}
"""The vendor's error code → verdict; takes precedence over the HTTP status."""

STATUSES: tuple[tuple[range, Verdict], ...] = (
    (
        range(300, 400),
        Verdict(GateClosed, "redirects to another address; credentials are not sent there", _CHECK_ADDRESS),
    ),
    (range(401, 402), Verdict(CredentialsRejected, "rejected the credentials (expired or rotated?)", _RENEW)),
    (range(403, 404), Verdict(CredentialsRejected, "refused access", _GRANT)),
    (range(404, 405), Verdict(GateClosed, "responds, but not as the API", _CHECK_ADDRESS)),
    (range(407, 408), Verdict(GateClosed, "cannot be reached: the proxy wants a login", "Check HTTPS_PROXY.")),
    (range(408, 409), Verdict(GateClosed, "aborted the call as too slow", _WAIT)),
    (range(410, 411), Verdict(PermanentError, "no longer offers this version of its API", "Update this package.")),
    (range(423, 424), Verdict(TransientError, "is locked for the moment", "Run again.")),
    (range(429, 430), Verdict(RateLimited, "refuses more calls for now", _LATER)),
    (range(477, 478), Verdict(GateClosed, "is being moved to another data centre", _WAIT)),
    (range(500, 600), Verdict(GateClosed, "is not available", _WAIT, is_blip=True)),
)
"""HTTP status → verdict."""

_USER_SECRETS = "SALESFORCE_USERNAME, SALESFORCE_PASSWORD and SALESFORCE_SECURITY_TOKEN"
_RESTRICTED = (
    "In Salesforce, add it to the Login IP Ranges of the user's profile and check that the profile's Login Hours allow"
    " this time, or relax IP restrictions in the connected app's policies, then run again."
)
_ADMIT = (
    "In the connected app's policies, set Permitted Users to admin approved and assign a profile or permission set of"
    " the integration's user, then run again."
)
_ACTIVATE = "Activate (or unfreeze) the integration's user in Salesforce, then run again."
_ASK_SALESFORCE = "Ask the organisation's administrator or Salesforce, then run again."
_OTHER_FLOW = "Log in with client credentials or the JWT key instead (.env.example), then run again."
_WAIT_AN_HOUR = "Run again in an hour, and check in Salesforce's Login History what else logs in so often."


def _refused(reason: str, todo: str) -> Verdict:
    return Verdict(CredentialsRejected, f"refused the login: {reason}", todo)


_LOGIN_RATE = Verdict(RateLimited, "refused the login: this user logs in too often", _WAIT_AN_HOUR)
_ADDRESS = _refused("not from this machine's address, or not at this hour", _RESTRICTED)
_LOCKED = _refused(
    "the user is locked out after wrong passwords",
    "Unlock the user in Salesforce (Setup, Users), put the correct credentials in {secret_name}, then run again.",
)
_NOT_ADMITTED = _refused("the user is not admitted to the connected app", _ADMIT)
_INACTIVE = _refused("the user is inactive", _ACTIVATE)
_ORGANISATION = _refused("the organisation is locked, closed or suspended", _ASK_SALESFORCE)
_EXPIRED_PASSWORD = _refused(
    "the user's password has expired",
    f"Set a new password in Salesforce (it brings a new security token), put both in {_USER_SECRETS}, then run again.",
)
_PASSWORD_WRONG = _refused(
    "wrong user name, password or security token, or the user is locked out",
    f"Check {_USER_SECRETS} (a new password brings a new token), then run again.",
)
_CLIENT_UNKNOWN = _refused(
    "no connected app has this client id",
    "Check SALESFORCE_CLIENT_ID and the address; a new connected app takes ten minutes to be known. Then run again.",
)
_ACTIVATION = _refused("Salesforce wants this machine activated by a person", _RESTRICTED)

LOGIN_DESCRIPTIONS: tuple[tuple[str, Verdict], ...] = (
    ("ip restricted", _ADDRESS),
    ("user is locked", _LOCKED),
    ("login rate", _LOGIN_RATE),
    ("logins exceeded", _LOGIN_RATE),
    ("not admin approved", _NOT_ADMITTED),
    ("approved this consumer", _NOT_ADMITTED),
    ("inactive user", _INACTIVE),
    ("user is inactive", _INACTIVE),
    ("inactive org", _ORGANISATION),
    ("expired password", _EXPIRED_PASSWORD),
    ("password expired", _EXPIRED_PASSWORD),
    ("challenge required", _ACTIVATION),
    (
        "no client credentials user enabled",
        _refused(
            "the connected app has no run-as user",
            "In the connected app, enable the client credentials flow and name its run-as user, then run again.",
        ),
    ),
    (
        "not supported on this domain",
        _refused(
            "client credentials aren't accepted at this address",
            "Set SALESFORCE_INSTANCE_URL to the My Domain address (https://yours.my.salesforce.com), then run again.",
        ),
    ),
    (
        "audience",
        _refused(
            "the JWT names another login host",
            "Set SALESFORCE_LOGIN_URL to https://login.salesforce.com, or to https://test.salesforce.com for a sandbox,"
            " then run again.",
        ),
    ),
    (
        "invalid assertion",
        _refused(
            "the JWT doesn't fit the connected app's certificate",
            "Check that SALESFORCE_JWT_KEY_FILE is the key of that certificate and SALESFORCE_CLIENT_ID that app's, "
            "then run again.",
        ),
    ),
    (
        "validity expired",
        _refused("the JWT has already expired", "Correct this machine's clock, then run again."),
    ),
    (
        "app is not installed",
        _refused("the connected app is not installed in this organisation", "Install it there, then run again."),
    ),
    ("no valid scopes", _refused("the connected app has no scopes", "Give it the scope api, then run again.")),
    ("client identifier invalid", _CLIENT_UNKNOWN),
    ("authentication failure", _PASSWORD_WRONG),
    ("invalid user credentials", _PASSWORD_WRONG),
    ("grant type not supported", _refused("this kind of login is switched off", _OTHER_FLOW)),
)
"""A phrase in the description of a refused login, in lower case → its meaning; the first match wins.

The descriptions are those of Salesforce's page "OAuth 2.0 Authorization Errors", and as quoted by public clients.
"""

LOGIN_CODES: Mapping[str, Verdict] = {
    # Token endpoint: same page.
    "inactive_user": _INACTIVE,
    "inactive_org": _ORGANISATION,
    "rate_limit_exceeded": _LOGIN_RATE,
    "invalid_app_access": _NOT_ADMITTED,
    "OAUTH_APP_ACCESS_DENIED": _NOT_ADMITTED,
    "OAUTH_APP_BLOCKED": _refused("the organisation blocks the connected app", "Unblock it there, then run again."),
    "invalid_client_id": _CLIENT_UNKNOWN,
    "invalid_client": _refused("wrong client secret", "Put the right one in SALESFORCE_CLIENT_SECRET, then run again."),
    "unsupported_grant_type": _refused("this kind of login is switched off", _OTHER_FLOW),
    # SOAP login(): ExceptionCode of the SOAP API Developer Guide.
    "INVALID_LOGIN": _PASSWORD_WRONG,
    "LOGIN_MUST_USE_SECURITY_TOKEN": _refused(
        "the security token is missing", "Put the user's current one in SALESFORCE_SECURITY_TOKEN, then run again."
    ),
    "PASSWORD_LOCKOUT": _LOCKED,
    "LOGIN_DURING_RESTRICTED_DOMAIN": _refused("not from this machine's address", _RESTRICTED),
    "LOGIN_DURING_RESTRICTED_TIME": _refused("not at this hour", _RESTRICTED),
    "LOGIN_CHALLENGE_ISSUED": _ACTIVATION,
    "LOGIN_CHALLENGE_PENDING": _ACTIVATION,
    "ORG_LOCKED": _ORGANISATION,
    "TRIAL_EXPIRED": _ORGANISATION,
    "API_DISABLED_FOR_ORG": _refused(
        "the user may not use the API", "Give the integration's user the permission API Enabled, then run again."
    ),
    "INVALID_OPERATION": _refused("login by password is switched off in this organisation", _OTHER_FLOW),
    "INSUFFICIENT_ACCESS": _refused(
        "the user may not log in by password", f"Give it the permission Use Any API Auth. Or: {_OTHER_FLOW}"
    ),
}
"""The code of a refused login → its meaning, where the description doesn't decide."""

OTHERWISE = Verdict(PermanentError, "refused the call", "Report this with the code above.")


def from_status(
    peer: Peer, status: int, code: str = "", *, detail: str = "", retry_after: float | None = None
) -> PipelineError:
    """The error for an unsuccessful response.

    Args:
        peer: the CRM that was called.
        status: the HTTP status.
        code: the vendor's error code, if any.
        detail: further text that may be shown: never a secret or a record's value.
        retry_after: seconds to wait, if the CRM said so.
    """
    verdict = CODES.get(code) or next((found for statuses, found in STATUSES if status in statuses), OTHERWISE)
    return _build(peer, verdict, [f"HTTP {status}" if status else "", code, detail], retry_after)


def login_refused(peer: Peer, status: int, code: str, detail: str = "") -> PipelineError:
    """The error for a refused login.

    Args:
        peer: the CRM that was called.
        status: the HTTP status.
        code: the vendor's error code.
        detail: the vendor's description; selects the message and is not shown.
    """
    described = " ".join(detail.lower().split())
    verdict = next((found for piece, found in LOGIN_DESCRIPTIONS if piece in described), LOGIN_CODES.get(code))
    if verdict is None and (code in CODES or (status >= 402 and status != 403) or 300 <= status < 400):
        return from_status(peer, status, code)
    verdict = verdict or Verdict(CredentialsRejected, "refused the login", _RENEW)
    return _build(peer, verdict, [code or f"HTTP {status}"], None)


def from_exception(peer: Peer, error: BaseException) -> PipelineError | None:
    """The error for a library's exception; None if it is not a failed call (a bug)."""
    chain = list(_chain(error))
    for link in chain:
        answer = _answer(link)
        if answer is not None:
            status, code, detail, retry_after = answer
            return from_status(peer, status, code, detail=detail, retry_after=retry_after)
    names = {base.__name__ for link in chain for base in type(link).__mro__}
    for wanted, verdict in TRANSPORT:
        if names.intersection(wanted):
            return _build(peer, verdict, [], None)
    return None


@contextmanager
def border(peer: Peer) -> Iterator[None]:
    """Translates the libraries' exceptions; the package's own errors pass through."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        translated = from_exception(peer, error)
        if translated is None:
            raise
        raise translated from None  # the library's text may quote a header with the token


def through_blips(ask: Callable[[], T], clock: Clock) -> T:
    """Calls `ask`, up to three times within seconds if a response is lost or is a server error.

    One blip is no outage. Other failures (connection refused, a refused login, a timeout) are raised at once.
    """
    started = clock.monotonic()
    for wait in BLIP_WAITS:
        try:
            return ask()
        except GateClosed as error:
            if not error.is_blip or clock.monotonic() - started + wait > BLIP_SECONDS:
                raise
            logger.info("%s Trying again in %g s.", error.message, wait)
        clock.sleep(wait)
    return ask()


def patiently(ask: Callable[[], T], clock: Clock, waits: tuple[float, ...] = LOST_CALL_WAITS) -> T:
    """Calls `ask`, again after each wait while the CRM is unavailable; then raises the last error.

    For calls in the middle of a read. If the first call of a read fails, the gate is closed instead.
    """
    for wait in waits:
        try:
            return ask()
        except RateLimited:
            raise
        except (GateClosed, TransientError) as error:
            logger.warning("%s Trying again in %g s.", error.message, wait)
        clock.sleep(wait)
    return ask()


def retry_after_seconds(headers: Mapping[str, str] | None) -> float | None:
    """Retry-After in seconds, given as seconds or as a date (relative to the response's own Date header).

    None if absent or unreadable.
    """
    text = str((headers or {}).get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    until, answered = http_date(text), http_date((headers or {}).get("Date"))
    return max(0.0, (until - answered).total_seconds()) if until and answered else None


def http_date(text: str | None) -> datetime | None:
    """The datetime of an HTTP date header, in UTC; None if absent or unreadable."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _build(peer: Peer, verdict: Verdict, facts: list[str], retry_after: float | None) -> PipelineError:
    shown = ", ".join(fact for fact in facts if fact)
    message = f"{peer} {verdict.reason}{f' ({shown})' if shown else ''}."
    todo = verdict.todo.format(
        address_name=_ADDRESS_NAMES[peer.kind], secret_name=peer.secret_names or _SECRET_NAMES[peer.kind]
    )
    if issubclass(verdict.error, TransientError):
        return verdict.error(message, todo, retry_after=retry_after)
    if issubclass(verdict.error, GateClosed):
        return verdict.error(message, todo, is_blip=verdict.is_blip)
    return verdict.error(message, todo)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything it wraps: causes, contexts, urllib3's `reason`, exceptions among its arguments."""
    pending, seen = [error], set[int]()
    while pending:
        link = pending.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        wrapped = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
        pending.extend(each for each in wrapped if isinstance(each, BaseException))


def _answer(error: BaseException) -> tuple[int, str, str, float | None] | None:
    """Status, code, detail and Retry-After of an exception that stands for a response of the CRM."""
    names = {base.__name__ for base in type(error).__mro__}
    status = getattr(error, "status", None)
    if not isinstance(status, int) or status < 300:
        return None
    if "SalesforceError" in names:
        code = getattr(error, "code", None) or salesforce_code(getattr(error, "content", None))
        return status, _plain(code), "", None
    if "ApiException" in names:
        body = _object(getattr(error, "body", None))
        detail = _plain(body.get("policyName")) or ", ".join(_scopes(body))
        return status, _plain(body.get("category")), detail, retry_after_seconds(getattr(error, "headers", None))
    return None


def _scopes(body: Mapping[str, Any]) -> list[str]:
    """The scopes that HubSpot says are missing."""
    errors = body.get("errors")
    contexts = [each.get("context") for each in errors if isinstance(each, Mapping)] if isinstance(errors, list) else []
    listed = [each.get("requiredGranularScopes") for each in contexts if isinstance(each, Mapping)]
    return [scope for one in listed if isinstance(one, list) for each in one if (scope := _plain(each))]


def salesforce_code(content: object) -> str:
    """The error code in a Salesforce response: `[{"errorCode": …}]`, or the token endpoint's `{"error": …}`."""
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, Mapping):
        return ""
    return _plain(first.get("errorCode") or first.get("error"))


def _object(body: object) -> Mapping[str, Any]:
    if isinstance(body, (bytes, str)):
        try:
            body = json.loads(body)
        except ValueError:
            return {}
    return body if isinstance(body, Mapping) else {}


def _plain(code: object) -> str:
    """A code that is safe to show: a short word only, so that no value slips in."""
    text = str(code or "")
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}", text) else ""
