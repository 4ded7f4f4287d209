"""The scopes of `sync_cursor`: each is loaded as it was saved, and only the run that holds the object can move it."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import psycopg
import pytest

from gainsight_pipelines.errors import ObjectBusy
from gainsight_pipelines.store import scopes
from gainsight_pipelines.store.scopes import COLUMNS, PageSize, Pull, Scope, Scopes, Undated, peek

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)
KINDS = [
    each
    for each in vars(scopes).values()
    if isinstance(each, type) and issubclass(each, Scope) and each not in (Scope, Undated)
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_scope_is_loaded_as_it_was_saved(connection: psycopg.Connection, kind: type[Scope]) -> None:
    first, second = (Scopes(connection, "company", run_id) for run_id in ("r1", "r2"))
    assert peek(connection, "company", kind) == kind()
    assert first.take(kind) == kind()
    columns = [kind.columns.get(each.name, each.name) for each in fields(kind)]
    assert len(set(columns)) == len(columns)
    state = kind(
        **{
            each.name: "7" if column in ("gsid", "fingerprint") else NOW
            for each, column in zip(fields(kind), columns, strict=True)
        }
    )
    first.save(state)
    assert second.take(kind) == peek(connection, "company", kind) == state
    assert set(columns) <= set(COLUMNS)
    second.forget(kind)
    assert second.peek(kind) == kind()
    assert second.of("activity").peek(kind) == kind()


def test_no_two_scopes_of_an_object_share_a_row() -> None:
    """Only the scopes of a pull: those of companies and accounts are stored under names that no pull has."""
    own = [each.scope for each in KINDS if not each.__name__.startswith(("Company", "Account", "CrmId"))]
    assert len(own) == len(set(own)) > 10


def test_a_run_that_lost_the_object_cannot_move_its_scope(connection: psycopg.Connection) -> None:
    first = Scopes(connection, "company", "r1")
    first.take(Pull)
    Scopes(connection, "company", "r2").take(Pull)
    with pytest.raises(ObjectBusy):
        first.save(Pull())


def test_a_page_size_is_a_number() -> None:
    assert PageSize("156", NOW).records == 156
    assert PageSize().records is None
