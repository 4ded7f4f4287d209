"""No secret appears in `ps`, output, logs, Dagster's events or the product's tables."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from gainsight_pipelines.embedded.server import EmbeddedServer
from gainsight_pipelines_tests.preloaded import COMMANDS, python
from gainsight_pipelines_tests.product import Product, product_on
from gainsight_pipelines_tests.sandbox_process import RunningSandbox, start_sandbox

pytestmark = pytest.mark.long

PASSWORD = "hidden-database-password"


@pytest.fixture(scope="module", params=["salesforce", "hubspot"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: EmbeddedServer
) -> Iterator[tuple[Product, RunningSandbox]]:
    folder = tmp_path_factory.mktemp(request.param)
    with (
        start_sandbox(folder / "sandbox", activities=300, accounts=60) as sandbox,
        product_on(folder / "project", postgres_server, sandbox, request.param) as product,
    ):
        # The server trusts every client of its socket, so it ignores the password in the URL.
        for name in ("GAINSIGHT_PIPELINES_DATABASE_URL", "DAGSTER_POSTGRES_URL"):
            product.env[name] = product.env[name].replace("postgres@", f"postgres:{PASSWORD}@")
        yield product, sandbox


def everything_stored(url: str) -> Iterator[tuple[str, str]]:
    """Each table of a database, with its rows as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT string_agg(t::text, chr(10)) FROM {} t").format(sql.Identifier(schema, table))
            ((text,),) = connection.execute(query).fetchall()
            yield table, text or ""


def test_nothing_leaks(installed: tuple[Product, RunningSandbox]) -> None:
    """Requirement C1."""
    product, sandbox = installed
    secrets = [*sandbox.secrets, PASSWORD, "a-wrong-key-for-gainsight"]
    assert all(len(secret) > 8 for secret in secrets)

    # First a run that succeeds, watched in `ps`; then runs that fail in ways that could quote a key.
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, "run", "--all", "--json"],
        cwd=product.folder,
        env=product.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    arguments: set[str] = set()
    while process.poll() is None:  # no pause, to catch short-lived processes too
        arguments.update(" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    printed = [process.communicate()[0]]
    assert process.returncode == 0, printed
    wrong = {"GAINSIGHT_API_KEY": "a-wrong-key-for-gainsight"}
    for env, switches in [
        (wrong, {}),
        ({}, {"reject_key": True}),
        ({}, {"crm_reject": True}),
        ({}, {"crm_down": True}),
    ]:
        sandbox.switch(**switches)
        done = product.command("run", "activity", "--json", **env)
        printed += [done.out, done.err]
        assert done.status == 1
        sandbox.reset()
    printed += [product.command("settings", "show").out, product.command("status", "--json").out]

    places = {"ps": "\n".join(arguments), "printed": "\n".join(printed)}
    for url in (product.database_url, product.env["DAGSTER_POSTGRES_URL"]):
        places |= dict(everything_stored(url))
    for file in product.folder.rglob("*"):
        if file.is_file():
            places[str(file.relative_to(product.folder))] = file.read_bytes().decode(errors="replace")
    assert "gainsight_pipelines.orchestration.run_object" in places["ps"]
    assert places["event_logs"]
    leaks = {(place, secret[:4]) for place, text in places.items() for secret in secrets if secret in text}
    assert not leaks


def test_objects_that_hold_secrets_dont_show_them(
    installed: tuple[Product, RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gainsight_pipelines.clock import SystemClock
    from gainsight_pipelines.orchestration.resources import GainsightResource
    from gainsight_pipelines.settings import load_settings
    from gainsight_pipelines.settings.database import open_store
    from gainsight_pipelines.sync import clients

    product, sandbox = installed
    for name, value in product.env.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(Path(product.settings_path))
    secrets = clients.read_secrets(settings)
    store = open_store(settings, secrets)
    crm = clients.connect_crm(settings, secrets, SystemClock())
    gainsight = clients.connect_gainsight(settings, secrets, SystemClock(), store)
    path = str(product.settings_path)
    shown = repr(
        [
            secrets,
            store,
            crm,
            gainsight,
            GainsightResource(settings_path=path),
        ]
    )
    crm.close()
    gainsight.close()
    assert not [secret[:4] for secret in [*sandbox.secrets, PASSWORD] if secret in shown]
