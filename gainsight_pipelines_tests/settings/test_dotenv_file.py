"""Keys written into `.env` are read back unchanged; only the owner can read the file; other lines stay."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.settings.dotenv_file import write_secrets

BEFORE = """# the tenant
GAINSIGHT_API_KEY=old   # from last year
OTHER="two
lines with GAINSIGHT_API_KEY=inside"

export GAINSIGHT_API_KEY='older'
LAST=1"""


def test_other_lines_of_dotenv_are_kept(tmp_path: Path) -> None:
    settings = tmp_path / "gainsight.yaml"
    (tmp_path / ".env").write_text(BEFORE)
    (tmp_path / ".env").chmod(0o644)
    path = write_secrets(settings, {"GAINSIGHT_API_KEY": "new $key", "HUBSPOT_ACCESS_TOKEN": "plain"})
    assert path.read_text() == (
        "# the tenant\nGAINSIGHT_API_KEY='new $key'\n"
        'OTHER="two\nlines with GAINSIGHT_API_KEY=inside"\n\nLAST=1\nHUBSPOT_ACCESS_TOKEN=plain\n'
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Secrets.read(settings, {}).get("GAINSIGHT_API_KEY") == "new $key"


def test_a_missing_dotenv_is_created(tmp_path: Path) -> None:
    path = write_secrets(tmp_path / "gainsight.yaml", {"GAINSIGHT_API_KEY": "k"})
    assert path.read_text() == "GAINSIGHT_API_KEY=k\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@given(value=st.text(st.characters(exclude_categories=["Cs", "C", "Z"]) | st.sampled_from(" '\"\\$#`"), min_size=1))
def test_any_key_is_read_as_it_was_written(value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "gainsight.yaml"
        write_secrets(settings, {"GAINSIGHT_API_KEY": "x", "SALESFORCE_PASSWORD": value})
        write_secrets(settings, {"GAINSIGHT_API_KEY": value})
        secrets = Secrets.read(settings, {})
        assert (secrets.get("GAINSIGHT_API_KEY") or "") == value.strip()
        assert (secrets.get("SALESFORCE_PASSWORD") or "") == value.strip()


def test_values_with_line_breaks_are_refused_and_hidden(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GAINSIGHT_API_KEY_FILE") as caught:
        write_secrets(tmp_path / "gainsight.yaml", {"GAINSIGHT_API_KEY": "first\nsecond"})
    assert "first" not in str(caught.value)
    assert not (tmp_path / ".env").exists()
    with pytest.raises(SettingsError, match="not a valid variable name"):
        write_secrets(tmp_path / "gainsight.yaml", {"GAINSIGHT KEY": "x"})
