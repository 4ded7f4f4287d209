"""`Table`: what this package needs to know of a data table. Each table is defined with its object.

The migrations create the tables; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NewType

if TYPE_CHECKING:
    from psycopg import sql

Json = NewType("Json", str)
"""JSON text for a jsonb column."""

LINK_COLUMNS = ("account_id", "match_method", "unmatched_reason", "match_candidates")
"""Filled by matching; the same in every data table."""

LINK_TYPES = ("text", "text", "text", "text[]")
"""Their types."""

_TYPES = {"Json": "jsonb", "datetime": "timestamptz", "Decimal": "numeric", "list": "text[]"}
"""PostgreSQL types by a word that identifies a row's annotation; all others are text."""


@dataclass(frozen=True, slots=True)
class Table:
    """A data table.

    Attributes:
        name: its name.
        row: the type of a record's columns, in the order of the columns, keys first.
        key: its primary key.
        sample: the columns of a sample. Dagster keeps samples forever: no free text, which may be private.
        company_column: the company's GSID.
        key_column: the row's own key to its account, used instead of the company.
        id_column: the id of the Gainsight record.
        object_column: the object of a row, where several objects share the table.
        part_column: distinguishes the rows of one record, if a record makes several; rows that a record no longer makes
            are marked deleted when it is read again.
        date_column: the date of the record, for reads by age.
        kept_columns: a NULL in these keeps the stored value.
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
        """The PostgreSQL types of these columns, then of the link columns."""
        kinds = map(str, self.row.__annotations__.values())
        own = (next((name for word, name in _TYPES.items() if word in kind), "text") for kind in kinds)
        return (*own, *LINK_TYPES)

    @property
    def json_columns(self) -> tuple[str, ...]:
        """Those of the columns that hold JSON."""
        return tuple(name for name, kind in self.row.__annotations__.items() if "Json" in str(kind))

    @property
    def holds_companies(self) -> bool:
        """Whether its records are the companies that other records refer to."""
        return self.id_column == self.company_column

    def keys(self, alias: str = "t") -> sql.Composable:
        """The key columns, for a SELECT."""
        from psycopg import sql

        return sql.SQL(", ").join(sql.Identifier(alias, column) for column in self.key)

    def mine(self, gainsight_object: str, alias: str = "t") -> sql.Composable:
        """The condition for one Gainsight object's rows, where several share the table."""
        from psycopg import sql

        if self.object_column is None:
            return sql.SQL("true")
        return sql.SQL("{} = {}").format(sql.Identifier(alias, self.object_column), sql.Literal(gainsight_object))
