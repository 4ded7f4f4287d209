"""Generates the dbt package's sources and staging models from the data contract.

`python -m gainsight_pipelines_tests.dbt.generated` writes them to dbt/models/. A test checks that they are current.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gainsight_pipelines.orchestration.build import load_gainsight_asset_specs
from gainsight_pipelines.orchestration.dbt_models import staging_properties, staging_sql
from gainsight_pipelines.orchestration.dbt_sources import as_yaml, dbt_sources, prefixed
from gainsight_pipelines.store.contract import RELATIONS, SCHEMA

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dbt"
MODELS = PACKAGE / "models"
EXAMPLE = ROOT / "examples" / "dagster-project"
EXAMPLE_SETTINGS = EXAMPLE / "src" / "cs_analytics" / "defs" / "gainsight" / "gainsight.yaml"
EXAMPLE_SOURCES = EXAMPLE / "analytics" / "models" / "gainsight" / "gainsight_sources.yml"
MARK = "Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract."

SETTINGS: dict[str, Any] = {
    "gainsight": {"base_url": "https://your-tenant.gainsightcloud.com"},
    "primary_crm": {"kind": "salesforce"},
    "company": {},
    "activity": {},
    "surveys": {"objects": [{"object": "survey_response"}]},
    "product_usage": {"object": "usage__gc"},
}
"""Settings with the documented names and cadences, from which the package's sources are generated."""

MATCH_METHODS = ("direct", "gsid_field", "domain")
REASONS = ("no_company", "no_account", "ambiguous")
ACCOUNT = {"relationships": {"arguments": {"to": "ref('stg_gainsight__account')", "field": "account_id"}}}
LINK: dict[str, Any] = {"match_method": MATCH_METHODS, "unmatched_reason": REASONS}


@dataclass(frozen=True)
class Staged:
    """Facts about a table beyond its columns.

    `values`: the accepted values of a column. `depends_on`: the variable that lists further sources of the table.
    """

    key: tuple[str, ...]
    never_empty: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ("deleted_at",)
    depends_on: str | None = None
    folder: str = "staging"


HISTORY = ("first_seen_at", "changed_at", "run_id")
OPERATIONS = "staging/operations"
STAGED: Mapping[str, Staged] = {
    "account": Staged(
        ("account_id",), ("crm", "gsids", *HISTORY), {"crm": ("salesforce", "hubspot")}, ("deleted_at", "merged_into")
    ),
    "company": Staged(("gsid",), ("attributes", *HISTORY), LINK),
    "activity": Staged(
        ("activity_id",),
        ("source", "source_object", "activity_type", *HISTORY),
        {
            "source": ("timeline", "survey"),
            "activity_type": ("EMAIL", "MEETING", "TYPE_MANUAL", "SURVEY"),
            "nps_group": ("promoter", "passive", "detractor"),
            **LINK,
        },
        depends_on="gainsight_survey_sources",
    ),
    "usage_metric": Staged(("object", "record_id", "metric"), ("product_name", "secondary", *HISTORY), LINK),
    "record": Staged(("object", "gsid"), ("attributes", *HISTORY), LINK, depends_on="gainsight_object_sources"),
    "custom_field": Staged(("entity", "source_object", "name"), ("first_seen_at", "last_seen_at"), folder=OPERATIONS),
    "rejected_record": Staged(
        ("object", "payload_hash"), ("payload", "reason", "first_seen_at", "last_seen_at", "run_id"), folder=OPERATIONS
    ),
    "sync_run": Staged(
        ("run_id", "object"),
        ("status", "started_at", "product_version"),
        {"status": ("running", "completed", "failed", "gated", "skipped")},
        folder=OPERATIONS,
    ),
    "sync_cursor": Staged(("object", "scope"), ("run_id", "updated_at"), folder=OPERATIONS),
    "crm_gate": Staged(("only_row",), ("is_open", "reason", "message", "since", "checked_at"), folder=OPERATIONS),
}


def files() -> dict[Path, str]:
    """Text by path, including the example project's sources as `dbt-sources --key-prefix cs` prints them there."""
    specs = load_gainsight_asset_specs(SETTINGS)
    found = {
        MODELS / "sources.yml": f"# {MARK}\n" + dbt_sources(specs, SCHEMA, "gainsight"),
        EXAMPLE_SOURCES: dbt_sources(
            prefixed(load_gainsight_asset_specs(EXAMPLE_SETTINGS), ("cs",)), SCHEMA, "gainsight"
        ),
    }
    entries: dict[str, list[dict[str, Any]]] = {}
    for table, staged in STAGED.items():
        model, columns = f"stg_gainsight__{table}", RELATIONS[table].columns
        before = f"-- {MARK}\n"
        if staged.folder == OPERATIONS:
            before += "{{ config(enabled=gainsight_pipelines.has_operations()) }}\n"
        if staged.depends_on:
            before += (
                f"{{% for name in var('{staged.depends_on}') %}}\n"
                "-- depends_on: {{ source('gainsight', name) }}\n{% endfor %}\n"
            )
        sql = staging_sql(f"{{{{ source('gainsight', '{table}') }}}}", columns, left_out=staged.left_out, before=before)
        found[MODELS / staged.folder / f"{model}.sql"] = sql
        is_live = "deleted_at" in columns
        description = RELATIONS[table].meaning + (" Live rows alone." if is_live else "")
        entry = staging_properties(model, description, columns, left_out=staged.left_out)
        _add_tests(entry, staged)
        entries.setdefault(staged.folder, []).append(entry)
    for folder, models in entries.items():
        found[MODELS / folder / "staging.yml"] = f"# {MARK}\n" + as_yaml({"version": 2, "models": models})
    return found


def _add_tests(entry: dict[str, Any], staged: Staged) -> None:
    if len(staged.key) > 1:
        entry["data_tests"] = [{"unique_together": {"arguments": {"columns": list(staged.key)}}}]
    for column in entry["columns"]:
        name, tests = column["name"], list[Any]()
        if name in (*staged.key, *staged.never_empty):
            tests.append("not_null")
        if staged.key == (name,):
            tests.append("unique")
        if name in staged.values:
            tests.append({"accepted_values": {"arguments": {"values": list(staged.values[name])}}})
        if name == "account_id" and staged.key != (name,):
            # After an account is deleted, its records still refer to it until the next pull of their object.
            tests.append({"relationships": {**ACCOUNT["relationships"], "config": {"severity": "warn"}}})
        if tests:
            column["data_tests"] = tests


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
