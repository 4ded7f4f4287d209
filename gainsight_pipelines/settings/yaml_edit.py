"""Edits one section in the text of a settings file; comments, order and all other sections are kept.

Knows YAML, not what the settings mean. Only the section's text goes through ruamel.yaml; the result is parsed again
with ``yaml_document`` and must say what was intended.
"""

from __future__ import annotations

import copy
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.yaml_document import DocumentError, Path, compose, parse
from gainsight_pipelines.settings.yaml_lines import NotByLines, without

WIDE = 10_000
"""Lines are never wrapped."""

_DIALECTS = tuple(VersionedResolver(version=version) for version in ((1, 1), (1, 2)))
"""Other programs may read the file as YAML 1.1, where `yes` is true."""

Data = Mapping[str, Any] | Sequence[Any]
"""A section's data: its settings, or the rows of one that is a list."""


def replace_section(text: str, section: str, before: Data, after: Data, short: Data) -> str:
    """The text with new data in one section; a missing section is appended.

    Args:
        text: the whole file.
        section: its top-level key.
        before: the section's current data, defaults filled in. What is the same in `after` isn't touched.
        after: the new data, in full.
        short: the new data without defaults: what is written where nothing was before.

    Raises:
        SettingsError: the file's YAML can't be edited here.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    head, body, tail = _cut(text, section)
    body, before = _without_gone(body, section, before, after)
    try:
        changed = _changed(head, body, section, before, after, short)
    except YAMLError:  # an anchor of another section, for example
        head, tail = "", ""
        try:
            changed = _changed("", text, section, before, after, short)
        except YAMLError:
            raise _unchangeable(section) from None
    whole = head + changed + tail
    _check(text, whole, section)
    return whole.replace("\n", newline)


def remove_value(text: str, place: Path) -> str:
    """The text without one setting, row or entry and its comments; unchanged if it isn't there.

    A mapping or list that would become empty is removed too, except the section itself.

    Args:
        text: the whole file.
        place: the section, followed by keys and indexes.

    Raises:
        SettingsError: the file's YAML can't be edited here.
    """
    data = parse(text).data
    inside: list[Any] = [data]
    for part in place:
        holder = inside[-1]
        is_row = isinstance(holder, list) and isinstance(part, int) and part < len(holder)
        if not is_row and not (isinstance(holder, dict) and part in holder):
            return text
        inside.append(holder[part])
    while len(place) > 2 and len(inside[len(place) - 1]) == 1:
        place = place[:-1]
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    try:
        whole = without(text, [place])
    except NotByLines:
        whole = _removed(text, place)
    _check(text, whole, str(place[0]))
    return whole.replace("\n", newline)


def _removed(text: str, place: Path) -> str:
    """The same for an entry in flow style."""
    head, body, tail = _cut(text, str(place[0]))
    round_trip = _round_trip(text)
    try:
        holder = root = round_trip.load(body)
    except YAMLError:
        raise _unchangeable(str(place[0])) from None
    for part in place[:-1]:
        holder = holder[part]
    del holder[place[-1]]
    stream = io.StringIO()
    round_trip.dump(root, stream)
    return head + stream.getvalue() + tail


def put_section(text: str, section: str, written: str) -> str:
    """The text with one section as the user has written it, comments included.

    Args:
        text: the whole file.
        section: its top-level key.
        written: `section:` and its content.
    """
    head, _, tail = _cut(text, section)
    if head and not head.endswith("\n"):
        head += "\n"
    whole = head + written.rstrip("\n") + "\n" + tail
    _check(text, whole, section)
    return whole


def section_text(text: str, section: str) -> str:
    """The section as written, without what follows up to the next one; empty if it isn't there."""
    return _cut(text, section)[1]


def _cut(text: str, section: str) -> tuple[str, str, str]:
    """The text before, in and after a section. If it can't be cut, all of it counts as the section."""
    try:
        root = compose(text)
    except DocumentError:
        raise SettingsError("The settings file isn't YAML.", "Correct it by hand first.") from None
    if root is None:
        return text, "", ""
    if not isinstance(root, MappingNode) or root.flow_style:
        return "", text, ""
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in root.value] + [len(lines)]
    for number, (key, _) in enumerate(root.value):
        if key.value == section:
            start, end = starts[number], starts[number + 1]
            while end > start + 1 and _is_between(lines[end - 1]):
                end -= 1
            return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])
    return text, "", ""


