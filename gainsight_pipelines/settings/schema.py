"""Generates the JSON Schema of the settings file, for editors, from the models."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, create_model

from gainsight_pipelines.settings.models import SECTIONS


def settings_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a settings file. Every section may be missing or empty."""
    fields: dict[str, Any] = {
        name: ((model.model_fields[model.listed].annotation if model.listed else model) | None, None)  # type: ignore[operator]
        for name, model in SECTIONS.items()
    }
    document = create_model("SettingsFile", __config__=ConfigDict(extra="forbid"), **fields)
    schema = document.model_json_schema()
    schema.pop("description", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "gainsight_pipelines settings",
    }
