"""From the bytes of an answer to its records: JSON that may be damaged, both data shapes, keys in any case.

What an answer means (refusals, empty pages) is in errors.py; how it came over the network is in client.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gainsight_pipelines.text import clean_value, name_key


class NotJson(Exception):
    """The body is no JSON object: truncated, a web page, or something else."""


def decode(body: bytes) -> tuple[dict[str, Any], int]:
    """The JSON object of a body, and how many strings, keys and numbers of it had to be cleaned.

    One lone surrogate or bad byte makes orjson refuse a whole page; the standard library then reads the text with the
    bad bytes replaced. Cleaning (NUL, lone surrogates, infinities: PostgreSQL takes none) runs only then, or when an
    escaped NUL occurs in the body: a search in the bytes costs little, walking through all values doesn't.

    Raises:
        NotJson: there is no JSON object.
    """
    cleaned = 0
    try:
        document = orjson.loads(body)
        needs_cleaning = b"\\u0000" in body
    except orjson.JSONDecodeError:
        document, cleaned = _decode_damaged(body)
        needs_cleaning = True
    if needs_cleaning:
        try:
            document, count = clean_value(document)
        except RecursionError:
            raise NotJson("the answer is nested too deeply") from None
        cleaned += count
    if not isinstance(document, dict):
        raise NotJson("the answer is JSON, but no object")
    return document, cleaned


def looks_like_a_web_page(content_type: str, body: bytes) -> bool:
    """Whether a gateway, a login page or a proxy answered in place of the API."""
    return "html" in content_type.casefold() or body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def records_of(envelope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of a query's answer, in both documented shapes: ``data: […]`` and ``data: {"records": […]}``.

    Raises:
        NotJson: ``data`` is something else.
    """
    data = envelope.get("data")
    if isinstance(data, Mapping):
        if "records" not in data and data:
            raise NotJson("the answer's data hold no records")
        data = data.get("records")
    if data is None:
        return []
    if not isinstance(data, list) or not all(type(record) is dict for record in data):
        raise NotJson("the answer's records are no list of objects")
    return data


class Renamer:
    """Gives the keys of records the spelling of the selection; replies drift in case (sample of the Timeline API).

    Keys that were not selected keep their name; absent keys stay absent. The plan for a set of keys is made once, since
    the records of a page mostly have the same.
    """

    def __init__(self, select: Sequence[str]) -> None:
        self._selected = frozenset(select)
        self._by_folded: dict[str, str] = {}
        for name in select:
            self._by_folded.setdefault(name_key(name), name)
        self._plans: dict[tuple[str, ...], tuple[str, ...]] = {}

    def rename(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records under the selected names; the same list where nothing differs."""
        selected = self._selected
        if all(record.keys() <= selected for record in records):
            return records
        return [
            record if record.keys() <= selected else dict(zip(self._plan(tuple(record)), record.values(), strict=True))
            for record in records
        ]

    def _plan(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        plan = self._plans.get(keys)
        if plan is None:
            plan = self._make_plan(keys)
            if len(self._plans) < 1000:  # a page of records that all differ must not fill the memory
                self._plans[keys] = plan
        return plan

    def _make_plan(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        taken = self._selected.intersection(keys)
        used = set(taken)
        plan = []
        for key in keys:
            name = key
            if key not in taken:
                wanted = self._by_folded.get(name_key(key), key)
                # Of two spellings in one record the first has the selected name, the other keeps its own.
                name = key if wanted in used else wanted
                used.add(name)
            plan.append(name)
        return tuple(plan)


def _decode_damaged(body: bytes) -> tuple[Any, int]:
    text = body.decode("utf-8-sig", errors="replace")
    replaced = text.count("\ufffd") - body.count("\ufffd".encode())
    try:
        return json.loads(text), replaced
    except (ValueError, RecursionError):
        raise NotJson("the answer is no JSON") from None
