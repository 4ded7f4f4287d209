"""`validate`: its lines, JSON and exit status, and the report that makes the sandbox behave like the tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines.sandbox.tenant_report import switches_like
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox


@pytest.fixture(scope="module")
def installed(
    small_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer
) -> Iterator[Product]:
    with product_on(tmp_path_factory.mktemp("project"), postgres_server, small_sandbox) as product:
        assert product.command("migrate").status == 0
        yield product


@pytest.fixture
def product(installed: Product, small_sandbox: RunningSandbox) -> Iterator[Product]:
    small_sandbox.reset()
    # Forget the calls of earlier tests: with this minute's quota used up, commands would wait.
    installed.query_and_commit("DELETE FROM api_quota")
    yield installed
    small_sandbox.reset()


def test_all_is_well(product: Product) -> None:
    """Requirement C2."""
    done = product.command("validate")
    assert done.status == 0, done.out + done.err
    lines = done.out.splitlines()
    assert all(line.startswith("✓ ") for line in lines), lines
    assert any("22 objects discovered" in line for line in lines)
    assert any(line.startswith("✓ database: PostgreSQL") for line in lines)
    assert "All checks passed." in done.err


def test_what_is_wrong_and_what_to_do(product: Product) -> None:
    """Requirement C2."""
    done = product.command("validate", GAINSIGHT_API_KEY="key-of-nobody")
    assert done.status == 1
    lines = done.out.splitlines()
    place = next(
        number for number, line in enumerate(lines) if line.startswith("✗ gainsight: The API key was rejected")
    )
    assert lines[place + 1].startswith("  → Put the tenant's key into GAINSIGHT_API_KEY")
    assert any(line.startswith("✓ primary_crm: Salesforce responds") for line in lines)
    assert any(line.startswith("- company: ") for line in lines)
    assert "1 of " in done.err and "Traceback" not in done.err
    assert "key-of-nobody" not in done.out + done.err


def test_json_is_one_document(product: Product) -> None:
    document = product.command("validate", "--json").document
    assert document["passed"] is True
    assert {check["outcome"] for check in document["checks"]} == {"passed"}
    assert set(document["checks"][0]) == {"section", "name", "outcome", "text", "todo", "facts"}


def test_without_a_settings_file(product: Product) -> None:
    done = product.command("validate", "--settings", "nowhere.yaml")
    assert done.status == 1
    assert "✗ settings: There is no settings file" in done.out


def test_a_report_holds_no_data_and_can_be_played(
    product: Product, small_sandbox: RunningSandbox, tmp_path: Path
) -> None:
    small_sandbox.switch(page_cap=150, date_format="iso_ms", delete_log=False)
    report = tmp_path / "report.json"
    done = product.command("validate", "--report", str(report))
    assert done.status == 0, done.out
    assert f"sandbox --like {report}" in done.err
    text = report.read_text()
    switches = switches_like(report)
    assert (switches["page_cap"], switches["date_format"], switches["delete_log"]) == (150, "iso_ms", False)
    assert json.loads(text)["without_key"] == {"status": 401, "code": "GS_APIG_2401"}
    names = [one["name"] for one in product.command("objects", "--json").document["objects"]]
    assert not [name for name in (*names, "127.0.0.1", *small_sandbox.secrets) if name in text]


def test_no_report_when_the_tenant_does_not_answer(
    product: Product, small_sandbox: RunningSandbox, tmp_path: Path
) -> None:
    small_sandbox.switch(gainsight_down=True)
    done = product.command("validate", "--report", str(tmp_path / "report.json"))
    assert done.status == 1
    assert "No report was written" in done.err
    assert not (tmp_path / "report.json").exists()


def test_a_report_that_the_sandbox_cannot_read(product: Product, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("{}")
    done = product.command("sandbox", "--like", str(file))
    assert done.status == 1
    assert "can't be read as a report" in done.err and "Traceback" not in done.err
