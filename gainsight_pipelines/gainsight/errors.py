"""What Gainsight's refusals mean, as data: status, code and text → one of the errors of the package.

::

    PipelineError
    ├── SettingsError               base URL, names or a where-clause that can't be right
    ├── CredentialsRejected         401, GS_APIG_2401, GSOBJ_1024: key or client; GS_APIG_2402: the key's IP allow-list
    ├── PermanentError              every other refusal; a redirect; a web page where the API should be
    │   ├── UnknownObject           OBJECT_NOT_FOUND, "Requested object not found"
    │   ├── UnknownField            GSOBJ_1002, COCKPIT_5101, P_5005, texts about an invalid field
    │   └── CannotReadCompletely    a tenant that honours nothing by which a read could be proved complete
    └── TransientError              408, 425, 5xx, GU_1101, GSOBJ_1003, lost connections, broken bodies
        ├── SlowAnswer              timeouts, 5xx: a smaller page may do
        │   └── TooLargeAnswer      a body over the limit in bytes: only a smaller page does
        └── RateLimited             429, or GS_APIG_2404 with any status

"No data" is no error: GSOBJ_1XXX (Company API page) and GSOBJ_1011 (table of error codes) are an empty page.

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
    "Add the address to the allow-list of the connection in Gainsight, or run from an address that is on it.",
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
    "GS_APIG_1000": "there is no such address on this host",
    "GSOBJ_1001": "a value is longer than its field",
    "GSOBJ_1002": "a field isn't known or doesn't fit its data",
    "GSOBJ_1004": "a GSID is invalid or missing",
    "GSOBJ_1005": "a date can't be read",
    "GSOBJ_1006": "a date can't be read",
    "GSOBJ_1023": "the path of the call is invalid",
}
# Codes whose errorDesc names fields or objects, never the values of a record.
_QUOTABLE = frozenset({"COCKPIT_5101", "GS_APIG_1000", "GSOBJ_1023", "GU_1101", RATE_LIMIT_CODE})
_QUOTE_LENGTH = 160
_CODE = re.compile(r"[A-Za-z0-9_]{1,40}")


class UnknownObject(PermanentError):
    """The tenant has no object of that name, or the key may not see it."""

    section = "unknown-object"


class UnknownField(PermanentError):
    """The tenant's object has no such field (any more), or the key may not read it.

    Attributes:
        object_name: the object that was queried; "" where that isn't known.
        fields: those of the selected names that the refusal names.
        select: the names that were selected.
        said: the refusal in Gainsight's words, which may hold values of records: to be looked through, never shown.
    """

    object_name = ""
    fields: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    said = ""

    def names(self, object_name: str, select: Sequence[str]) -> None:
        """Says what was asked for, so that the refused names can be told."""
        self.object_name = object_name
        self.select = tuple(select)
        self.fields = tuple(
            name for name in select if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", self.said, re.IGNORECASE)
        )


class CannotReadCompletely(PermanentError):
    """The tenant honours nothing by which a read could be proved complete: no read is better than a short one."""


class SlowAnswer(TransientError):
    """The answer failed or took too much time: the same question for fewer records may be answered."""


class TooLargeAnswer(SlowAnswer):
    """The answer was larger than the limit in bytes: only a smaller question can be answered."""


def is_no_data(code: str, text: str) -> bool:
    """Whether a refusal means "nothing matches" (the older "no data" answers, with or without HTTP 400)."""
    return code in NO_DATA_CODES or (text != "" and any(phrase in text.casefold() for phrase in _NO_DATA_TEXTS))


def error_of(status: int, envelope: Mapping[str, Any], *, what: str, retry_after: float | None = None) -> PipelineError:
    """The error that a refusal means.

    Args:
        status: HTTP status.
        envelope: the JSON object of the body; empty if there was none.
        what: what was asked, e.g. ``query of activity_timeline``; no record values.
        retry_after: seconds that the answer asks to wait, if it does.
    """
    code = code_of(envelope)
    text = text_of(envelope)
    if status == 429 or code == RATE_LIMIT_CODE:
        return RateLimited(
            f"Gainsight's API limit is used up (at the {what})",
            "Wait for the next minute, or for the next day if the daily limit is gone; gainsight.quota_share keeps"
            " a part of it for others.",
            retry_after=retry_after,
        )
    if code == IP_CODE:
        return CredentialsRejected(*IP_REJECTED)
    if status == 401 or code in _KEY_CODES:
        return CredentialsRejected(KEY_REJECTED)
    if _says_unknown_object(envelope, text):
        return UnknownObject(
            f"Gainsight has no object that answers to the {what} (OBJECT_NOT_FOUND)",
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
    """The error code of an envelope; "" if it has none that looks like a code."""
    code = envelope.get("errorCode")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def text_of(envelope: Mapping[str, Any]) -> str:
    """What the envelope says in words, to be looked through, never to be shown."""
    words = (envelope.get(key) for key in ("errorDesc", "detail", "message"))
    return next((word for word in words if isinstance(word, str) and word), "")


def _error_by_status(status: int, code: str, message: str, retry_after: float | None) -> PipelineError:
    if status >= 500 or code == "GU_1101":
        return SlowAnswer(message, "It is worth another try later.", retry_after=retry_after)
    if status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        return TransientError(message, "It is worth another try later.", retry_after=retry_after)
    if status == 404:
        return PermanentError(message, "Check gainsight.base_url: it has to be the tenant's own host.")
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
