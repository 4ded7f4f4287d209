"""`settings set`, `edit`, `diff`, `history`, `restore` as a user types them, without a database or tenant."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gainsight_pipelines_tests.preloaded import COMMANDS, python, run_command

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Folder:
    """A folder with the example's settings."""

    path: Path

    @property
    def file(self) -> Path:
        return self.path / "gainsight.yaml"

    def run(self, *arguments: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GAINSIGHT", "DAGSTER"))}
        return run_command(["settings", *arguments], self.path, kept | env, given, seconds=60)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "gainsight.yaml").write_text((ROOT / "gainsight.example.yaml").read_text("utf-8"))
    return Folder(tmp_path)


def test_set_shows_what_changes_and_history_leads_back(folder: Folder) -> None:
    before = folder.file.read_text()
    dry = folder.run("set", "surveys.lookback_days", "7", "--dry-run")
    assert dry.returncode == 0 and "Dry run: nothing was written." in dry.stderr
    assert folder.file.read_text() == before
    done = folder.run("set", "surveys.lookback_days", "7")
    assert done.returncode == 0, done.stderr
    assert "reload the code location in the Dagster UI" in done.stderr
    assert "\n+  lookback_days: 7                # 1 to 30\n" in done.stdout
    assert "\n-  lookback_days: 30               # 1 to 30\n" in folder.run("diff").stdout
    again = folder.run("set", "surveys.lookback_days", "7")
    assert again.returncode == 0 and "Nothing to change." in again.stderr and "reload" not in again.stderr

    history = json.loads(folder.run("history", "--json").stdout)["versions"]
    assert [(version["version"], version["how"]) for version in history] == [
        (1, "by hand"),
        (2, "settings set surveys.lookback_days"),
    ]
    assert "+1 -1" in folder.run("history").stdout
    away = folder.run("restore", "1", DAGSTER_WEBSERVER_URL="http://127.0.0.1:9")
    assert away.returncode == 1 and "Written to " in away.stderr and "http://127.0.0.1:9 doesn't answer" in away.stderr
    assert folder.file.read_text() == before
    assert "is the same as version 1" in folder.run("diff", "1").stderr


def test_invalid_values_are_reported_and_not_written(folder: Folder) -> None:
    before = folder.file.read_text()
    for arguments, word in [
        (("set", "surveys.lookback_days", "-5"), "1 to 30"),
        (("set", "surveys.lokback_days", "5"), "lookback_days"),
        (("set", "nothing.at_all", "5"), "no section nothing"),
        (("set", "gainsight.api_key", "the-key-itself"), "GAINSIGHT_API_KEY"),
        (("restore", "3"), "no version 3"),
        (("diff", "3"), "no version 3"),
        (("edit", "survey"), "Did you mean surveys"),
    ]:
        done = folder.run(*arguments)
        assert done.returncode == 1, done
        assert word in done.stderr
        assert "Traceback" not in done.stderr and "the-key-itself" not in done.stderr + done.stdout
    assert folder.file.read_text() == before
    assert "no earlier versions" in folder.run("diff").stderr


def test_a_section_from_standard_input(folder: Folder) -> None:
    """Requirement W3: a section is shown as JSON, edited and written back."""
    shown = json.loads(folder.run("show", "activity").stdout)
    shown["reporting_categories"]["QBR"] = "MEETING"
    done = folder.run("edit", "activity", "--json", given=json.dumps(shown, indent=1))
    assert done.returncode == 0, done.stderr
    assert "\n    risk: TYPE_MANUAL\n    QBR: MEETING\n\nsurveys:" in folder.file.read_text()
    wrong = folder.run("edit", "activity", "--json", given='{\n "initial_lookback_days": "many"\n}')
    assert wrong.returncode == 1
    assert "line 2: activity.initial_lookback_days is 'many'" in wrong.stderr
    written = folder.run("edit", "common", given="common:\n  gsid_field: X__c  # ours\n")
    assert written.returncode == 0
    assert "  gsid_field: X__c  # ours\n" in folder.file.read_text()


def test_an_editor_opens_again_on_a_mistake(folder: Folder) -> None:
    """In a terminal: the first edit has a mistake, Enter opens the editor again, the second edit is valid."""
    editor = folder.path / "editor.sh"
    editor.write_text(
        '#!/bin/sh\nif [ -e tried ]; then sed -i s/900/9/ "$1"; else sed -i "s/: 30/: 900/" "$1"; touch tried; fi\n'
    )
    editor.chmod(0o755)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [python(), "-m", COMMANDS, "settings", "edit", "surveys"],
        cwd=folder.path,
        env={**os.environ, "EDITOR": str(editor), "VISUAL": "", "TERM": "dumb", "GAINSIGHT_PIPELINES_SETTINGS": ""},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, b"\n")
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    assert "surveys.lookback_days is 900" in err
    assert "+  lookback_days: 9 " in out
    assert "  lookback_days: 9 " in folder.file.read_text()
    assert not list((folder.path / ".gainsight_pipelines").glob("edit-*"))


def edit_and_leave(folder: Folder, lookback_days: int) -> str:
    """Stderr of `settings edit` after an edit with a mistake, when the user then presses Ctrl-D."""
    editor = folder.path / "editor.sh"
    editor.write_text(f'#!/bin/sh\nsed -i "s/lookback_days: 30/lookback_days: {lookback_days}/" "$1"\n')
    editor.chmod(0o755)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [python(), "-m", COMMANDS, "settings", "edit", "surveys"],
        cwd=folder.path,
        env={**os.environ, "EDITOR": str(editor), "VISUAL": "", "TERM": "dumb", "GAINSIGHT_PIPELINES_SETTINGS": ""},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, b"\x04")  # Ctrl-D
        _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130, err
    return err


def test_each_edit_has_a_draft_of_its_own_that_the_next_one_leaves_alone(folder: Folder) -> None:
    for days in (900, 901):
        err = edit_and_leave(folder, days)
        assert f"surveys.lookback_days is {days}" in err
        assert "Your changes are in " in err
    assert "An interrupted edit is in " in err
    drafts = list((folder.path / ".gainsight_pipelines").glob("edit-surveys-*.yaml"))
    texts = sorted(draft.read_text() for draft in drafts)
    assert ["lookback_days: 900" in text for text in texts] == [True, False]
    assert ["lookback_days: 901" in text for text in texts] == [False, True]
    mended = folder.run("edit", "surveys", given=texts[0].replace("900", "9 "))
    assert mended.returncode == 0, mended.stderr
    assert sorted(draft.read_text() for draft in drafts) == texts


def test_unset_gives_a_setting_its_default_again(folder: Folder) -> None:
    done = folder.run("unset", "surveys.response_limit")
    assert done.returncode == 0, done.stderr
    assert "-  response_limit: 500 " in done.stdout
    assert "response_limit:" not in folder.file.read_text()
    assert json.loads(folder.run("show", "surveys").stdout)["response_limit"] == 500
    again = folder.run("unset", "surveys.response_limit")
    assert again.returncode == 0 and "Nothing to change." in again.stderr
    refused = folder.run("unset", "surveys.respons_limit")
    assert refused.returncode == 1 and "Did you mean response_limit?" in refused.stderr
    assert [one["how"] for one in json.loads(folder.run("history", "--json").stdout)["versions"]] == [
        "by hand", "settings unset surveys.response_limit",
    ]  # fmt: skip
