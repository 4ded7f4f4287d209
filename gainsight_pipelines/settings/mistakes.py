"""Error messages for a section's mistakes: the place, the value, and what is expected.

Values are hidden if a key on the way looks secret or is not a setting, so no secret gets into a message.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gainsight_pipelines.near_matches import near_matches
from gainsight_pipelines.objects.section import Section, Takes
from gainsight_pipelines.settings.models import SECTIONS
from gainsight_pipelines.settings.yaml_document import Document, Path

_SECRET = re.compile(
    r"api_?key|token|passw|secret|credential|private_?key|(^|_)(pwd|auth|authorization)(_|$)", re.IGNORECASE
)
_MAX_SHOWN = 60

_SECRET_VARIABLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    # section → (what the key holds, variable); the first match wins, the last entry is the section's usual secret
    "primary_crm": (
        ("security", "SALESFORCE_SECURITY_TOKEN"),
        ("token", "HUBSPOT_ACCESS_TOKEN"),
        ("passw", "SALESFORCE_PASSWORD"),
        ("private", "SALESFORCE_JWT_KEY_FILE"),
        ("", "SALESFORCE_CLIENT_SECRET"),
    ),
    "": (("", "GAINSIGHT_API_KEY"),),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in the file; `text` is a sentence without its full stop, `path` is its place."""

    line: int | None
    text: str
    path: Path = ()

    def __str__(self) -> str:
        return f"{self.text}." if self.line is None else f"line {self.line}: {self.text}."


def looks_secret(key: str) -> bool:
    """Whether a key's name suggests a secret."""
    return _SECRET.search(key.replace("-", "_").replace(" ", "_")) is not None


def unknown_section(name: str, document: Document) -> Mistake:
    """The mistake for an unknown top-level key."""
    return Mistake(document.line((name,)), _unknown((name,), SECTIONS), (name,))


def not_a_mapping(section: str, value: object, document: Document) -> Mistake:
    """The mistake for a section that is a scalar or a list. The value is hidden: it may be a misplaced key."""
    kind = "a list" if isinstance(value, list) else "a single value"
    model = SECTIONS[section]
    takes = f"a mapping with the settings {', '.join(model.model_fields)}"
    if model.listed:
        takes = next(each.text for each in model.model_fields[model.listed].metadata if isinstance(each, Takes))
    text = f"{section} is {kind}; it takes {takes}"
    return Mistake(document.line((section,)), text, (section,))


def problems(section: str, document: Document) -> Iterator[Mistake]:
    """What the document couldn't represent of a section."""
    for problem in document.problems:
        if problem.path[:1] == (section,):
            yield Mistake(document.line(problem.path), f"{place(problem.path)} {problem.text}", problem.path)


def invalid(section: str, error: ValidationError, document: Document) -> Iterator[Mistake]:
    """Pydantic's findings in a section, as mistakes."""
    found = error.errors(include_url=False)
    for details in found:
        if details["type"] == "too_short" and any(len(other["loc"]) > len(details["loc"]) for other in found):
            continue  # it counts the valid rows; the invalid ones have their own mistakes
        path = (section, *(part for part in details["loc"] if part != "[key]"))
        written = path
        if path[1:2] == (SECTIONS[section].listed,):
            written = (section, *path[2:])  # the rows are written directly under the section
        is_of_file = isinstance(document.data, dict) and not isinstance(document.data.get(section), dict)
        yield Mistake(document.line(written), _sentence(written, details), written if is_of_file else path)


def place(path: Path) -> str:
    """A place in the file as a person would write it: surveys.objects[1].object."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_shortened(part)}" if text else _shortened(part)
    return text


def shown(value: object) -> str:
    """A value for a message: short, printable, on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} with {len(value)} entries"
    try:
        return _shortened(repr(value) if isinstance(value, str) else str(value))
    except ValueError:  # an integer too long for Python to print
        return "a very long number"


def _sentence(path: Path, details: ErrorDetails) -> str:
    kind, keys = details["type"], [part for part in path if isinstance(part, str)]
    model, field = _field(path)
    if kind == "extra_forbidden":
        return _unknown(path, model.model_fields if model else ())
    if kind == "missing":
        return f"{place(path)} is missing; {_takes(field)}"
    if any(looks_secret(key) for key in keys):
        return f"{place(path)} has an invalid value; {_takes(field)}. {_belongs(path)}"
    reason = str(details["ctx"]["error"]) if kind == "value_error" and "ctx" in details else ""
    if len(path) == 1 and reason:  # a rule about several settings of the section
        return f"{path[0]}.{reason}"
    if reason:
        return f"{place(path)} {reason}"
    return f"{place(path)} is {_wrong(path, details)}; {_near(path, details)}{_takes(field)}"


def _wrong(path: Path, details: ErrorDetails) -> str:
    value = details["input"]
    if path == ("gainsight", "base_url") and isinstance(value, str):
        return "not an address"
    return shown(value)


def _near(path: Path, details: ErrorDetails) -> str:
    value, known = details["input"], []
    if not isinstance(value, str):
        return ""
    if details["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    elif path == ("schedules", "timezone"):
        known = sorted(zoneinfo.available_timezones())
    near = near_matches(value, known)
    return f"probably {near[0]} was meant; " if near else ""


def _unknown(path: Path, known: Mapping[str, object] | tuple[()]) -> str:
    key, where = str(path[-1]), place(path)
    if looks_secret(key):
        return f"{where} is not a setting. {_belongs(path)}"
    near = near_matches(key, known)
    kind = "sections" if len(path) == 1 else "settings"
    hint = f"probably {near[0]} was meant; " if near else ""
    return f"{where} is not a setting; {hint}the {kind} here are {', '.join(known)}"


def _belongs(path: Path) -> str:
    section, key = str(path[0]), str(path[-1]).casefold()
    variables = _SECRET_VARIABLES.get(section, _SECRET_VARIABLES[""])
    if len(path) == 1 and "gainsight" not in key:
        variables = tuple(pair for pair in (*_SECRET_VARIABLES["primary_crm"][:-1], *variables))
    name = next(variable for part, variable in variables if part in key)
    return f"A secret belongs in the environment variable {name} (or in .env), never in the settings file"


def _takes(field: FieldInfo | None) -> str:
    takes = next((item for item in field.metadata if isinstance(item, Takes)), None) if field else None
    return f"it takes {takes.text}" if takes else "it takes something else"


def _field(path: Path) -> tuple[type[Section] | None, FieldInfo | None]:
    """The model with the last key of a path, and the innermost field on the way there."""
    model: type[Section] | None = SECTIONS.get(str(path[0]))
    holder, field = model, None
    for part in path[1:]:
        if isinstance(part, int):
            if model is not None and model.listed:
                field = model.model_fields[model.listed]
                model = model_in(field.annotation)
            continue
        holder = model
        if model is None or part not in model.model_fields:
            break
        field = model.model_fields[part]
        model = model_in(field.annotation)
    return holder, field


def model_in(annotation: Any) -> type[Section] | None:
    """The model inside an optional, a list or a plain annotation; None for a scalar."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in {Union, UnionType, tuple, Annotated}:
        inner = (model_in(item) for item in get_args(annotation) if item is not NoneType)
        return next((model for model in inner if model), None)
    return None


def _shortened(text: str) -> str:
    printable = text if text.isprintable() else ascii(text)[1:-1]
    return printable if len(printable) <= _MAX_SHOWN else f"{printable[: _MAX_SHOWN - 1]}…"
