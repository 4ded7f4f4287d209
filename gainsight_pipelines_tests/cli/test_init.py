"""`init`: Enter alone makes working settings, wrong answers are reported, only the last answer writes files."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.databases import dagster_database, fresh_database
from gainsight_pipelines_tests.preloaded import COMMANDS, python, run_command
from gainsight_pipelines_tests.product import REAL_PREFIXES, Finished
from gainsight_pipelines_tests.read_only import on_read_only
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
ENTER = "\n" * 40


@dataclass(slots=True)
class Folder:
    """The folder of a new project. The environment names databases and nothing else."""

    path: Path
    sandbox: RunningSandbox
    env: dict[str, str] = field(repr=False)

    @property
    def settings_path(self) -> Path:
        return self.path / "gainsight.yaml"

    def settings(self) -> dict[str, dict[str, object]]:
        content: dict[str, dict[str, object]] = yaml.safe_load(self.settings_path.read_text())
        return content

    def command(self, *arguments: str, answers: str | None = None, **env: str) -> Finished:
        done = run_command(arguments, self.path, self.env | env, answers or "", seconds=100)
        assert "Traceback" not in done.stderr, done.stderr
        assert not [one for one in self.sandbox.secrets if one in done.stdout + done.stderr]
        return Finished(done.returncode, done.stdout, done.stderr)

    def init(self, *arguments: str, answers: str | None = None) -> Finished:
        """Runs `init` with the sandbox's ready answers: interactively if the test gives answers itself."""
        how = () if answers is not None else ("--non-interactive",)
        return self.command("init", *how, "--sandbox", str(self.sandbox.folder), *arguments, answers=answers)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer) -> Iterator[dict[str, str]]:
    with fresh_database(postgres_server) as data, dagster_database(postgres_server) as dagster:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(REAL_PREFIXES)}
        yield {
            **kept,
            "GAINSIGHT_PIPELINES_DATABASE_URL": postgres_server.url(data),
            "DAGSTER_POSTGRES_URL": postgres_server.url(dagster),
            # No other test's sandbox is announced here.
            "XDG_RUNTIME_DIR": str(tmp_path_factory.mktemp("runtime")),
        }


@pytest.fixture
def folder(small_sandbox: RunningSandbox, env: dict[str, str], tmp_path: Path) -> Iterator[Folder]:
    small_sandbox.reset()
    with Store(env["GAINSIGHT_PIPELINES_DATABASE_URL"]).connect("test") as connection:
        # Forget the calls of earlier tests: with this minute's quota used up, commands would wait.
        if connection.execute("SELECT to_regclass('api_quota')").fetchone() != (None,):
            connection.execute("DELETE FROM api_quota")
    yield Folder(tmp_path, small_sandbox, env)
    small_sandbox.reset()


def documented_commands() -> list[list[str]]:
    """The commands in docs/getting-started.md that only read."""
    text = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [shlex.split(line)[1:] for line in blocks.splitlines() if line.startswith("gainsight-pipelines ")]
    looking = [line for line in lines if line[0] in {"preview", "fields", "status", "unmatched"}]
    assert len(looking) == 6
    return looking


@pytest.fixture(scope="module")
def made(
    small_sandbox: RunningSandbox, env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Folder, Finished]:
    """A folder in which `init` got Enter as the answer to each question."""
    folder = Folder(tmp_path_factory.mktemp("made"), small_sandbox, env)
    small_sandbox.reset()
    return folder, folder.init(answers=ENTER)


def test_enter_alone_makes_working_settings(made: tuple[Folder, Finished]) -> None:
    folder, done = made
    assert done.status == 0, done.err
    assert "objects discovered" in done.err and "All checks passed." in done.err
    assert (folder.path / ".env").stat().st_mode & 0o777 == 0o600
    assert "HUBSPOT" not in (folder.path / ".env").read_text()
    written = folder.settings_path.read_text()
    assert written.count("#") > 15
    assert not [one for one in folder.sandbox.secrets if one in written]
    settings = folder.settings()
    assert settings["common"]["gsid_field"] == "Gainsight_GSID__c"
    assert settings["primary_crm"]["fields"] == {"arr": "ARR__c", "renewal_date": "Renewal_Date__c"}
    assert settings["activity"]["reporting_categories"]["Onboarding Call"] == "MEETING"  # type: ignore[index]


def test_they_pull_everything(made: tuple[Folder, Finished]) -> None:
    ran = made[0].command("run", "--all", "--json")
    assert ran.status == 0, ran.err
    assert [one["status"] for one in ran.document["objects"]] == ["completed"] * 4


def test_what_the_docs_say_works_on_them(made: tuple[Folder, Finished]) -> None:
    for arguments in documented_commands():
        assert made[0].command(*arguments).status == 0, arguments


