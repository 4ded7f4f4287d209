"""The environment during a delivery: dlt finds this tenant's credentials there, and no other tenant's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gainsight_pipelines.delivery.environment import dlt_environment
from gainsight_pipelines.settings import Secrets


def test_this_tenants_variables_are_there_meanwhile_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("postgresql://acme\n")
    (tmp_path / ".env").write_text("ACME_DESTINATION__SNOWFLAKE__CREDENTIALS__PASSWORD=p$d\n")
    monkeypatch.setenv("ACME_DESTINATION__POSTGRES__CREDENTIALS_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "another tenant's")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "INFO")
    before = dict(os.environ)
    with dlt_environment(Secrets.read(tmp_path / "gainsight.yaml", prefix="ACME_")):
        assert os.environ["DESTINATION__POSTGRES__CREDENTIALS"] == "postgresql://acme"
        assert os.environ["DESTINATION__SNOWFLAKE__CREDENTIALS__PASSWORD"] == "p$d"
        assert "DESTINATION__DUCKDB__CREDENTIALS" not in os.environ
        assert os.environ["RUNTIME__DLTHUB_TELEMETRY"] == "false"
        assert os.environ["RUNTIME__LOG_LEVEL"] == "INFO", "who has set it has it so"
        assert "memory_limit" in json.loads(os.environ["DESTINATION__DUCKDB__CREDENTIALS__GLOBAL_CONFIG"])
    assert dict(os.environ) == before
