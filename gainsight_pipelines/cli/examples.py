"""Examples for the end of each command's `--help`. A test parses each of them."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": ("init", "validate", "run --all", "status"),
    "run": ("run company activity", "run --all --json", "run surveys --full"),
    "status": ("status", "status --watch", "status --json"),
    "unmatched": ("unmatched company --limit 10", "unmatched --reason ambiguous", "unmatched --csv unmatched.csv"),
    "export": (
        "export activity --to activities.parquet",
        "export account_360 --to a.xlsx --columns name,arr",
        "export activity --to new.csv --since 2026-01-31",
    ),
    "deliver": ("deliver", "deliver activity account --full", "deliver --dry-run"),
    "metrics": ("metrics", "metrics --serve 9187"),
    "dbt-sources": (
        "dbt-sources > models/gainsight_sources.yml",
        "dbt-sources --into models/gainsight",
        "dbt-sources --delivered --into models/gainsight",
        "dbt-sources --key-prefix cs --name raw_gainsight",
    ),
    "alerts": ("alerts list", "alerts test"),
    "alerts list": ("alerts list", "alerts list --json"),
    "alerts test": ("alerts test",),
    "init": (
        "init",
        "init --without activity --without product_usage",
        "init --non-interactive --crm hubspot",
    ),
    "validate": ("validate", "validate --json", "validate --report tenant.json"),
    "objects": ("objects", "objects survey", "objects '*_usage__gc'"),
    "fields": ("fields company", "fields company arr --fill"),
    "crm-fields": ("crm-fields gsid", "crm-fields --fill"),
    "categories": ("categories", "categories --add --dry-run", "categories --add 'QBR call=MEETING' EBR"),
    "preview": (
        "preview activity",
        "preview survey_nps_survey__gc --records 1",
        "preview company --filter @filter.json",
    ),
    "demo": ("demo", "demo --crm hubspot"),
    "dev": ("dev", "dev --sandbox --settings-page"),
    "settings-page": ("settings-page", "settings-page --dagster http://127.0.0.1:3000"),
    "sandbox": ("sandbox", "sandbox --crm hubspot", "sandbox --like tenant.json"),
    "migrate": ("migrate",),
    "grants": ("grants --role gainsight_puller", "grants --role bi --as reader --made-by owner"),
    "purge": ("purge --older-than 90 --dry-run",),
    "reset": ("reset --all",),
    "schema": ("schema > gainsight.schema.json",),
    "settings": ("settings show surveys", "settings set surveys.lookback_days 7"),
    "settings show": ("settings show", "settings show surveys"),
    "settings set": (
        "settings set surveys.lookback_days 7",
        "settings set 'surveys.objects[0].survey_type' 'NPS #1'",
        """settings set 'activity.reporting_categories["QBR"]' EMAIL""",
    ),
    "settings unset": (
        "settings unset surveys.filter",
        """settings unset 'activity.reporting_categories["QBR"]'""",
    ),
    "settings edit": ("settings edit activity", "settings edit surveys --json < surveys.json"),
    "settings diff": ("settings diff", "settings diff 3"),
    "settings history": ("settings history",),
    "settings restore": ("settings restore 3 --dry-run",),
}


def epilogue(command: str) -> str:
    """The examples below a command's help."""
    lines = EXAMPLES[command]
    return "\n".join(
        ["Example:" if len(lines) == 1 else "Examples:", *(f"  gainsight-pipelines {one}" for one in lines)]
    )
