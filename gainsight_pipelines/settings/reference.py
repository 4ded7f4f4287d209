"""Generates docs/settings.md from the models: every setting with its values, default and meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gainsight_pipelines.objects.section import Section, Takes
from gainsight_pipelines.settings.mistakes import model_in
from gainsight_pipelines.settings.models import SECTIONS

INTRODUCTION = """\
# Settings

<!-- Written by `python -m gainsight_pipelines.settings.reference > docs/settings.md`; a test holds it against the
models. -->

One YAML file: `gainsight.yaml` in the working directory, or the path in `GAINSIGHT_PIPELINES_SETTINGS` or `--settings`.
[`gainsight.example.yaml`](../gainsight.example.yaml) shows all settings with comments; [`examples/`](../examples) has
files for common tenants. Secrets are never in it: they come from the environment, from `.env` beside it, or from files
that either names ([`.env.example`](../.env.example)).

- A missing section is not configured; an object without its section is not pulled.
- Each section is validated independently: a mistake stops its own pulls only. An unknown name is a mistake.
- Each run reads the file again. New and removed objects, and new schedules, appear when Dagster's code location is
  reloaded: by [the settings page](settings-page.md), or by the commands below with `--dagster` and its address.

## Changing them

| command | does |
|---|---|
| `gainsight-pipelines settings show [SECTION]` | shows the effective settings, defaults filled in, as JSON |
| `gainsight-pipelines settings set surveys.lookback_days 7` | changes one setting (see below) |
| `gainsight-pipelines settings unset surveys.lookback_days` | removes one setting: its default applies again |
| `gainsight-pipelines settings edit SECTION [--json]` | opens a section in your editor, as YAML or as JSON |
| `gainsight-pipelines settings diff [VERSION]` | shows what has changed since |
| `gainsight-pipelines settings history` | lists the versions: when, by whom, how |
| `gainsight-pipelines settings restore VERSION` | restores an earlier version |
| `gainsight-pipelines schema` | prints the JSON Schema, for editors |
| `gainsight-pipelines settings-page` | opens all of it in a browser: [the settings page](settings-page.md) |

`set` takes places like `surveys.objects[0].survey_type` (the first row of a list) and
`activity.reporting_categories["QBR call"]` (a name with blanks). Text is taken literally: `"NPS #1"` is NPS #1.
`unset` also removes a row of a list or an entry of a mapping, with the comments right above it. `edit` also reads the
section from a pipe. If you leave an edit with Ctrl-C, its text is kept in a separate file, whose path is printed.

The file is YAML 1.2: `true` and `false` switch things; `yes`, `no`, `on` and `off` are text.

All these commands keep the file's comments and order, refuse invalid settings (`--dry-run` shows the change), write
atomically, don't overwrite concurrent changes, and keep every version in `.gainsight_pipelines/settings_history/`
beside the file.
"""


def page() -> str:
    """docs/settings.md."""
    return INTRODUCTION + "".join(_section(name, model) for name, model in SECTIONS.items())


def _section(name: str, model: type[Section]) -> str:
    inside = model_in(model.model_fields[model.listed].annotation) if model.listed else model
    assert inside is not None
    parts = [f"\n## {name}\n\n{_text(model)}\n\n", "| setting | takes | default | meaning |\n|---|---|---|---|\n"]
    for path, field in _fields(inside, ""):
        takes = next(item.text for item in field.metadata if isinstance(item, Takes))
        parts.append(f"| `{path}` | {_cell(takes)} | {_default(field)} | {_cell(field.description or '')} |\n")
    return "".join(parts)


def _fields(model: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """The settings of a model; those of nested mappings and rows follow their parent."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        inner = model_in(field.annotation)
        if inner is not None:
            rows = "[]" if get_origin(field.annotation) is tuple else ""
            yield from _fields(inner, f"{prefix}{name}{rows}.")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "must be set"
    return f"`{json.dumps(_plain(value))}`"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _text(model: type[Section]) -> str:
    return " ".join((model.__doc__ or "").split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
