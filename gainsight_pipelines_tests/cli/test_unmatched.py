"""`unmatched` (requirement M4) and `run --full` as a user calls them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.cli.terminals import in_terminal
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), activities=300, accounts=60) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def product(
    sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer
) -> Iterator[Product]:
    with product_on(tmp_path_factory.mktemp("project"), postgres_server, sandbox) as product:
        finished = product.run("company", "product_usage")
        assert finished.status == 0, finished.err
        yield product


def reasons(sandbox: RunningSandbox, object_name: str) -> Counter[str]:
    truth = sandbox.truth()["records"][object_name].values()
    return Counter(each["reason"] for each in truth if each["reason"] is not None)


def test_unmatched_lists_with_reasons(product: Product, sandbox: RunningSandbox) -> None:
    found = product.command("unmatched", "product_usage", "--limit", "3", "--json").document
    expected = reasons(sandbox, "product_usage__gc")
    assert found["reasons"] == dict(expected)
    assert found["total"] == sum(expected.values())
    assert len(found["records"]) == 3
    assert {each["object"] for each in found["records"]} == {"product_usage__gc"}


def test_unmatched_of_all_objects_by_reason(product: Product, sandbox: RunningSandbox) -> None:
    found = product.command("unmatched", "--reason", "ambiguous", "--json").document
    expected = reasons(sandbox, "company")["ambiguous"] + reasons(sandbox, "product_usage__gc")["ambiguous"]
    assert found["reasons"] == {"ambiguous": expected}
    assert all(len(each["candidates"]) == 2 for each in found["records"])
    assert product.command("unmatched", "surveys", "--json").document["total"] == 0  # no survey was pulled


def test_unmatched_as_a_table_says_what_is_left_out(product: Product) -> None:
    shown = product.command("unmatched", "company", "--limit", "1")
    assert shown.status == 0
    assert "no_account" in shown.out and "--csv FILE" in shown.err


def test_unmatched_as_csv(product: Product, sandbox: RunningSandbox, tmp_path: Path) -> None:
    file = tmp_path / "unmatched.csv"
    assert product.command("unmatched", "company", "--csv", str(file)).status == 0
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    truth = sandbox.truth()["records"]["company"]
    assert {row["record_id"]: row["reason"] for row in rows} == {
        gsid: each["reason"] for gsid, each in truth.items() if each["reason"] is not None
    }
    assert all(row["company_name"] for row in rows)


def test_an_unknown_reason_is_a_usage_error(product: Product) -> None:
    assert product.command("unmatched", "--reason", "bad").status == 2


def test_run_full_reads_everything_again(product: Product, sandbox: RunningSandbox) -> None:
    assert product.run("company").object("company")["read"] == 0
    full = product.command("run", "company", "--full", "--json").object("company")
    assert (full["read"], full["written"]) == (len(sandbox.truth()["records"]["company"]), 0)


def test_names_are_shown_as_they_are_and_ids_whole_in_80_columns(product: Product, sandbox: RunningSandbox) -> None:
    truth = sandbox.truth()["records"]["company"]
    gsids = [gsid for gsid, each in truth.items() if each["reason"] == "no_account"][:2]
    for gsid, name in zip(gsids, ("Acme [/old]", "Call [internal] Ltd"), strict=True):
        sandbox.edit({"object": "company", "action": "update", "gsid": gsid, "values": {"Name": name}})
    assert product.run("company").status == 0
    shown = product.command("unmatched", "company")
    assert shown.status == 0, shown.err
    assert "Acme [/old]" in shown.out and "Call [internal] Ltd" in shown.out
    assert [line for line in shown.out.splitlines() if line != line.rstrip()] == []
    status, narrow = in_terminal("unmatched", "company", folder=product.folder, env=product.env)
    assert status == 0
    assert max(map(len, narrow.splitlines())) <= 80
    assert all(gsid in narrow for gsid in gsids) and "Acme [/old]" in narrow
    assert re.search(r" 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\n", shown.out), "no microseconds"