def _without_gone(body: str, section: str, before: Data, after: Data) -> tuple[str, Data]:
    """The section's text without removed rows and entries and their comments, and the remaining data."""
    gone = list(_removed_places((section,), before, after))
    if not body or not gone:
        return body, before
    try:
        body = without(body, gone)
    except (NotByLines, DocumentError):
        return body, before  # left to the merge below
    before = copy.deepcopy(dict(before))
    for place in sorted(gone, key=lambda place: [str(part).zfill(9) for part in place], reverse=True):
        holder: Any = before
        for part in place[1:-1]:
            holder = holder[part]
        del holder[place[-1]]
    return body, before


def _removed_places(place: Path, before: Any, after: Any) -> Iterator[Path]:
    """The places that `after` no longer has, except where removing them would leave nothing."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        kept = [key for key in before if key in after]
        for key in before if kept else ():
            if key in after:
                yield from _removed_places((*place, key), before[key], after[key])
            else:
                yield (*place, key)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = [_identity(item) for item in before], [_identity(item) for item in after]
        if len(set(old)) < len(old) or len(set(new)) < len(new) or not set(old) & set(new):
            return
        for number, identity in enumerate(old):
            if identity in new:
                yield from _removed_places((*place, number), before[number], after[new.index(identity)])
            else:
                yield (*place, number)


def _is_between(line: str) -> bool:
    """Whether a line belongs to no section: blank, a comment at the margin, or the end of a document."""
    return not line.strip() or line.startswith(("#", "..."))


def _changed(head: str, body: str, section: str, before: Data, after: Data, short: Data) -> str:
    round_trip = _round_trip(head + body)
    root = round_trip.load(body) if body else CommentedMap()
    if not isinstance(root, CommentedMap):
        raise _unchangeable(section)
    node = root.get(section)
    if isinstance(node, CommentedMap) and node and isinstance(after, Mapping):
        _merge(node, before, after, short)  # type: ignore[arg-type]
    elif isinstance(node, CommentedSeq) and node and after and isinstance(after, list):
        _merge_list(node, before, after, short)  # type: ignore[arg-type]
    else:
        _put(root, section, short)
    stream = io.StringIO()
    round_trip.dump(root, stream)
    written = stream.getvalue()
    if body or not head.strip():
        return written if body.endswith("\n") or not body else written.rstrip("\n")
    return ("" if head.endswith("\n") else "\n") + "\n" + written


class _Float(float):
    """A number with its text: ruamel.yaml writes some large ones with another last digit."""

    text: str


class _Constructor(RoundTripConstructor):
    """Reads numbers with their text."""


def _float_with_text(constructor: RoundTripConstructor, node: ScalarNode) -> _Float:
    number = _Float(constructor.construct_yaml_float(node))
    number.text = node.value
    return number


_Constructor.add_constructor("tag:yaml.org,2002:float", _float_with_text)


class _Representer(RoundTripRepresenter):
    """Writes null as null, not as an empty value, and numbers as they were read."""


def _null(representer: RoundTripRepresenter, _value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text_of_float(representer: RoundTripRepresenter, number: _Float) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:float", number.text)


_Representer.add_representer(type(None), _null)
_Representer.add_representer(_Float, _text_of_float)


def _round_trip(text: str) -> YAML:
    """A reader and writer with the text's indentation."""
    round_trip = YAML()
    round_trip.Constructor = _Constructor
    round_trip.Representer = _Representer
    round_trip.preserve_quotes = True
    round_trip.width = WIDE
    round_trip.brace_single_entry_mapping_in_flow_sequence = True  # [{object: x}]
    nested = re.search(
        r"^(?![#\s-])[^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( +)(?![ #-])", text, re.MULTILINE
    )
    mapping = len(nested[1]) if nested else 2
    listed = re.search(
        r"^( *)(?![ #-])[^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)-( +)", text, re.MULTILINE
    )
    offset = max(0, len(listed[2]) - len(listed[1])) if listed else 2
    round_trip.indent(mapping=mapping, sequence=offset + (1 + len(listed[3]) if listed else 2), offset=offset)
    return round_trip


def _merge(node: CommentedMap, before: Mapping[str, Any], after: Mapping[str, Any], short: Mapping[str, Any]) -> None:
    """Updates the written values from `before` to `after`, key by key."""
    for key in [key for key in node if key not in after]:
        _remove(node, key)
    for key, value in after.items():
        if key in before and before[key] == value:
            continue
        old, old_node, written = before.get(key), node.get(key), short.get(key, value)
        if value in ({}, []):
            _put(node, key, value)
        elif isinstance(old_node, CommentedMap) and old_node and isinstance(value, Mapping):
            _merge(old_node, old if isinstance(old, Mapping) else {}, value, written)
        elif isinstance(old_node, CommentedSeq) and old_node and isinstance(value, list) and isinstance(old, list):
            _merge_list(old_node, old, value, written)
        else:
            _put(node, key, written)


