"""What the functions of this folder need to know of a data table. The tables themselves stand with their objects.

The migrations make the tables; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NewType

if TYPE_CHECKING:
    from psycopg import sql

Json = NewType("Json", str)
"""JSON text for a jsonb column."""

LINK_COLUMNS = ("account_id", "match_method", "unmatched_reason", "match_candidates")
"""Filled by matching, the same in every data table."""

LINK_TYPES = ("text", "text", "text", "text[]")
"""Their types."""

_TYPES = {"Json": "jsonb", "datetime": "timestamptz", "Decimal": "numeric", "list": "text[]"}
"""PostgreSQL's types of those that rows have, by a word that occurs in the annotation of no other; the rest is text."""


@dataclass(frozen=True, slots=True)
class Table:
    """A data table of the product's schema.

    Attributes:
        name: its name.
        row: the type of what a record fills, its fields in the order of the columns, keys first.
        key: its primary key.
        sample: the columns that a sample shows. Dagster keeps it for good: no free text, which may be private.
        company_column: names the company.
        key_column: the row's own key to its account, used in the company's place.
        id_column: names the Gainsight record.
        object_column: tells which pull a row belongs to, where several share the table.
        part_column: tells the rows of one record apart, where a record makes several; those that a record no longer
            makes are marked deleted when it is read again.
        date_column: when the record happened, for reads by age.
        kept_columns: what a row leaves out (null) stays as it was stored before.
    """

    name: str
    row: type[NamedTuple]
    key: tuple[str, ...]
    sample: tuple[str, ...]
    company_column: str = "company_gsid"
    key_column: str | None = None
    id_column: str = "gsid"
    object_column: str | None = None
    part_column: str | None = None
    date_column: str | None = None
    kept_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a record fills."""
        return self.row._fields

    @property
    def types(self) -> tuple[str, ...]:
        """The PostgreSQL types of these columns, and of the link columns behind them."""
        kinds = map(str, self.row.__annotations__.values())
        own = (next((name for word, name in _TYPES.items() if word in kind), "text") for kind in kinds)
        return (*own, *LINK_TYPES)

    @property
    def json_columns(self) -> tuple[str, ...]:
        """Those of them that hold JSON."""
        return tuple(name for name, kind in self.row.__annotations__.items() if "Json" in str(kind))

    @property
    def holds_companies(self) -> bool:
        """Whether its records are the companies that other records name."""
        return self.id_column == self.company_column

    def keys(self, alias: str = "t") -> sql.Composable:
        """The key columns, as a SELECT names them."""
        from psycopg import sql

        return sql.SQL(", ").join(sql.Identifier(alias, column) for column in self.key)

    def mine(self, gainsight_object: str, alias: str = "t") -> sql.Composable:
        """The condition for the rows of one Gainsight object, where several share the table."""
        from psycopg import sql

        if self.object_column is None:
            return sql.SQL("true")
        return sql.SQL("{} = {}").format(sql.Identifier(alias, self.object_column), sql.Literal(gainsight_object))
