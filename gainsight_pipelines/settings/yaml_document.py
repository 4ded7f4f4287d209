"""Parses a YAML document into plain data, with the line of each place. Knows nothing of what the settings mean.

YAML 1.2, as ``yaml_edit`` writes it: `yes` and `on` are text.

Safe by construction: ruamel.yaml composes nodes, which are turned into data here. No tag creates objects, keys are
unique, and neither depth nor aliases can make a small file large.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1_000_000
MAX_NODES = 50_000  # with every alias followed
MAX_DEPTH = 40

Path = tuple[str | int, ...]

_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null"))
_DATE_TAG = "tag:yaml.org,2002:timestamp"


class DocumentError(Exception):
    """The text isn't a usable YAML document. The message contains none of its text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something at one place of the document that can't be represented."""

    path: Path
    text: str


@dataclass(slots=True)
class Document:
    """The data of a document.

    Attributes:
        data: mappings as dicts with text keys, lists, scalars and dates.
        lines: the line of each place, from 1.
        problems: what could not be represented, with its place.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of the place, or of the nearest place around it."""
        for end in range(len(path), -1, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return line
        return None


def parse(text: str) -> Document:
    """Parses one YAML document.

    Raises:
        DocumentError: not YAML, several documents, too deep or too large.
    """
    node = compose(text)
    document = Document()
    if node is not None:
        document.data = _Reader(document).read(node, ())
    return document


@lru_cache(maxsize=2)
def compose(text: str) -> Node | None:
    """The nodes of one YAML document, with their lines; None for an empty one. Nobody may change them.

    Remembered, as a run reads the same settings several times, and this is what that costs.

    Raises:
        DocumentError: not YAML, several documents, or too deep.
    """
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
        return node
    except YAMLError as error:
        raise DocumentError(_reason(error)) from None
    except RecursionError:
        raise DocumentError("it is nested too deeply") from None
    except Exception:  # noqa: BLE001 (the scanner lets ValueError and others through on odd escapes)
        raise DocumentError("it isn't YAML") from None


def _reason(error: YAMLError) -> str:
    """The parser's reason, without the text that it quotes, which may be a misplaced secret."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a character that YAML doesn't allow"
    quoted = r"""'(?![<])[^']{2,}'|"[^"]{2,}\""""
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return where + re.sub(quoted, "…", str(problem).splitlines()[0])


class _Reader:
    """Turns nodes into data."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0
        self._scalars = YAML(typ="safe", pure=True).constructor

    def read(self, node: Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise DocumentError("it is too large, too deep, or refers to itself")
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS and node.tag != _DATE_TAG:
            self._problem(path, "has a YAML tag or a special form; put the value in quotes")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in data:
                self._problem((*path, key), f"occurs twice (line {key_node.start_mark.line + 1}); keep one")
                continue
            self._document.lines[*path, key] = key_node.start_mark.line + 1
            data[key] = self.read(value_node, (*path, key))
        return data

    def _key(self, node: Node, path: Path) -> str | None:
        if isinstance(node, ScalarNode):
            if node.tag in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                return str(node.value)
            text = f"is read by YAML as {_read_as(node)}, not as text; put it in quotes"
            place = (*path, str(node.value))
            self._document.lines.setdefault(place, node.start_mark.line + 1)
            self._problem(place, text)
        else:
            self._problem(path, "has a mapping or a list as a key; keys must be text")
        return None

    def _scalar(self, node: Node) -> Any:
        try:
            return self._scalars.construct_object(node)
        except Exception:  # noqa: BLE001 (2026-13-45 looks like a date and isn't; whatever: it stays a text)
            return str(node.value)

    def _problem(self, path: Path, text: str) -> None:
        self._document.problems.append(Problem(path, text))


def _read_as(node: Node) -> str:
    kind = str(node.tag).rpartition(":")[2]
    return {"bool": "true or false", "null": "nothing", "timestamp": "a date"}.get(kind, "a number")
