"""Decodes response bodies into records: damaged JSON, both data formats, keys in any case.

What a response means (refusals, empty pages) is in errors.py; HTTP is in client.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gainsight_pipelines.text import clean_value, name_key


class NotJson(Exception):
    """The body is not a JSON object: truncated, a web page, or something else."""


def decode(body: bytes) -> tuple[dict[str, Any], int]:
    """Decodes a body into a JSON object; also returns how many strings, keys and numbers were cleaned.

    One lone surrogate or bad byte makes orjson refuse a whole page; the standard library then decodes it with the bad
    bytes replaced. Cleaning (NUL, lone surrogates, infinities: PostgreSQL accepts none) runs only then, or if the body
    contains an escaped NUL: searching the bytes is cheap, visiting every value is not.

    Raises:
        NotJson: not a JSON object.
    """
    cleaned = 0
    try:
        document = orjson.loads(body)
        needs_cleaning = b"\\" in body and b"\\u0000" in body
    except orjson.JSONDecodeError:
        document, cleaned = _decode_damaged(body)
        needs_cleaning = True
    if needs_cleaning:
        try:
            document, count = clean_value(document)
        except RecursionError:
            raise NotJson("the response is nested too deeply") from None
        cleaned += count
    if not isinstance(document, dict):
        raise NotJson("the response is JSON, but not an object")
    return document, cleaned


def looks_like_a_web_page(content_type: str, body: bytes) -> bool:
    """Whether a gateway, a login page or a proxy responded instead of the API."""
    return "html" in content_type.casefold() or body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def records_of(envelope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of a query's response, in both documented formats: ``data: […]`` and ``data: {"records": […]}``.

    Raises:
        NotJson: ``data`` is something else.
    """
    data = envelope.get("data")
    if isinstance(data, Mapping):
        if "records" not in data and data:
            raise NotJson("the response's data hold no records")
        data = data.get("records")
    if data is None:
        return []
    if not isinstance(data, list) or not all(type(record) is dict for record in data):
        raise NotJson("the response's records are not a list of objects")
    return data


class Renamer:
    """Renames the keys of records to the selected names; responses vary in case (sample of the Timeline API).

    Keys that were not selected keep their name; absent keys stay absent. Each set of keys is mapped once, since most
    records of a page share theirs.
    """

    def __init__(self, select: Sequence[str]) -> None:
        self._selected = frozenset(select)
        self._by_folded: dict[str, str] = {}
        for name in select:
            self._by_folded.setdefault(name_key(name), name)
        self._plans: dict[tuple[str, ...], tuple[str, ...]] = {}

    def rename(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records under the selected names; the same list if nothing differs."""
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
            if len(self._plans) < 1000:  # bounded, in case every record has other keys
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
                # If a record has two spellings, the first gets the selected name and the other keeps its own.
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
        raise NotJson("the response is not JSON") from None
