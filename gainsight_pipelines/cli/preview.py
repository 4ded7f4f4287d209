"""`preview`: shows sample records of a pull or a filter, raw beside the rows that they would become."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pickers import open_catalog
from gainsight_pipelines.discovery.preview import FILTER_PLACE, Preview, PreviewRecord, preview
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.matching import Link

SHOWN = 80
"""Characters shown of a value."""
METHODS: Mapping[str, str] = {
    "direct": "by its CRM id",
    "gsid_field": "by the CRM's GSID field",
    "domain": "by its domain",
}
REASONS: Mapping[str, str] = {
    "no_company": "no account: the record names no company",
    "no_account": "no account has the company's CRM id or GSID",
    "ambiguous": "no account: several have the company's GSID",
}


def preview_command(name: str, *, filter_text: str | None, size: int, path: Path | None, as_json: bool) -> int:
    """Prints the preview. Writes nothing."""
    document = None if filter_text is None else parsed_filter(filter_text)
    found = preview(open_catalog(path), name, document=document, size=size)
    if as_json:
        output.print_json(_document(found))
        return 0
    output.say(_headline(found))
    if found.field_mappings:
        rows = list(_mapping_rows(found.field_mappings))
        output.print_table(output.table_of("Parts of a response", ("part", "field", "because"), rows), "")
    stored = found.frame()
    for number, record in enumerate(found.records):
        mine = stored.loc[stored.index == number].to_dict("records")
        output.print_table(_table(found, record, mine, f"{number + 1}: {_account(record)}"), "")
    for note in found.notes:
        output.say(note)
    return 0


def parsed_filter(text: str) -> Any:
    """Parses a filter given as JSON, or as @FILE.

    Raises:
        SettingsError: the file can't be read, or the text is not JSON.
    """
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise SettingsError(f"{FILTER_PLACE}: {text[1:]} can't be read: {reason}.") from None
    try:
        return json.loads(text)
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(
            f"{FILTER_PLACE} is not JSON{where}.",
            'For example: \'{"conditions": [{"name": "NPSScore", "alias": "A", "value": [9], "operator": "GTE"}]}\'.',
        ) from None


def _headline(found: Preview) -> str:
    asked = "match the filter" if found.since is None and found.filter else "would be read"
    since = f" (since {found.since:%Y-%m-%d})" if found.since is not None else ""
    what = f" by {found.pull}" if found.pull else ""
    line = f"{found.count} records of {found.object_name} {asked}{what}{since}"
    if found.limit is not None and found.count.count > found.limit:
        line = f"{line}, {found.limit:,} of them per run (the limit); the next run continues from there"
    return f"{line}. Nothing is written."


def _mapping_rows(mappings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """One row per part of a response: the part, its field and why; the score may have several fields."""
    for part, chosen in mappings.items():
        for each in chosen if isinstance(chosen, list) else [chosen]:
            yield part, each["field"] or "-", each["reason"]


def _account(record: PreviewRecord) -> str:
    if record.link is None:
        return "account not looked up"
    if record.link.reason is not None:
        candidates = f" ({', '.join(record.link.candidates)})" if record.link.candidates else ""
        return REASONS[record.link.reason] + candidates
    name = record.account_name or "account"
    return f"{name} ({record.link.account_id}), {METHODS[str(record.link.method)]}"


def _table(found: Preview, record: PreviewRecord, rows_stored: Sequence[Mapping[Any, Any]], title: str) -> Any:
    """Raw fields on the left and stored columns on the right, or below. Empty values are left out."""
    raw = [(name, _cell(value)) for name, value in record.raw.items() if value not in (None, "")]
    stored: list[tuple[str, str]] = []
    for row in rows_stored:
        stored += [("", "")] if stored else []
        stored += [(name, _cell(value)) for name, value in row.items() if not _is_blank(value)]
    if record.rejected is not None:
        stored = [("rejected", record.rejected)]
    left, right = ("Gainsight", "raw"), ("column", "stored")
    alone = output.table_of(title, left, raw)
    if not found.pull:
        return alone
    rows = [(*one, *other) for one, other in zip_longest(raw, stored, fillvalue=("", ""))]
    beside = output.table_of(title, (*left, *right), rows)
    return output.SideBySide(beside, [alone, output.table_of("", right, stored)])


def _is_blank(value: Any) -> bool:
    """Whether a stored value is missing (as in pandas) or empty."""
    import pandas as pd

    return value in ("", {}, []) if isinstance(value, str | dict | list) else bool(pd.isna(value))


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", timespec="seconds")
    is_plain = isinstance(value, str | Decimal)
    text = str(value) if is_plain else json.dumps(value, default=str, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _document(found: Preview) -> dict[str, Any]:
    return {
        "object": found.object_name,
        "pull": found.pull,
        "filter": found.filter,
        "since": found.since,
        "field_mappings": found.field_mappings,
        "count": found.count.count,
        "count_is_exact": found.count.is_exact,
        "limit_per_run": found.limit,
        "records": [
            {
                "raw": record.raw,
                "stored": record.rows,
                "rejected": record.rejected,
                "account": _link_document(record.link, record.account_name),
            }
            for record in found.records
        ],
        "notes": found.notes,
    }


def _link_document(link: Link | None, name: str | None) -> dict[str, Any] | None:
    if link is None:
        return None
    document = asdict(link)
    del document["is_contradicted"]
    return document | {"name": name}
