"""Secrets: their sources, which source wins, that each read sees new values, that no value is shown."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest

from gainsight_pipelines.cli.sandbox import without_tenants
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.orchestration.instance import STORAGE_VARIABLE
from gainsight_pipelines.settings import ALERTS_VARIABLE, Secrets
from gainsight_pipelines.settings.logins import LOGINS
from gainsight_pipelines.store.connection import DATABASE_VARIABLE

NAME = "GAINSIGHT_API_KEY"


@pytest.fixture
def settings_path(tmp_path: Path) -> Path:
    return tmp_path / "gainsight.yaml"


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_the_environment_wins_over_the_file_beside_the_settings(settings_path: Path, tmp_path: Path) -> None:
    write(tmp_path / ".env", f"{NAME}=from-dotenv\nHUBSPOT_ACCESS_TOKEN='with $dollar ${{HOME}}'\n")
    assert Secrets.read(settings_path, {}).require(NAME) == "from-dotenv"
    assert Secrets.read(settings_path, {NAME: "from-environment"}).require(NAME) == "from-environment"
    assert Secrets.read(settings_path, {NAME: "  "}).require(NAME) == "from-dotenv"
    assert Secrets.read(settings_path, {}).get("HUBSPOT_ACCESS_TOKEN") == "with $dollar ${HOME}"
    assert NAME not in os.environ


def test_without_a_settings_path_dotenv_is_read_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".env", f"{NAME}=here\n")
    monkeypatch.chdir(tmp_path)
    assert Secrets.read(None, {}).require(NAME) == "here"


def test_a_named_file_wins_over_the_variable_beside_it(settings_path: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "key", "\n from-file \n")
    assert Secrets.read(settings_path, {NAME: "plain", f"{NAME}_FILE": str(file)}).require(NAME) == "from-file"


def every_secret() -> list[str]:
    """The variables that hold a secret, according to the code."""
    of_logins = [
        each.name for logins in LOGINS.values() for login in logins for each in login.variables if each.is_secret
    ]
    return sorted({*of_logins, DATABASE_VARIABLE, STORAGE_VARIABLE, ALERTS_VARIABLE})


@pytest.mark.parametrize("name", every_secret())
def test_each_secret_can_come_from_a_file(settings_path: Path, tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "mounted", "from-file\n")
    assert Secrets.read(settings_path, {f"{name}_FILE": str(file)}).require(name) == "from-file"
    write(tmp_path / ".env", f"{name}_FILE=mounted\n")
    assert Secrets.read(settings_path, {}).require(name) == "from-file"


def test_they_are_those_that_are_known() -> None:
    assert set(every_secret()) == {
        "DAGSTER_POSTGRES_URL", "GAINSIGHT_API_KEY", "GAINSIGHT_CLIENT_SECRET", "GAINSIGHT_PIPELINES_ALERTS_URLS",
        "GAINSIGHT_PIPELINES_DATABASE_URL", "HUBSPOT_ACCESS_TOKEN", "SALESFORCE_CLIENT_SECRET", "SALESFORCE_PASSWORD",
        "SALESFORCE_SECURITY_TOKEN",
    }  # fmt: skip


def test_the_sandbox_ignores_a_database_named_in_a_file() -> None:
    ours = {f"{name}_FILE": "/run/secrets/x" for name in (DATABASE_VARIABLE, STORAGE_VARIABLE)}
    assert without_tenants(ours | {"HOME": "/h"}) == {"HOME": "/h"}


def test_the_environment_wins_over_a_file_named_in_dotenv(settings_path: Path, tmp_path: Path) -> None:
    write(tmp_path / "key", "from-file")
    write(tmp_path / ".env", f"{NAME}_FILE=key\n")
    assert Secrets.read(settings_path, {NAME: "plain"}).require(NAME) == "plain"
    assert Secrets.read(settings_path, {}).require(NAME) == "from-file"


def test_a_rotated_key_is_seen_by_the_next_read(settings_path: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "key", "old")
    environ = {f"{NAME}_FILE": str(file)}
    assert Secrets.read(settings_path, environ).require(NAME) == "old"
    write(file, "new")
    assert Secrets.read(settings_path, environ).require(NAME) == "new"
    write(tmp_path / ".env", f"{NAME}=one\n")
    assert Secrets.read(settings_path, {}).require(NAME) == "one"
    write(tmp_path / ".env", f"{NAME}=two\n")
    assert Secrets.read(settings_path, {}).require(NAME) == "two"


def test_a_missing_variable_is_named_with_what_to_do(settings_path: Path, tmp_path: Path) -> None:
    secrets = Secrets.read(settings_path, {NAME: ""})
    assert secrets.get(NAME) is None
    with pytest.raises(SettingsError) as caught:
        secrets.require(NAME)
    assert str(caught.value).startswith(f"{NAME} is not set.")
    assert str(tmp_path / ".env") in str(caught.value)
    assert f"{NAME}_FILE" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b" \n", "is empty"),
        (b"\xff\xff", "isn't UTF-8"),
        (b"k" * 100_001, "too large"),
    ],
)
def test_an_unusable_secret_file_is_reported(settings_path: Path, content: bytes | None, words: str) -> None:
    file = settings_path.with_name("key")
    if content is not None:
        file.write_bytes(content)
    secrets = Secrets.read(settings_path, {NAME: "plain", f"{NAME}_FILE": str(file)})
    with pytest.raises(SettingsError) as caught:
        secrets.require(NAME)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert f"{NAME}_FILE" in str(caught.value)


def test_a_folder_is_not_a_secret(settings_path: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        Secrets.read(settings_path, {f"{NAME}_FILE": str(tmp_path)}).require(NAME)


def test_an_unreadable_dotenv_is_reported(settings_path: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env can't be read"):
        Secrets.read(settings_path, {})


def test_the_environment_mapping_contains_all_variables(settings_path: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret", "from-file")
    write(tmp_path / ".env", "SALESFORCE_CLIENT_SECRET_FILE=secret\nSALESFORCE_SECURITY_TOKEN=\nSSL_CERT_FILE=none\n")
    environment = Secrets.read(settings_path, {"SALESFORCE_CLIENT_ID": "id"}).environment()
    assert environment["SALESFORCE_CLIENT_ID"] == "id"
    assert environment["SALESFORCE_CLIENT_SECRET"] == "from-file"
    assert environment["SALESFORCE_CLIENT_SECRET_FILE"] == str(tmp_path / "secret")
    assert environment["SSL_CERT_FILE"] == "none"
    assert "SSL_CERT" not in environment
    assert environment.get("SALESFORCE_SECURITY_TOKEN") == ""
    assert "SALESFORCE_SECURITY_TOKEN" in environment
    assert "SALESFORCE_PASSWORD" not in environment
    assert set(environment) >= {"SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"}
    assert len(environment) == len(list(environment))


def test_a_missing_file_for_the_other_crm_is_no_error(settings_path: Path) -> None:
    environment = Secrets.read(
        settings_path, {"HUBSPOT_ACCESS_TOKEN_FILE": "nowhere", "SALESFORCE_CLIENT_ID": "id"}
    ).environment()
    assert environment.get("SALESFORCE_CLIENT_ID") == "id"
    with pytest.raises(SettingsError, match="HUBSPOT_ACCESS_TOKEN_FILE"):
        environment.get("HUBSPOT_ACCESS_TOKEN")


def test_no_repr_or_error_contains_a_value(settings_path: Path, tmp_path: Path) -> None:
    write(tmp_path / ".env", "SALESFORCE_PASSWORD=hunter2\n")
    secrets = Secrets.read(settings_path, {NAME: "hunter2"})
    shown = [repr(secrets), str(secrets), f"{secrets.environment()!r}", repr(copy.copy(secrets)), repr(secrets._layers)]
    assert not [text for text in shown if "hunter2" in text]
    assert NAME in repr(secrets)


def test_a_prefix_reads_only_that_tenants_variables(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    (tmp_path / ".env").write_text("ACME_SALESFORCE_USERNAME=of acme\nSALESFORCE_PASSWORD=of the other\n")
    environ = {
        "ACME_GAINSIGHT_API_KEY_FILE": str(tmp_path / "key"),
        "GAINSIGHT_API_KEY": "of the other",
        "HUBSPOT_ACCESS_TOKEN": "of the other",
        "HTTPS_PROXY": "http://proxy:3128",
    }
    secrets = Secrets.read(tmp_path / "gainsight.yaml", environ, "ACME_")
    assert secrets.get("GAINSIGHT_API_KEY") == "from a file"
    assert secrets.get("SALESFORCE_USERNAME") == "of acme"
    assert secrets.get("HTTPS_PROXY") == "http://proxy:3128"
    assert "of the other" not in dict(secrets.environment()).values()
    for name in ("HUBSPOT_ACCESS_TOKEN", "SALESFORCE_PASSWORD"):
        with pytest.raises(SettingsError, match=f"ACME_{name} is not set"):
            secrets.require(name)
    missing = Secrets.read(tmp_path / "gainsight.yaml", {"ACME_GAINSIGHT_API_KEY_FILE": "/none"}, "ACME_")
    with pytest.raises(SettingsError, match="ACME_GAINSIGHT_API_KEY_FILE names does not exist"):
        missing.get("GAINSIGHT_API_KEY")
