"""examples/dagster-project as its team runs it: two tenants, an executor, a resource and a job of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.orchestration.identity import STORE_TAG
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.leases import object_lease
from gainsight_pipelines_tests.hosting import LOCATION, SECOND_LOCATION, Hosted, hosted
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox
from gainsight_pipelines_tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


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
    """A run of the team's own job that is in progress throughout."""
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


def test_tenants_of_two_locations_share_an_instance_and_a_database_and_nothing_else(
    host: Hosted, sandbox: RunningSandbox
) -> None:
    """Each tenant has its own key, gate and lease; two tenants have jobs of the same name."""
    with object_lease(Store(host.database_url), "company", "somebody's run"):
        beta, gamma = (
            host.launch(job, location=SECOND_LOCATION) for job in ("beta_pull_company", "gainsight_pull_company")
        )
        assert host.finish(beta, gamma) == ["SUCCESS", "FAILURE"]
    assert {gsid for (gsid,) in host.query("SELECT gsid FROM beta.company")} == set(sandbox.truth("company"))
    ((status, error),) = host.query_other("SELECT status, error FROM gainsight.sync_run")
    assert status == "failed"
    assert "GAMMA_SALESFORCE_CLIENT_SECRET" in error, "whose secret is wrong, as it is set"
    assert host.query_other("SELECT count(*) FROM gainsight.company") == [(0,)]
    stores = [host.query(f"SELECT store_id::text FROM {schema}.store") for schema in ("gainsight", "acme", "beta")]
    assert host.tags(beta)[STORE_TAG] == stores[2][0][0]
    assert host.tags(gamma)[STORE_TAG] == host.query_other("SELECT store_id::text FROM gainsight.store")[0][0]
    assert len({str(each) for each in stores} | {host.tags(gamma)[STORE_TAG]}) == 4
    gates = " UNION ALL ".join(
        f"SELECT '{name}', is_open FROM {name}.crm_gate" for name in ("gainsight", "acme", "beta")
    )
    wait_until(lambda: sorted(host.query(gates)) == [("acme", True), ("beta", True), ("gainsight", True)], 240)
    wait_until(lambda: host.query_other("SELECT is_open FROM gainsight.crm_gate") == [(False,)], 240)


def test_an_asset_downstream_gets_a_frame_of_what_was_pulled(host: Hosted, sandbox: RunningSandbox) -> None:
    run = host.launch("__ASSET_JOB", [["engagement"]])
    assert host.finish(run) == ["SUCCESS"]
    matched = [each for each in sandbox.truth("activity_timeline").values() if each["account"] is not None]
    found = host.latest("engagement")
    assert found["activities"] == len(matched)
    assert found["accounts"] == len({each["account"] for each in matched})


@pytest.mark.timeout(600)
def test_dbt_models_downstream_are_made_of_what_the_pulls_brought(host: Hosted, sandbox: RunningSandbox) -> None:
    upstream = host.upstream("stg_gainsight__activity")
    assert {"cs/gainsight/activity", "cs/gainsight/survey_survey_response"} <= upstream
    assert "cs/crm/account" in host.upstream("stg_gainsight__account")
    pulls = [host.launch(f"gainsight_pull_{name}") for name in ("company", "activity", "survey_survey_response")]
    assert host.finish(*pulls, seconds=300) == ["SUCCESS"] * 3
    models = host.assets("analytics")
    assert ["renewals_at_risk"] in models
    assert host.finish(host.launch("__ASSET_JOB", models), seconds=400) == ["SUCCESS"]
    accounts = sandbox.truth()["accounts"]["salesforce"]
    live = {account for account, each in accounts.items() if not each["deleted"] and not each["merged_into"]}
    health = host.query("SELECT account_id, activities FROM analytics.gainsight__account_health")
    assert {account for account, _ in health} == live
    matched = [each for each in sandbox.truth("activity_timeline").values() if each["account"] is not None]
    assert sum(activities for _, activities in health) == len(matched)
    assert host.materialized("renewals_at_risk")


def test_the_teams_long_run_is_untouched_and_completes(host: Hosted, long_run: str) -> None:
    assert host.status(long_run) == "STARTED"
    (host.folder / "release").touch()
    assert host.finish(long_run) == ["SUCCESS"]


def test_dg_scaffolds_a_third_tenant_with_settings_to_fill_in(host: Hosted) -> None:
    """Has to be the last test here, because it adds a component to the project."""
    done = host.dg("scaffold", "defs", "gainsight_pipelines.GainsightComponent", "third", "--prefix", "third")
    assert done.returncode == 0, done.stderr + done.stdout
    made = host.folder / "src" / LOCATION / "defs" / "third"
    component = yaml.safe_load((made / "defs.yaml").read_text())
    assert component["attributes"] == {"settings": "gainsight.yaml", "prefix": "third", "secrets_prefix": "THIRD_"}
    assert set(yaml.safe_load((made / "gainsight.yaml").read_text())) >= {"gainsight", "primary_crm", "activity"}
    checked = host.dg("check", "yaml")
    assert checked.returncode == 0, checked.stderr + checked.stdout
