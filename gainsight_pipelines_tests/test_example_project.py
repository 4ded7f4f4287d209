"""examples/dagster-project as its team runs it: two tenants, an executor, a resource and a job of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.hosting import LOCATION, Hosted, hosted
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as running:
        yield running


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer, sandbox: RunningSandbox
) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("host") / "project", postgres_server, sandbox) as found:
        yield found


@pytest.fixture(scope="module")
def long_run(host: Hosted) -> str:
    """A run of the team's that goes on all the while."""
    return host.launch("pull_orders")


def test_dg_takes_it(host: Hosted) -> None:
    done = host.dg("check", "defs")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "All definitions loaded successfully" in done.stdout + done.stderr
    listed = host.dg("list", "components")
    assert "gainsight_pipelines.GainsightComponent" in listed.stdout


def test_both_tenants_pull_side_by_side_with_what_the_team_has(
    host: Hosted, sandbox: RunningSandbox, long_run: str
) -> None:
    runs = [host.launch(job) for job in ("gainsight_pull_activity", "acme_pull_company", "sync_all")]
    assert host.finish(*runs) == ["SUCCESS", "SUCCESS", "SUCCESS"]
    truth = sandbox.truth()
    ours = dict(host.query("SELECT activity_id, account_id FROM gainsight.activity"))
    accounts = {each["key"]: account for account, each in truth["accounts"]["salesforce"].items()}
    activities = truth["records"]["activity_timeline"]
    assert ours == {gsid: accounts.get(each["account"]) for gsid, each in activities.items()}
    companies = {gsid for (gsid,) in host.query("SELECT gsid FROM acme.company")}
    assert companies == set(truth["records"]["company"])
    assert host.query("SELECT DISTINCT crm FROM acme.account") == [("hubspot",)]
    assert host.query("SELECT count(*) FROM gainsight.company") == [(0,)], "nobody has pulled our own companies"
    assert host.status(long_run) == "STARTED"


def test_an_asset_downstream_gets_a_frame_of_what_was_pulled(host: Hosted, sandbox: RunningSandbox) -> None:
    run = host.launch("__ASSET_JOB", [["engagement"]])
    assert host.finish(run) == ["SUCCESS"]
    matched = [each for each in sandbox.truth("activity_timeline").values() if each["account"] is not None]
    found = host.latest("engagement")
    assert found["activities"] == len(matched)
    assert found["accounts"] == len({each["account"] for each in matched})


def test_the_teams_long_run_is_untouched_and_ends_by_itself(host: Hosted, long_run: str) -> None:
    assert host.status(long_run) == "STARTED"
    (host.folder / "release").touch()
    assert host.finish(long_run) == ["SUCCESS"]


def test_dg_scaffolds_a_third_tenant_with_settings_to_fill_in(host: Hosted) -> None:
    """The last one here: the project has another component afterwards."""
    done = host.dg("scaffold", "defs", "gainsight_pipelines.GainsightComponent", "third", "--prefix", "third")
    assert done.returncode == 0, done.stderr + done.stdout
    made = host.folder / "src" / LOCATION / "defs" / "third"
    component = yaml.safe_load((made / "defs.yaml").read_text())
    assert component["attributes"] == {"settings": "gainsight.yaml", "prefix": "third", "secrets_prefix": "THIRD_"}
    assert set(yaml.safe_load((made / "gainsight.yaml").read_text())) >= {"gainsight", "primary_crm", "activity"}
    checked = host.dg("check", "yaml")
    assert checked.returncode == 0, checked.stderr + checked.stdout
