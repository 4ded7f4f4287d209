"""Maps Gainsight's refusals (status, code, text) to the package's errors.

::

    PipelineError
    ├── SettingsError               base URL, names or a where-clause that can't be right
    ├── CredentialsRejected         401, GS_APIG_2401, GSOBJ_1024: key or client; GS_APIG_2402: the key's IP allow-list
    ├── PermanentError              every other refusal; a redirect; a web page where the API should be
    │   ├── UnknownObject           OBJECT_NOT_FOUND, "Requested object not found"
    │   ├── UnknownField            GSOBJ_1002, COCKPIT_5101, P_5005, texts about an invalid field
    │   └── CannotReadCompletely    the tenant honours nothing that would prove a read complete
    └── TransientError              408, 425, 5xx, GU_1101, GSOBJ_1003, lost connections, damaged bodies
        ├── SlowAnswer              timeouts, 5xx: a smaller page may work
        │   └── TooLargeAnswer      a body over the size limit: only a smaller page works
        └── RateLimited             429, or GS_APIG_2404 with any status

"No data" is not an error: GSOBJ_1XXX (Company API page) and GSOBJ_1011 (table of error codes) are an empty page.

Sources: Gainsight's public pages "Data Management APIs", "Company API", "Custom Object API" and "Error Codes for
Company and Custom Object APIs"; GS_APIG_2402 and GS_APIG_2404 from public clients that met them.

``errorDesc`` repeats record values ("columnName = columnValue"), so it is quoted only for the codes in ``_QUOTABLE``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gainsight_pipelines.errors import (
    CredentialsRejected,
    PermanentError,
    PipelineError,
    RateLimited,
    TransientError,
)

KEY_REJECTED = "the API key was rejected (expired or rotated): set the new key and run again"
CLIENT_REJECTED = (
    "the M2M OAuth client was rejected (deleted, or its secret was replaced)",
    "Set GAINSIGHT_CLIENT_ID and GAINSIGHT_CLIENT_SECRET to those of a client in Gainsight, and run again.",
)
IP_REJECTED = (
    "Gainsight refused this machine's address: it is not on the IP allow-list of the API key (GS_APIG_2402)",
    "Add the address to the allow-list of the connection in Gainsight, or run from an address on it.",
)

RATE_LIMIT_CODE = "GS_APIG_2404"
NO_DATA_CODES = frozenset({"GSOBJ_1XXX", "GSOBJ_1011"})
_NO_DATA_TEXTS = ("no data found", "no entity matches")

_KEY_CODES = frozenset({"GS_APIG_2401", "GSOBJ_1024"})
IP_CODE = "GS_APIG_2402"
_UNKNOWN_FIELD_CODES = frozenset({"GSOBJ_1002", "COCKPIT_5101", "P_5005"})
_UNKNOWN_OBJECT_TEXTS = ("object_not_found", "requested object not found")
_UNKNOWN_FIELD_TEXT = re.compile(
    r"(invalid|unknown|unrecogni[sz]ed) (field|column|attribute)|"
    r"(field|column|attribute)s?\b.{0,200}(not found|does ?n.t exist|does not exist|is invalid)",
    re.IGNORECASE | re.DOTALL,
)
_TRANSIENT_CODES = frozenset({"GU_1101", "GSOBJ_1003"})
_TRANSIENT_STATUSES = frozenset({408, 425})

_MEANINGS: Mapping[str, str] = {
    "GS_APIG_1000": "the host has no such path",
    "GSOBJ_1001": "a value is longer than its field",
    "GSOBJ_1002": "a field is unknown or doesn't fit its data",
    "GSOBJ_1004": "a GSID is invalid or missing",
    "GSOBJ_1005": "a date can't be read",
    "GSOBJ_1006": "a date can't be read",
    "GSOBJ_1023": "the path of the call is invalid",
}
# Codes whose errorDesc names fields or objects, but never record values.
_QUOTABLE = frozenset({"COCKPIT_5101", "GS_APIG_1000", "GSOBJ_1023", "GU_1101", RATE_LIMIT_CODE})
_QUOTE_LENGTH = 160
_CODE = re.compile(r"[A-Za-z0-9_]{1,40}")


class UnknownObject(PermanentError):
    """The tenant has no object of that name, or the credentials may not see it."""

    section = "unknown-object"


class UnknownField(PermanentError):
    """The tenant's object no longer has the field, or the credentials may not read it.

    Attributes:
        object_name: the queried object; "" if unknown.
        fields: the selected names that the refusal mentions.
        select: the selected names.
        said: Gainsight's message. It may contain record values: search it, never show it.
    """

    object_name = ""
    fields: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    said = ""

    def names(self, object_name: str, select: Sequence[str]) -> None:
        """Records the query, and finds the refused names in the message."""
        self.object_name = object_name
        self.select = tuple(select)
        self.fields = tuple(
            name for name in select if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", self.said, re.IGNORECASE)
        )


class CannotReadCompletely(PermanentError):
    """The tenant honours nothing that would prove a read complete. Failing is better than missing records."""


class SlowAnswer(TransientError):
    """The response failed or took too long; a smaller query may succeed."""


class TooLargeAnswer(SlowAnswer):
    """The response exceeded the size limit; only a smaller query can succeed."""


def is_no_data(code: str, text: str) -> bool:
    """Whether a refusal means "nothing matches" (older "no data" responses, with or without HTTP 400)."""
    return code in NO_DATA_CODES or (text != "" and any(phrase in text.casefold() for phrase in _NO_DATA_TEXTS))


def error_of(status: int, envelope: Mapping[str, Any], *, what: str, retry_after: float | None = None) -> PipelineError:
    """The error that a refusal means.

    Args:
        status: HTTP status.
        envelope: the JSON object of the body; empty if there was none.
        what: the request, e.g. ``query of activity_timeline``; no record values.
        retry_after: seconds to wait, if the response says so.
    """
    code = code_of(envelope)
    text = text_of(envelope)
    if status == 429 or code == RATE_LIMIT_CODE:
        return RateLimited(
            f"Gainsight's API limit is used up (at the {what})",
            "Wait for the next minute, or for the next day if the daily limit is used up; gainsight.quota_share leaves"
            " a part of it to other tools.",
            retry_after=retry_after,
        )
    if code == IP_CODE:
        return CredentialsRejected(*IP_REJECTED)
    if status == 401 or code in _KEY_CODES:
        return CredentialsRejected(KEY_REJECTED)
    if _says_unknown_object(envelope, text):
        return UnknownObject(
            f"Gainsight has no object for the {what} (OBJECT_NOT_FOUND)",
            "Pick a name from `gainsight-pipelines objects`.",
        )
    if code in _UNKNOWN_FIELD_CODES or (status < 500 and _UNKNOWN_FIELD_TEXT.search(text)):
        refused = UnknownField(
            f"Gainsight refused a field in the {what}{_in_words(code, text)}",
            "Look the field up with `gainsight-pipelines fields OBJECT`.",
        )
        refused.said = text
        return refused
    return _error_by_status(status, code, f"Gainsight refused the {what}{_in_words(code, text, status)}", retry_after)


def code_of(envelope: Mapping[str, Any]) -> str:
    """The envelope's error code; "" if it has none that looks like one."""
    code = envelope.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def text_of(envelope: Mapping[str, Any]) -> str:
    """The envelope's message. Search it, never show it: it may contain record values."""
    words = (envelope.get(key) for key in ("errorDesc", "detail", "message"))
    return next((word for word in words if isinstance(word, str) and word), "")


