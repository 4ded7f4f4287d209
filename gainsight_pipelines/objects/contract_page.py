"""Generates docs/data-contract.md: the table of each object, from the registry, then every table and column."""

from __future__ import annotations

from collections.abc import Iterator

from gainsight_pipelines.objects.record import KNOWN
from gainsight_pipelines.objects.registry import DEFINITIONS, TABLES
from gainsight_pipelines.store.contract import RELATIONS, Relation

INTRODUCTION = """\
# Data contract

<!-- Written by `python -m gainsight_pipelines.objects.contract_page > docs/data-contract.md`; tests hold it against the
registry and the database. -->

The product writes into schema `gainsight` of PostgreSQL. These names are its API: a change is a migration, and is named
in the changelog. Tables that are not listed here are the product's own business. The rights of a role that
only reads: `gainsight-pipelines grants --role NAME --as reader`.

Columns ending in `_at` are UTC timestamps. A record is in one table, matched or not: without an account, `account_id`
is empty and `unmatched_reason` says why; views exclude such rows, and deleted ones. Rows are never removed, they get
`deleted_at`. `changed_at` and `run_id` change only with the row.

## Reading changes

Read the rows whose `changed_at` is later than the start of your last read, by the database's clock, minus five minutes,
and merge them by the primary key; deleted rows come with `deleted_at`. That misses nothing: `changed_at` is the start
of the transaction that wrote the row, and everything that writes rows (pages, rematching, new mappings, snapshots,
deletions, fields of another type) commits within four minutes, or is rolled back and done in smaller parts.
`changed_at > max(changed_at)` without the five minutes misses rows committed meanwhile. The tables that grow
(`activity`, `usage_metric`, `record`) have an index for such reads.
"""

OBJECTS = """
## Objects and their tables

| section of the settings | brings | table |
|---|---|---|
"""

KNOWN_OBJECTS = """
Each object of `objects` also has a typed view of the same name, with a column for each field. These are known by name;
any other, custom ones included, works the same way:

| object and view | | brings |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return "".join([INTRODUCTION, OBJECTS, *_sections(), KNOWN_OBJECTS, *_known_objects(), *_relations()])


def _sections() -> Iterator[str]:
    for each in DEFINITIONS.values():
        summary = f"{each.summary[:1].upper()}{each.summary[1:]}"
        yield f"| `{each.section}` | {summary} | [`{each.table.name}`](#{each.table.name}) |\n"


def _known_objects() -> Iterator[str]:
    for name, known in KNOWN.items():
        yield f"| `{name}` | {known.title} | {known.description} |\n"


def _relations() -> Iterator[str]:
    """The accounts, the objects' tables, then the rest."""
    first = ["account", *(table.name for table in TABLES)]
    for name in dict.fromkeys((*first, *RELATIONS)):
        yield from _relation(name, RELATIONS[name])


def _relation(name: str, relation: Relation) -> Iterator[str]:
    yield f"\n## {name}{' (view)' if relation.is_view else ''}\n\n{relation.meaning}\n"
    yield "\n| column | type | meaning |\n|---|---|---|\n"
    for column, (kind, meaning) in relation.columns.items():
        yield f"| {column} | {kind} | {meaning} |\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