def test_again_on_what_is_there_changes_nothing(made: tuple[Folder, Finished]) -> None:
    again = made[0].init(answers=ENTER)
    assert again.status == 0
    assert "gainsight.yaml does not change." in again.err and "Written" not in again.err


def test_hubspot_from_options(folder: Folder, database_url: str) -> None:
    folder.env = {**folder.env, "GAINSIGHT_PIPELINES_DATABASE_URL": database_url}
    done = folder.init(
        "--crm", "hubspot", "--survey-object", "nps_survey__gc", "--survey-object", "csat_survey__gc",
        "--usage-object", "product_usage_wide__gc", "--without", "activity", "--renewal-date-field", "-",
    )  # fmt: skip
    settings = folder.settings()
    assert settings["primary_crm"] == {"kind": "hubspot", "fields": {"arr": "arr", "renewal_date": None}}
    assert settings["common"]["gsid_field"] == "gainsight_gsid"
    assert settings["company"]["crm_id_field"] == "HubSpot_Company_ID__gc"
    assert settings["activity"]["enabled"] is False
    assert settings["surveys"]["mode"] == "multiple"
    assert settings["surveys"]["objects"] == [{"object": "nps_survey__gc"}, {"object": "csat_survey__gc"}]
    assert settings["product_usage"]["aggregate"] is None
    assert "SALESFORCE" not in (folder.path / ".env").read_text()
    assert done.status == 0, done.out
    assert "activity_timeline" not in done.out


def test_a_file_of_comments_alone_is_filled_below_them(folder: Folder) -> None:
    folder.settings_path.write_text("# settings of ours\n# not yet\n")
    done = folder.init("--without", "activity", "--without", "surveys", "--without", "product_usage")
    assert done.status == 0, done.err
    assert folder.settings_path.read_text().startswith("# settings of ours\n# not yet\n\n")
    assert folder.settings()["company"]["enabled"] is True


def test_a_file_that_is_there_is_shown_before_it_is_changed(folder: Folder) -> None:
    text = (
        "# ours\ngainsight:\n  base_url: https://old.example.com  # before\n"
        "primary_crm:\n  kind: salesforce\ncompany: {}\n"
    )
    folder.settings_path.write_text(text)
    refused = folder.init()
    assert refused.status == 1
    assert "-  base_url: https://old.example.com" in refused.err and "--overwrite" in refused.err
    assert folder.settings_path.read_text() == text
    assert not (folder.path / ".env").exists()
    done = folder.init("--overwrite")
    assert done.status == 0, done.out
    written = folder.settings_path.read_text()
    assert written.startswith("# ours\n") and "# before" in written
    settings = folder.settings()
    assert settings["gainsight"]["base_url"] == folder.sandbox.urls["gainsight"]
    assert all(settings.get(name, {"enabled": False})["enabled"] is False for name in ("activity", "surveys"))
    history = folder.command("settings", "history", "--json").document["versions"]
    assert [version["how"] for version in history] == ["by hand", "init"]


def test_a_broken_section_is_not_replaced_unseen(folder: Folder) -> None:
    text = f"gainsight: {{base_url: '{folder.sandbox.urls['gainsight']}'}}\nsurveys: {{lookback_days: 90}}\n"
    folder.settings_path.write_text(text)
    done = folder.init("--overwrite")
    assert done.status == 1
    assert "surveys.lookback_days is 90" in done.err
    assert folder.settings_path.read_text() == text
    asked = folder.init(answers="\n" * 8)
    assert asked.err.count("The section surveys is invalid; answer its questions again.") == 1
    assert folder.settings_path.read_text() == text


def test_wrong_answers_are_reported_and_asked_for_again(folder: Folder) -> None:
    answers = [
        folder.sandbox.urls["control"],  # something else answers there
        folder.sandbox.urls["gainsight"],
        "pipedrive",
        "salesforce",
        "gsid",  # part of a name: the only field that fits is offered
        "",
        "contrct",  # similar to no field
        "-",  # no ARR
        "renewal", "",
        "y", "maybe", "y", "n", "y",
        "no_such_object", "nps_survey__gc, csat_survey__gc",
        "n",
        "call_to_actoin", "call_to_action, person",
        "n",  # don't write
    ]  # fmt: skip
    done = folder.init(answers="\n".join(answers) + "\n")
    assert done.status == 1
    for words in (
        "✗ 127.0.0.1",
        "'pipedrive' is not a choice.",
        "One match: Gainsight_GSID__c  Gainsight GSID. Press Enter to accept it.",
        "No name or label contains 'contrct'.",
        "Answer y or n.",
        "has no readable object no_such_object. Likely objects: survey_response.",
        "mode: multiple",
        "Did you mean call_to_action?",
        "- object: person",
        "arr: null",
        "Nothing was written.",
    ):
        assert words in done.err, (words, done.err)
    assert [file.name for file in folder.path.iterdir()] == [".gainsight_pipelines"]


