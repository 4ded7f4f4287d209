"""An object's data version changes if and only if its rows change, whatever the cause."""

from __future__ import annotations

from datetime import timedelta

from gainsight_pipelines.store.data_versions import version_of
from gainsight_pipelines.store.tenant import empty
from gainsight_pipelines_tests.pulling import Pulling
from gainsight_pipelines_tests.sync.test_matching import expected, links


def version(pulling: Pulling, name: str = "activity") -> int:
    with pulling.store.connect("test") as connection:
        return version_of(connection, name) or 0


def moves(pulling: Pulling, name: str = "activity") -> bool:
    before = version(pulling, name)
    pulling.pull(name)
    assert version(pulling, name) >= before
    return version(pulling, name) != before


def test_the_version_changes_with_new_changed_deleted_and_rematched_rows(pulling: Pulling) -> None:
    pulling.content["activity"]["initial_lookback_days"] = None
    assert moves(pulling)
    assert not moves(pulling), "nothing has changed"
    (gsid, other, *_) = pulling.truth("activity_timeline")
    pulling.sandbox.edit({"object": "activity_timeline", "gsid": gsid, "values": {"Subject": "Another"}})
    assert moves(pulling)
    pulling.sandbox.edit({"object": "activity_timeline", "action": "delete", "gsid": other})
    pulling.clock.ahead += timedelta(days=8)
    assert moves(pulling)
    unmatched = next(each["company"] for each in pulling.truth("activity_timeline").values() if each["reason"])
    pulling.sandbox.edit({"account": None, "action": "insert", "values": {"name": "New", "gsid": unmatched}})
    assert moves(pulling), "rows have found their account"
    assert links(pulling)
    assert expected(pulling)
    assert not moves(pulling)


def test_the_version_changes_with_a_swap_and_with_changed_mappings(pulling: Pulling) -> None:
    assert moves(pulling, "product_usage")
    assert not moves(pulling, "product_usage")
    assert moves(pulling, "activity")
    pulling.content["activity"]["reporting_categories"] = {"email": "MEETING"}
    assert moves(pulling, "activity")


def test_a_reset_never_repeats_a_version(pulling: Pulling) -> None:
    pulling.pull("company")
    before = version(pulling, "company")
    with pulling.store.connect("test") as connection:
        empty(connection)
    assert version(pulling, "company") == 0
    pulling.pull("company")
    assert version(pulling, "company") > before
