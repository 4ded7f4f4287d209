"""Removes entries from the text of a YAML document, line by line. Knows YAML, not what the settings mean.

Each entry is removed with the comment lines right above it; everything else is kept exactly. Works only for entries in
block style on their own lines; the caller handles others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from gainsight_pipelines.settings.yaml_document import Path, compose


class NotByLines(Exception):
    """An entry can't be removed line by line: flow style, an alias, or two entries on one line."""


def without(text: str, places: Iterable[Path]) -> str:
    """The text without these entries of mappings (by key) and lists (by index).

    Raises:
        NotByLines: one of them isn't on its own lines, or isn't there.
    """
    root = compose(text)
    if len({id(node) for node in _nodes(root)}) != sum(1 for _ in _nodes(root)):
        raise NotByLines  # an alias has the lines of its anchor
    lines = text.splitlines(keepends=True)
    gone: set[int] = set()
    for place in places:
        gone |= set(_lines_of(lines, _holder(root, place), place[-1]))
    return "".join(_without(lines, gone))


def _without(lines: list[str], gone: set[int]) -> Iterator[str]:
    """The remaining lines. Where a gap would leave two consecutive blank lines, one is removed."""
    is_gap, last = False, ""
    for number, line in enumerate(lines):
        if number in gone:
            is_gap = True
            continue
        if is_gap and not line.strip() and not last.strip():
            continue
        is_gap, last = False, line
        yield line


def _nodes(node: Node | None, depth: int = 0) -> Iterator[Node]:
    if node is None or depth > 50:
        return
    yield node
    for child in _children(node):
        yield from _nodes(child, depth + 1)


def _is_flow(node: Node) -> bool:
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


def _holder(root: Node | None, place: Path) -> Node:
    """The mapping or list that contains an entry."""
    node = root
    for part in place[:-1]:
        if isinstance(node, MappingNode) and isinstance(part, str):
            node = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            raise NotByLines
    if node is None:
        raise NotByLines
    return node


def _lines_of(lines: list[str], holder: Node, part: str | int) -> range:
    """The line numbers of an entry, with the comments right above it."""
    if _is_flow(holder):
        raise NotByLines
    column = holder.start_mark.column
    if isinstance(holder, MappingNode):
        key, value = next(((key, value) for key, value in holder.value if key.value == part), (None, None))
        if key is None or value is None:
            raise NotByLines
        first = key.start_mark.line
    elif isinstance(holder, SequenceNode) and isinstance(part, int) and part < len(holder.value):
        value = holder.value[part]
        first = value.start_mark.line
        while first > 0 and not lines[first][column:].startswith("-"):
            first -= 1  # the dash is on the line above
    else:
        raise NotByLines
    if lines[first][:column].strip():
        raise NotByLines  # behind a list's dash
    last = max(first, _last_line(value))
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return range(first, last + 1)


def _last_line(node: Node) -> int:
    """The last line of a node."""
    if isinstance(node, ScalarNode) or _is_flow(node):
        end = node.end_mark
        return int(end.line if end.column else max(end.line - 1, node.start_mark.line))
    return max((_last_line(child) for child in _children(node)), default=int(node.start_mark.line))
