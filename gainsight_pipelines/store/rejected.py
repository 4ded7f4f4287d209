"""Records that can't be stored as rows: kept in full, with the reason, so that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any

import orjson

from gainsight_pipelines.store.tables import Json

if TYPE_CHECKING:
    import psycopg


class NestedTooDeeply(ValueError):
    """A value of some hundred nested lists or objects."""


def write_rejected(
    connection: psycopg.Connection, name: str, rejected: Sequence[tuple[dict[str, Any], str]], run_id: str
) -> None:
    """Stores (record, reason) pairs, each record once however often it is read."""
    if not rejected:
        return
    payloads = [_payload(record) for record, _ in rejected]
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO rejected_record (object, payload_hash, payload, reason, run_id)
               VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (object, payload_hash) DO UPDATE
               SET last_seen_at = now(), reason = excluded.reason, run_id = excluded.run_id""",
            [
                (name, sha256(payload.encode()).hexdigest(), payload, reason, run_id)
                for payload, (_, reason) in zip(payloads, rejected, strict=True)
            ],
        )


def purge(connection: psycopg.Connection, before: datetime, *, is_dry: bool) -> int:
    """Deletes (or only counts) the records last seen before a time."""
    if is_dry:
        row = connection.execute("SELECT count(*) FROM rejected_record WHERE last_seen_at < %s", (before,)).fetchone()
        return int(row[0]) if row else 0
    return connection.execute("DELETE FROM rejected_record WHERE last_seen_at < %s", (before,)).rowcount


def _payload(record: dict[str, Any]) -> str:
    try:
        return to_json(record)
    except NestedTooDeeply:
        flat = {key: value for key, value in record.items() if not isinstance(value, (dict, list))}
        return to_json(flat | dict.fromkeys(record.keys() - flat.keys(), "(left out: nested too deeply)"))


def to_json(value: Any) -> Json:
    """JSON for a jsonb column: keys sorted, so that equal values give equal text; times as ISO strings.

    Raises:
        NestedTooDeeply: it can't be written as JSON.
    """
    try:
        return Json(orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode())
    except TypeError:  # integers beyond 64 bits, or more than 254 levels deep
        try:
            return Json(json.dumps(value, default=_plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
        except RecursionError:
            raise NestedTooDeeply("nested too deeply") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        if value.is_finite() and value == value.to_integral_value() and abs(value) < 2**63:
            return int(value)
        # Beyond 64 bits JSON has no exact form; beyond a float's range only the digits remain.
        return float(value) if isfinite(float(value)) else str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form here")
