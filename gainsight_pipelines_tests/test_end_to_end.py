"""Pulls as the product's users run them, compared with the truth that the sandbox wrote when it made the data."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.product import Finished, Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

pytestmark = pytest.mark.long

NAMES = ("company", "activity", "survey_survey_response", "product_usage")
METHODS = ("account", "method", "reason", "company")


class Pulled:
    """A first pull of every object, and its results."""

    def __init__(self, kind: str, sandbox: RunningSandbox, product: Product, first: Finished) -> None:
        self.kind = kind
        self.sandbox = sandbox
        self.product = product
        self.first = first
        self.truth = sandbox.truth()
        accounts = self.truth["accounts"][kind]
        self.account_ids = {account["key"]: account_id for account_id, account in accounts.items()}

    def link(self, record: dict[str, Any]) -> tuple[str | None, str | None, str | None, str | None]:
        """Account, method, reason and company that a record should have."""
        matched = record["reason"] is None
        return (
            self.account_ids[record["account"]] if matched else None,
            record["method"][self.kind],
            record["reason"],
            record["company"],
        )


@pytest.fixture(scope="module", params=["salesforce", "hubspot"])
def pulled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer
) -> Iterator[Pulled]:
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    with (
        start_sandbox(folder / "sandbox", activities=6000, accounts=150) as sandbox,
        product_on(folder / "project", postgres_server, sandbox, kind) as product,
    ):
        yield Pulled(kind, sandbox, product, product.run())


def test_all_pulls_complete(pulled: Pulled) -> None:
    assert pulled.first.status == 0, pulled.first.err
    assert [(each["object"], each["status"]) for each in pulled.first.document["objects"]] == [
        (name, "completed") for name in NAMES
    ]
    assert pulled.first.document["gate"] == "open"


def test_accounts_are_the_crms(pulled: Pulled) -> None:
    stored = pulled.product.query(
        """SELECT account_id, name, domain, parent_account_id, arr, renewal_date::text, owner_id, owner_name,
                  (SELECT value FROM jsonb_each_text(gsids)), deleted_at IS NOT NULL, merged_into
           FROM account"""
    )
    live = {row[0]: row[1:9] for row in stored if not row[9]}
    gone = {row[0]: row[10] for row in stored if row[9]}
    accounts = pulled.truth["accounts"][pulled.kind]
    assert live == {
        account_id: (
            each["name"],
            each["domain"],
            each["parent_account_id"],
            Decimal(each["arr"]) if each["arr"] is not None else None,
            each["renewal_date"],
            each["owner_id"],
            each["owner_name"],
            each["gsid"],
        )
        for account_id, each in accounts.items()
        if not each["deleted"] and not each["merged_into"]
    }
    merged = {account_id: each["merged_into"] for account_id, each in accounts.items() if each["merged_into"]}
    assert merged
    assert {account_id: gone[account_id] for account_id in merged} == merged
    assert set(gone) <= {account_id for account_id, each in accounts.items() if each["deleted"] or each["merged_into"]}


def test_companies(pulled: Pulled) -> None:
    stored = pulled.product.query(
        "SELECT gsid, account_id, match_method, unmatched_reason, gsid FROM company WHERE deleted_at IS NULL"
    )
    assert {row[0]: row[1:] for row in stored} == {
        gsid: pulled.link(record) for gsid, record in pulled.truth["records"]["company"].items()
    }


def test_activities(pulled: Pulled) -> None:
    stored = pulled.product.query(
        """SELECT activity_id, account_id, match_method, unmatched_reason, company_gsid, activity_type,
                  to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00')
           FROM activity WHERE source = 'timeline'"""
    )
    assert {row[0]: row[1:] for row in stored} == {
        gsid: (*pulled.link(record), record["activity_type"], record["occurred_at"])
        for gsid, record in pulled.truth["records"]["activity_timeline"].items()
    }


def test_surveys_within_the_lookback(pulled: Pulled) -> None:
    stored = pulled.product.query(
        """SELECT activity_id, account_id, match_method, unmatched_reason, company_gsid, survey_type, score,
                  to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00')
           FROM activity WHERE source = 'survey' AND activity_type = 'SURVEY'"""
    )
    expected = {
        gsid: (*pulled.link(record), record["survey_type"], record["score"], record["dated_at"])
        for gsid, record in pulled.truth["records"]["survey_response"].items()
        if record["is_in_lookback"]
    }
    assert expected
    assert {row[0]: row[1:] for row in stored} == expected


def test_usage(pulled: Pulled) -> None:
    stored = pulled.product.query(
        """SELECT record_id, account_id, match_method, unmatched_reason, company_gsid, metric, value::float, dimension,
                  to_char(observed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS+00:00')
           FROM usage_metric WHERE deleted_at IS NULL"""
    )
    assert len({row[0] for row in stored}) == len(stored)
    assert {row[0]: row[1:] for row in stored} == {
        gsid: (
            *pulled.link(record), record["metric"], record["value"], record["dimension"], record["observed_at"]
        )
        for gsid, record in pulled.truth["records"]["product_usage__gc"].items()
    }  # fmt: skip


def test_counts_add_up(pulled: Pulled) -> None:
    for name in NAMES:
        result = pulled.first.object(name)
        assert result["matched"] + sum(result["unmatched"].values()) == result["written"] + result["unchanged"]
        assert result["read"] > 0


def test_views_show_live_matched_rows_alone(pulled: Pulled) -> None:
    ((views, live),) = pulled.product.query(
        """SELECT (SELECT count(*) FROM account_360),
                  (SELECT count(*) FROM account WHERE deleted_at IS NULL)"""
    )
    assert views == live
    ((activities, stored),) = pulled.product.query(
        """SELECT (SELECT sum(activities) FROM account_360),
                  (SELECT count(*) FROM activity WHERE source = 'timeline' AND account_id IS NOT NULL)"""
    )
    assert activities == stored
    ((unmatched, without),) = pulled.product.query(
        """SELECT (SELECT count(*) FROM unmatched_record),
                  (SELECT count(*) FROM company WHERE account_id IS NULL)
                + (SELECT count(*) FROM activity WHERE account_id IS NULL)
                + (SELECT count(*) FROM usage_metric WHERE account_id IS NULL)"""
    )
    assert unmatched == without > 0


def test_a_second_run_finds_nothing_new_with_one_call_each(pulled: Pulled) -> None:
    changed_before = pulled.product.query(LAST_CHANGES)
    pulled.sandbox.reset()
    second = pulled.product.run()
    assert second.status == 0, second.err
    for name in NAMES:
        result = second.object(name)
        assert (result["written"], result["relinked"], result["calls"]) == (0, 0, 1), result
    assert pulled.product.query(LAST_CHANGES) == changed_before
    assert pulled.sandbox.calls()["crm_writes"] == 0


LAST_CHANGES = """
SELECT 'account', count(*), max(changed_at) FROM account
UNION ALL SELECT 'company', count(*), max(changed_at) FROM company
UNION ALL SELECT 'activity', count(*), max(changed_at) FROM activity
UNION ALL SELECT 'usage_metric', count(*), max(changed_at) FROM usage_metric
"""


def test_the_ui_would_show_the_runs(pulled: Pulled) -> None:
    """Each pull is a run of its own job in Dagster's storage, listed on the job's page, with its materialization."""
    import psycopg

    with psycopg.connect(pulled.product.env["DAGSTER_POSTGRES_URL"]) as connection:
        runs = connection.execute("SELECT pipeline_name, status FROM runs ORDER BY create_timestamp").fetchall()
        keys = connection.execute(
            "SELECT DISTINCT asset_key FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
        ).fetchall()
        tagged = connection.execute(
            "SELECT count(DISTINCT run_id) FROM run_tags WHERE key = '.dagster/repository'"
        ).fetchone()
    assert {f"gainsight_pull_{name}" for name in NAMES} == {name for name, _ in runs}
    assert {status for _, status in runs} == {"SUCCESS"}
    assert {key for (key,) in keys} == {f'["gainsight", "{name}"]' for name in NAMES}
    assert tagged == (len(runs),)
