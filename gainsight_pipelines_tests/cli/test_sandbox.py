"""The environment of commands that use the sandbox names no real tenant and no database."""

from __future__ import annotations

from gainsight_pipelines.cli.sandbox import without_tenants


def test_tenants_and_databases_are_left_out_and_what_says_how_to_work_is_kept() -> None:
    real = (
        "GAINSIGHT_API_KEY",
        "GAINSIGHT_API_KEY_FILE",
        "SALESFORCE_INSTANCE_URL",
        "HUBSPOT_ACCESS_TOKEN",
        "GAINSIGHT_PIPELINES_DATABASE_URL",
        "GAINSIGHT_PIPELINES_SETTINGS",
        "DAGSTER_POSTGRES_URL",
        "DAGSTER_HOME",
    )
    kept = {"PATH": "/bin", "GAINSIGHT_PIPELINES_GATE_SECONDS": "2", "GAINSIGHT_PIPELINES_DOCS_URL": "https://docs"}
    assert without_tenants(kept | dict.fromkeys(real, "x")) == kept