def test_answers_that_end_leave_nothing(folder: Folder) -> None:
    done = folder.init(answers="\n\n\n")
    assert done.status == 1
    assert "End of input: nothing was written." in done.err
    assert not folder.settings_path.exists() and not (folder.path / ".env").exists()


def test_ctrl_c_leaves_nothing(folder: Folder) -> None:
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "init", "--sandbox", str(folder.sandbox.folder)],
        cwd=folder.path,
        env=folder.env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert any("objects discovered" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not folder.settings_path.exists() and not (folder.path / ".env").exists()


def test_a_key_that_is_rejected_writes_nothing(folder: Folder) -> None:
    folder.sandbox.switch(reject_key=True)
    arguments = ["init", "--non-interactive", "--base-url", folder.sandbox.urls["gainsight"]]
    done = folder.command(*arguments, GAINSIGHT_API_KEY="key-of-nobody")
    assert done.status == 1
    assert "API key was rejected" in done.err and "key-of-nobody" not in done.err
    assert not folder.settings_path.exists()


def test_a_tenant_of_ones_own_whose_key_is_asked_for(folder: Folder) -> None:
    """Without a sandbox, `init` asks for each variable; it rejects a wrong key and asks for it again."""
    values = folder.sandbox.env
    answers = [
        folder.sandbox.urls["gainsight"],
        "api-key",
        "key-of-nobody",
        values["GAINSIGHT_API_KEY"],
        "salesforce",
        "client-credentials",
        values["SALESFORCE_INSTANCE_URL"],
        values["SALESFORCE_CLIENT_ID"],
        values["SALESFORCE_CLIENT_SECRET"],
    ]
    done = folder.command(
        "init", "--without", "activity", "--without", "surveys", "--without", "product_usage",
        answers="\n".join(answers) + ENTER, SALESFORCE_CA_FILE=values["SALESFORCE_CA_FILE"],
    )  # fmt: skip
    assert "the API key is accepted" in done.err, done.err
    assert "API key was rejected" in done.err
    text = (folder.path / ".env").read_text()
    assert f"GAINSIGHT_API_KEY={values['GAINSIGHT_API_KEY']}" in text
    assert "SALESFORCE_CLIENT_SECRET=" in text
    assert [name for name, each in folder.settings().items() if each.get("enabled")] == ["company"]


def test_an_oauth_client_in_place_of_the_key(folder: Folder) -> None:
    client = folder.sandbox.env_of("m2m")
    done = folder.command(
        "init", "--non-interactive", "--base-url", folder.sandbox.urls["gainsight"], "--crm", "hubspot",
        "--without", "activity", "--without", "surveys", "--without", "product_usage",
        **client, **{name: folder.sandbox.env[name] for name in ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL")},
    )  # fmt: skip
    assert "the M2M OAuth client is accepted" in done.err, done.err
    assert "The M2M OAuth client is accepted" in done.out + done.err
    written = (folder.path / ".env").read_text() if (folder.path / ".env").exists() else ""
    assert client["GAINSIGHT_CLIENT_SECRET"] not in done.out + done.err
    assert "GAINSIGHT_API_KEY" not in written


def test_a_key_is_not_asked_for_where_it_cannot_be_kept(folder: Folder) -> None:
    """`.env` is mounted read-only; the settings file beside it can be written."""
    (folder.path / ".env").write_text("# from a Secret\n")
    address = folder.sandbox.urls["gainsight"].replace("127.0.0.1", "localhost")
    command = [sys.executable, "-m", "gainsight_pipelines.cli", "init", "--non-interactive", "--base-url", address]
    done = subprocess.run(
        on_read_only(folder.path / ".env", command),
        cwd=folder.path,
        env=folder.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert ".env is read-only: " in done.stderr and "NAME_FILE names" in done.stderr
    assert [path.name for path in folder.path.iterdir()] == [".env"]


def test_half_of_an_oauth_client(folder: Folder) -> None:
    arguments = ["init", "--non-interactive", "--base-url", folder.sandbox.urls["gainsight"]]
    done = folder.command(*arguments, "--gainsight-login", "oauth-client", GAINSIGHT_CLIENT_ID="an-id")
    assert done.status == 1
    assert "GAINSIGHT_CLIENT_SECRET" in done.err and "Traceback" not in done.err
    chosen = folder.command(*arguments, "--gainsight-login", "api-key", GAINSIGHT_CLIENT_ID="an-id")
    assert chosen.status == 1
    assert "GAINSIGHT_CLIENT_ID is set and would be used instead of api-key. Unset it" in chosen.err
    assert not folder.settings_path.exists()


def test_a_log_in_by_password_at_another_host(folder: Folder) -> None:
    values = folder.sandbox.env_of("password")
    answers = [
        folder.sandbox.urls["gainsight"],
        "api-key",
        values["GAINSIGHT_API_KEY"],
        "salesforce",
        "password",
        values["SALESFORCE_LOGIN_URL"],
        values["SALESFORCE_USERNAME"],
        values["SALESFORCE_PASSWORD"],
        "-",  # no security token: Salesforce refuses it, as this machine isn't in a trusted network
        values["SALESFORCE_SECURITY_TOKEN"],
        "-", "-", "-",
        "n",  # don't pull companies
        "",
        "n",  # don't write
    ]  # fmt: skip
    done = folder.command(
        "init", "--without", "activity", "--without", "surveys", "--without", "product_usage",
        answers="\n".join(answers) + "\n", SALESFORCE_CA_FILE=values["SALESFORCE_CA_FILE"],
    )  # fmt: skip
    assert "refused the login" in done.err, done.err
    assert "Salesforce is connected" in done.err
    assert "Nothing was written." in done.err
    assert ".env gets GAINSIGHT_API_KEY, SALESFORCE_LOGIN_URL, SALESFORCE_USERNAME" in done.err


def until_a_question(controller: int) -> str:
    """Reads a terminal until it waits for an answer; returns what it showed."""
    shown = ""
    while True:
        is_question = shown.endswith(": ")
        # What looks like a question may be the first part of a longer text.
        ready, _, _ = select.select([controller], [], [], 0.2 if is_question else 60)
        if not ready:
            assert is_question, shown
            return shown
        shown += os.read(controller, 65536).decode()


def test_in_a_terminal_keys_stay_unseen_and_tab_completes_names(folder: Folder) -> None:
    values = folder.sandbox.env
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "init",
         "--without", "activity", "--without", "surveys", "--without", "product_usage"],
        cwd=folder.path,
        env=folder.env | {"HUBSPOT_BASE_URL": values["HUBSPOT_BASE_URL"], "TERM": "dumb"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    answers = [
        folder.sandbox.urls["gainsight"],
        "api-key",
        values["GAINSIGHT_API_KEY"],
        "hubspot",
        values["HUBSPOT_ACCESS_TOKEN"],
        "gainsight_g\t",
        "", "", "", "", "",
        "n",
    ]  # fmt: skip
    shown = ""
    try:
        for answer in answers:
            shown += until_a_question(controller)
            os.write(controller, f"{answer}\n".encode())
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.wait()
        os.close(controller)
    assert "HubSpot is connected" in shown
    assert "gainsight_gsid is filled for" in shown
    assert "gsid_field: gainsight_gsid" in shown
    assert values["GAINSIGHT_API_KEY"] not in shown and values["HUBSPOT_ACCESS_TOKEN"] not in shown
    assert not folder.settings_path.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--base-url"),
        (["--without", "surverys"], "there is no section 'surverys'. Did you mean surveys?"),
        (["--sandbox", "nowhere"], "No sandbox runs in nowhere."),
    ],
)
def test_unusable_options_write_nothing(folder: Folder, arguments: list[str], words: str) -> None:
    done = folder.command("init", "--non-interactive", *arguments)
    assert done.status == 1
    assert words in done.err
    assert not folder.settings_path.exists()


def test_options_that_name_nothing(folder: Folder) -> None:
    done = folder.init("--gsid-field", "Gainsight_GSDI__c")
    assert done.status == 1
    assert "--gsid-field: there is no 'Gainsight_GSDI__c'. Did you mean Gainsight_GSID__c?" in done.err
    unlike = folder.init("--gsid-field", "Nope__c")
    assert "there is no 'Nope__c'. Try Gainsight_GSID__c. `gainsight-pipelines crm-fields` lists all" in unlike.err
    assert not folder.settings_path.exists()


def test_a_running_sandbox_is_found_from_anywhere(folder: Folder) -> None:
    place = folder.path / "elsewhere"
    place.mkdir()
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "sandbox", "--crm", "hubspot"],
        cwd=place,
        env=folder.env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if "Ctrl-C" in line)
        done = folder.command("init", "--non-interactive", "--without", "activity", "--without", "surveys")
        assert "A sandbox with made-up data is running at" in done.err
        assert folder.settings()["primary_crm"]["kind"] == "hubspot"
        assert "HUBSPOT_ACCESS_TOKEN=" in (folder.path / ".env").read_text()
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert json.loads((place / ".gainsight_pipelines/sandbox-hubspot/services/sandbox.json").read_text())["urls"]
