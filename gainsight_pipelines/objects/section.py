"""Building blocks of a settings section: the base model, types of settings, and checks that pydantic lacks.

Each object defines its own section with these; sections that belong to no object are in `settings.models`. Scalars are
strict, so that YAML's `yes`, `"5"` or `1` are not converted. `Takes` says what a setting takes, for error messages;
`description` is for the JSON Schema and the generated documentation.

A check raises ValueError with the end of a sentence; an empty one means "see what the setting takes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from gainsight_pipelines.text import clean_text, name_key, visible

OBJECT_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
FIELD_NAME = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
FIELD_WORDS = "the API name of a field (letters, digits, _ and .)"
OBJECT_WORDS = "the API name of a Gainsight object (letters, digits and _)"


@dataclass(frozen=True, slots=True)
class Takes:
    """What a setting takes, as the end of a sentence that begins with "it takes"."""

    text: str


class Section(BaseModel):
    """The base of all sections and the mappings inside them.

    `listed`: the setting that a section consists of when it is written as a plain list of rows; None: it is a mapping.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    listed: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _rows_by_themselves(cls, value: Any) -> Any:
        return {cls.listed: value} if cls.listed and isinstance(value, list | tuple) else value


def _pasted(value: object) -> object:
    """A name without invisible characters pasted along from web pages; other values are returned unchanged."""
    shown = visible(value) if isinstance(value, str) else ""
    return shown if re.fullmatch(FIELD_NAME, shown) else value


FieldName = Annotated[str, BeforeValidator(_pasted), Field(strict=True, max_length=255, pattern=FIELD_NAME)]
ObjectName = Annotated[str, BeforeValidator(_pasted), Field(strict=True, max_length=255, pattern=OBJECT_NAME)]
Text = Annotated[str, AfterValidator(clean_text), Field(strict=True, min_length=1, max_length=255)]

Enabled = Annotated[
    StrictBool,
    Field(description="Whether the object is pulled. A section that isn't in the file is not enabled."),
    Takes("true or false"),
]
GsidOverride = Annotated[
    FieldName | None,
    Field(description="CRM account field with the GSID for this object; overrides common.gsid_field."),
    Takes(f"{FIELD_WORDS} of the CRM's account object, or null"),
]


def is_object_name(value: object) -> bool:
    """Whether a value can be the API name of a Gainsight object."""
    return isinstance(value, str) and len(value) <= 255 and re.fullmatch(OBJECT_NAME, visible(value)) is not None


def field_names(value: object) -> object:
    """A list of field names, without duplicates."""
    if not isinstance(value, list | tuple):
        raise ValueError  # noqa: TRY004 (pydantic turns ValueError, not TypeError, into an error of the file)
    names = [visible(name) if isinstance(name, str) else name for name in value]
    for number, name in enumerate(names, start=1):
        if not isinstance(name, str) or len(name) > 255 or not re.fullmatch(FIELD_NAME, name):
            raise ValueError(f"has an entry (number {number}) that isn't {FIELD_WORDS}; it takes all, or such a list")
    each_once(names, name_key, "field")
    return names


def each_once(names: Iterable[str], key: Callable[[str], str], what: str, why: str = "") -> None:
    """Refuses names that are equal once compared by `key`."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.get(key(name))
        if first is not None:
            same = f"{name} twice" if first == name else f"{first} and {name}, which are the same"
            raise ValueError(f"has the {what} {same}" + (f" ({why})" if why else ""))
        seen[key(name)] = name


def day_of(value: str) -> date:
    """Parses a date written as text."""
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        raise ValueError from None  # without Python's own message
