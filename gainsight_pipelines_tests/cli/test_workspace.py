"""A command's workspace: the environment of child processes, and a DAGSTER_HOME of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gainsight_pipelines.cli.workspace import Workspace, open_workspace
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.orchestration.instance import CONFIGURATION, prepare_home
from gainsight_pipelines.settings import Secrets

OURS = CONFIGURATION
ROOT = Path(__file__).parents[2]


@contextmanager
def opened(folder: Path, database_url: str, *, is_lasting: bool = False, **environ: str) -> Iterator[Workspace]:
    urls = {"GAINSIGHT_PIPELINES_DATABASE_URL": database_url, "DAGSTER_POSTGRES_URL": database_url}
    (folder / "gainsight.yaml").write_text("company: {}\n")  # its settings select the database schema
    with open_workspace(folder / "gainsight.yaml", environ={**urls, **environ}, is_lasting=is_lasting) as workspace:
        yield workspace


def test_children_in_another_folder_find_files_that_were_named_from_here(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("key", "jwt.pem", "ca.pem"):
        (tmp_path / name).write_text(f"content of {name}")
    monkeypatch.chdir(tmp_path)
    named = {"GAINSIGHT_API_KEY_FILE": "./key", "SALESFORCE_JWT_KEY_FILE": "jwt.pem", "REQUESTS_CA_BUNDLE": "ca.pem"}
    with opened(tmp_path, database_url, **named, HUBSPOT_ACCESS_TOKEN_FILE=" ") as workspace:
        environ = workspace.environ
    monkeypatch.chdir(tmp_path / "elsewhere")
    secrets = Secrets.read(tmp_path / "gainsight.yaml", environ)
    assert secrets.get("GAINSIGHT_API_KEY") == "content of key"
    assert secrets.get("SALESFORCE_JWT_KEY_FILE") == str(tmp_path / "jwt.pem")
    assert environ["REQUESTS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
    assert secrets.get("HUBSPOT_ACCESS_TOKEN") is None


@pytest.mark.parametrize(
    "file", [OURS, ROOT / "dagster.yaml", ROOT / "deploy/dagster.yaml"], ids=["ours", "root", "deploy"]
)
def test_a_dagster_home_with_this_projects_file_is_used_in_silence(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(file.read_text() + "\nschedules: {use_threads: true}\n")
    with opened(tmp_path, database_url, DAGSTER_HOME=str(home)) as workspace:
        assert workspace.environ["DAGSTER_HOME"] == str(home)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no dagster.yaml"),
        ("run_monitoring: {enabled: false}\n", "storage, run_monitoring, run_retries, concurrency"),
        ("storage: [", "can't be read"),
    ],
)
def test_a_foreign_dagster_home_is_named_and_left_alone(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if content is not None:
        (home / "dagster.yaml").write_text(content)
    with opened(tmp_path, database_url, DAGSTER_HOME=str(home)):
        pass
    said = capsys.readouterr().err
    assert words in said and str(home) in said and "unset DAGSTER_HOME" in said
    assert {path.name: path.read_text() for path in home.iterdir()} == ({"dagster.yaml": content} if content else {})


def test_a_dagster_home_that_is_no_folder_is_an_error(tmp_path: Path, database_url: str) -> None:
    for home in (str(tmp_path / "nowhere"), "relative"):
        with pytest.raises(SettingsError, match="DAGSTER_HOME"), opened(tmp_path, database_url, DAGSTER_HOME=home):
            pass


def test_without_a_home_a_temporary_one_has_this_projects_file(tmp_path: Path, database_url: str) -> None:
    with opened(tmp_path, database_url) as workspace:
        made = Path(workspace.environ["DAGSTER_HOME"]) / "dagster.yaml"
        assert made.read_text() == OURS.read_text()
        assert [path.name for path in tmp_path.iterdir()] == ["gainsight.yaml"]
    assert not workspace.folder.exists()


def test_what_runs_print_is_kept_where_there_is_a_data_folder_or_one_is_wanted(
    tmp_path: Path, database_url: str
) -> None:
    for is_lasting in (True, False):
        with opened(tmp_path, database_url, is_lasting=is_lasting) as workspace:
            assert workspace.environ["DAGSTER_HOME"] == str(tmp_path / ".gainsight_pipelines" / "dagster")


def test_a_home_that_running_processes_read_is_left_as_it_is_and_replaced_as_a_whole(tmp_path: Path) -> None:
    """A run that starts while a command rewrites the file would read an empty one and use Dagster's defaults."""
    made = prepare_home(tmp_path / "home") / "dagster.yaml"
    before = made.stat()
    prepare_home(tmp_path / "home")
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    made.write_text("of another version")
    with made.open() as reader:
        prepare_home(tmp_path / "home")
        assert reader.read() == "of another version"
    assert made.read_text() == OURS.read_text()
