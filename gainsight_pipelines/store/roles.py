"""The least privileges that each kind of role needs, as SQL for the administrator. Runs no statement."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from psycopg import sql

OF_THE_DATABASE = "-- As the owner of the database, or a superuser:"
OF_THE_TABLES = "-- As the owner of the tables, or a superuser, once `gainsight-pipelines migrate` has made them:"


class Kind(StrEnum):
    """What a role is for."""

    PULLER = "puller"
    """Runs pulls, schedules and sensors on existing tables; creates the typed views."""
    READER = "reader"
    """Reads tables and views: dashboards, `status`, `export`, `metrics`, delivery."""
    MIGRATOR = "migrator"
    """Creates and migrates the tables, and owns them."""


def grants(kind: Kind, role: str, database: str, schema: str, made_by: Sequence[str] = ()) -> str:
    """The statements that grant a role what it needs.

    Args:
        kind: the kind of role.
        role: its name; it must exist.
        database: the name of the database.
        schema: of the store.
        made_by: the roles that create tables and views, now and later; none: the role that runs the statements.
    """
    connect = "GRANT CONNECT ON DATABASE {database} TO {role};"
    temporary = "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};"
    if kind is Kind.MIGRATOR:
        lines = [
            OF_THE_DATABASE,
            temporary,
            "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role};",
        ]
        makers: Sequence[str | None] = ()
    elif kind is Kind.PULLER:
        rights = "SELECT, INSERT, UPDATE, DELETE"
        lines = [
            OF_THE_DATABASE,
            temporary,
            OF_THE_TABLES,
            "GRANT USAGE ON SCHEMA {schema} TO {role};",
            f"GRANT {rights} ON ALL TABLES IN SCHEMA {{schema}} TO {{role}};",
            "-- For the typed views; without it they are not made, and each run notes that.",
            "GRANT CREATE ON SCHEMA {schema} TO {role};",
        ]
        makers = made_by or (None,)
    else:
        rights = "SELECT"
        lines = [
            OF_THE_DATABASE,
            connect,
            OF_THE_TABLES,
            "GRANT USAGE ON SCHEMA {schema} TO {role};",
            f"GRANT {rights} ON ALL TABLES IN SCHEMA {{schema}} TO {{role}};",
        ]
        makers = made_by or (None,)
    names = {"database": sql.Identifier(database), "role": sql.Identifier(role), "schema": sql.Identifier(schema)}
    statements: list[sql.Composable] = [sql.SQL(line).format(**names) for line in lines]
    if makers:
        statements.append(sql.SQL("-- What is made later:"))
    for maker in makers:
        by = sql.SQL(" FOR ROLE {}").format(sql.Identifier(maker)) if maker else sql.SQL("")
        statements.append(
            sql.SQL("ALTER DEFAULT PRIVILEGES{by} IN SCHEMA {schema} GRANT {rights} ON TABLES TO {role};").format(
                by=by, rights=sql.SQL(rights), **names
            )
        )
    return sql.SQL("\n").join(statements).as_string(None)
