"""The benchmark's Gainsight server responds as our reader expects, and a pull stores all of its records."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
import requests

from bench import data, product
from bench.server import running_server
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines_tests.preloaded import python

ROWS = 2_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as found:
        yield found


def build(url: str, pull: str, rows: int = ROWS) -> None:
    asked = {"object": product.OBJECTS[pull], "rows": rows, "select": product.selection(pull)}
    requests.post(f"{url}/bench/build", json=asked, timeout=60).raise_for_status()


def pulled(url: str, database_url: str, pull: str) -> dict:
    given = json.dumps({"url": url, "database": database_url, "pull": pull})
    command = [python(), "-m", "bench.contenders.pull", given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("pull", product.OBJECTS)
def test_each_object_is_read_in_full_and_trusted(url: str, database_url: str, pull: str) -> None:
    build(url, pull)
    first = pulled(url, database_url, pull)
    assert (first["read"], first["written"], first["notes"]) == (ROWS, ROWS, [])
    assert pulled(url, database_url, pull)["calls"]["query"] == 1


def test_one_change_is_found_and_written_alone(url: str, database_url: str) -> None:
    build(url, "activity")
    pulled(url, database_url, "activity")
    requests.post(f"{url}/bench/touch", json={"object": "activity_timeline", "number": 7}, timeout=60)
    second = pulled(url, database_url, "activity")
    assert (second["read"], second["written"]) == (1, 1)
    with Store(database_url).connect("test") as connection:
        matched = connection.execute("SELECT count(*) FROM activity WHERE account_id IS NOT NULL").fetchone()
    assert matched == (sum(n * 7919 % data.COMPANIES < data.ACCOUNTS for n in range(ROWS)),)


def test_other_fields_than_the_built_ones_are_refused(url: str) -> None:
    build(url, "activity")
    body = {"select": ["Gsid"], "limit": 10, "offset": 0}
    path = f"{url}/v1/data/objects/query/activity_timeline"
    assert requests.post(path, json=body, timeout=60).status_code == 400
