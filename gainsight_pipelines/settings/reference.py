"""docs/settings.md, made from the models: every setting with what it takes, its default and its meaning."""

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
[`gainsight.example.yaml`](../gainsight.example.yaml) has all of it with comments, [`examples/`](../examples) has files
for common tenants. Secrets are never in it: they come from the environment, from `.env` beside it, or from files that
either names ([`.env.example`](../.env.example)).

- A section that is missing is not configured; an object's section that is missing is not pulled.
- Each section is checked by itself: a mistake in one stops its own pulls and no others. An unknown name is a mistake.
- A run reads the file anew. Objects that are new or gone and other schedules are seen when Dagster's code location is
  reloaded: by [the settings page](settings-page.md), or by the commands below with `--dagster` and its address.

## Changing them

| command | does |
|---|---|
| `gainsight-pipelines settings show [SECTION]` | what holds, defaults filled in, as JSON |
| `gainsight-pipelines settings set surveys.lookback_days 7` | one setting (see below) |
| `gainsight-pipelines settings unset surveys.lookback_days` | one setting out of the file: its default holds again |
| `gainsight-pipelines settings edit SECTION [--json]` | a section in your editor, as it stands in the file or as JSON |
| `gainsight-pipelines settings diff [VERSION]` | what has changed since |
| `gainsight-pipelines settings history` | the versions: when, by whom, how |
| `gainsight-pipelines settings restore VERSION` | an earlier version again |
| `gainsight-pipelines schema` | the JSON Schema, for editors |
| `gainsight-pipelines settings-page` | all of it in a browser: [the settings page](settings-page.md) |

`set` takes places like `surveys.objects[0].survey_type` (the first row of a list) and
`activity.reporting_categories["QBR call"]` (a name with blanks). A text is taken as it is given: `"NPS #1"` is NPS #1.
`unset` also takes out a row of a list or an entry of a mapping, with the comments right above it. From a pipe, `edit`
takes the section from there. An edit that you leave (Ctrl-C) keeps its text in a file of its own and says where.

The file is YAML 1.2: `true` and `false` switch things, while `yes`, `no`, `on` and `off` are texts.

They keep the file's comments and order, refuse what isn't valid (`--dry-run` shows what would change), write
all or nothing, don't write over what somebody else changed in the meantime, and keep every version in
`.gainsight_pipelines/settings_history/` beside the file.
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
    """The settings of a model, those of mappings and rows inside of it behind their own."""
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