def _merge_list(node: CommentedSeq, before: Sequence[Any], after: Sequence[Any], short: Sequence[Any]) -> None:
    """The same for a list: an entry that is kept keeps its comments, even if it has moved."""
    end = _take_tail(node)
    old, new = [_identity(item) for item in before], [_identity(item) for item in after]
    opcodes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for kind, old_from, old_to, new_from, new_to in reversed(opcodes):
        if kind == "equal":
            for index, number in zip(range(old_from, old_to), range(new_from, new_to), strict=True):
                if isinstance(node[index], CommentedMap) and isinstance(after[number], Mapping):
                    _merge(node[index], before[index], after[number], short[number])
            continue
        for index in range(old_to - 1, old_from - 1, -1):
            del node[index]
        for number in range(new_to - 1, new_from - 1, -1):
            node.insert(old_from, _node(short[number]))
    _add_tail(node, end)


def _identity(item: Any) -> str:
    """The identity of a list entry: its object, or its whole value."""
    return str(item.get("object")) if isinstance(item, Mapping) else repr(item)


def _put(node: CommentedMap, key: str, value: Any) -> None:
    """Sets a key; comments below the former value stay below the new one."""
    end = _take_tail(node, key) if key in node else _take_tail(node)
    node[key if key in node else _node(key)] = _node(value)
    _add_tail(node, end, key)


def _remove(node: CommentedMap, key: str) -> None:
    """Removes a key; the comments below it belong to what follows, and stay."""
    keys = list(node)
    place, end = keys.index(key), _take_tail(node, key)
    del node[key]
    node.ca.items.pop(key, None)
    if place:
        _add_tail(node, end, keys[place - 1])


def _node(value: Any) -> Any:
    """A value for ruamel.yaml; text that YAML would read as another type gets quotes."""
    if isinstance(value, Mapping):
        return CommentedMap((_node(key), _node(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return CommentedSeq(_node(item) for item in value)
    if isinstance(value, str):
        tags = {str(resolver.resolve(ScalarNode, value, (True, False))) for resolver in _DIALECTS}
        if tags != {"tag:yaml.org,2002:str"} or not value.isprintable():
            return DoubleQuotedScalarString(value)
    return value


# ruamel.yaml attaches comments and blank lines to the key or entry before them. A "tail" is what is on the lines below
# an entry; it must move when the entry before it changes.


def _take_tail(node: Any, key: Any = None) -> str:
    """Detaches the tail of a mapping's or list's last entry, or of one of its entries."""
    holder, last = _last(node, key)
    slot = _slot(holder)
    comments = holder.ca.items.get(last) if last is not None else None
    if comments is None or not isinstance(comments[slot], CommentToken):
        return ""
    token = comments[slot]
    first, newline, rest = token.value.partition("\n")
    token.value = first + newline
    if not first:
        comments[slot] = None
        if not any(comments):
            del holder.ca.items[last]
    return str(rest)


def _add_tail(node: Any, tail: str, key: Any = None) -> None:
    """Attaches a tail below a mapping's or list's last entry, or below one of its entries."""
    if not tail:
        return
    holder, last = _last(node, key)
    if last is None:
        return
    comments = holder.ca.items.setdefault(last, [None, None, None, None])
    slot = _slot(holder)
    if isinstance(comments[slot], CommentToken):
        comments[slot].value = comments[slot].value.rstrip("\n") + "\n" + tail
    else:
        comments[slot] = CommentToken("\n" + tail, CommentMark(0), None)


def _slot(holder: Any) -> int:
    """Where ruamel.yaml stores the comment behind an entry."""
    return 2 if isinstance(holder, CommentedMap) else 0


def _last(node: Any, key: Any = None) -> tuple[Any, Any]:
    """The innermost last entry: its mapping or list, and its key or index."""
    if key is None:
        if not node:
            return node, None
        key = list(node)[-1] if isinstance(node, CommentedMap) else len(node) - 1
    value = node[key]
    if isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        return _last(value)
    return node, key


def _check(before: str, after: str, section: str) -> None:
    """Checks that no other section has changed its meaning."""
    try:
        old, new = parse(before).data or {}, parse(after).data or {}
    except DocumentError:
        raise _unchangeable(section) from None
    if not isinstance(new, dict) or {**old, section: None} != {**new, section: None}:
        raise _unchangeable(section)


def _unchangeable(section: str) -> SettingsError:
    return SettingsError(
        f"{section} is written in a way that can't be changed here: nothing was written.",
        "Write the file as plain YAML, one section below the other, or change it by hand.",
    )