def _error_by_status(status: int, code: str, message: str, retry_after: float | None) -> PipelineError:
    if status >= 500 or code == "GU_1101":
        return SlowAnswer(message, "Try again later.", retry_after=retry_after)
    if status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        return TransientError(message, "Try again later.", retry_after=retry_after)
    if status == 404:
        return PermanentError(message, "Check gainsight.base_url: it must be the tenant's own host.")
    if status == 403:
        return CredentialsRejected(message, "Check the rights of the API key and its IP allow-list.")
    return PermanentError(message)


def _says_unknown_object(envelope: Mapping[str, Any], text: str) -> bool:
    title = envelope.get("title")
    words = f"{title if isinstance(title, str) else ''} {text}".casefold()
    return any(phrase in words for phrase in _UNKNOWN_OBJECT_TEXTS)


def _in_words(code: str, text: str, status: int | None = None) -> str:
    known = f"{code}, {_MEANINGS[code]}" if code in _MEANINGS else code
    parts = [part for part in (f"HTTP {status}" if status not in (None, 200) else "", known) if part]
    if code in _QUOTABLE and text:
        quoted = " ".join(text.split())
        parts.append(quoted if len(quoted) <= _QUOTE_LENGTH else quoted[: _QUOTE_LENGTH - 1] + "…")
    return f" ({': '.join(parts)})" if parts else ""
