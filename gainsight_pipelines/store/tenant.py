"""Whose data a store holds. A run for another tenant is refused before it reads or writes anything."""

from __future__ import annotations

import psycopg
from psycopg import sql

from gainsight_pipelines.errors import ObjectBusy, PermanentError, SettingsError
from gainsight_pipelines.store import leases
from gainsight_pipelines.store.waits import IN_THE_WAY, milliseconds

TABLES = (
    "account",
    "activity",
    "alert",
    "alert_message",
    "alert_total",
    "api_quota",
    "company",
    "company_link",
    "crm_gate",
    "custom_field",
    "data_version",
    "delivery",
    "object_schema",
    "record",
    "rejected_record",
    "run_total",
    "sync_cursor",
    "sync_run",
    "tenant",
    "usage_metric",
    "watched_object",
)
"""The tables that a reset empties. The store's version and id and Gainsight's pause are kept."""


def claim(connection: psycopg.Connection, gainsight_host: str, crm: str, crm_organisation: str) -> None:
    """Claims an unclaimed database for this tenant.

    Raises:
        SettingsError: it holds the data of another Gainsight tenant, or of another CRM's accounts.
    """
    row = connection.execute(
        """INSERT INTO tenant (gainsight_host, crm, crm_organisation) VALUES (%s, %s, %s)
           ON CONFLICT (only_row) DO NOTHING RETURNING 1""",
        (gainsight_host, crm, crm_organisation),
    ).fetchone()
    if row:
        return
    owner = holder(connection)
    assert owner is not None
    if owner != (gainsight_host, crm, crm_organisation):
        raise SettingsError(
            "The database holds the data of Gainsight {} with {} {}; this run is for Gainsight {} with {} {}.".format(
                *owner, gainsight_host, crm, crm_organisation
            ),
            "Set `store.schema` to another name for it, use another database (GAINSIGHT_PIPELINES_DATABASE_URL), or "
            "empty this one with `gainsight-pipelines reset --all`.",
        )


def holder(connection: psycopg.Connection) -> tuple[str, str, str] | None:
    """The Gainsight host, CRM and CRM organisation whose data the database holds; None: unclaimed."""
    row = connection.execute("SELECT gainsight_host, crm, crm_organisation FROM tenant").fetchone()
    return (str(row[0]), str(row[1]), str(row[2])) if row else None


def store_id(connection: psycopg.Connection) -> str:
    """The store's id (a UUID), created with its tables: the same for every process and URL."""
    row = connection.execute("SELECT store_id FROM store").fetchone()
    assert row is not None
    return str(row[0])


def empty(connection: psycopg.Connection) -> None:
    """Empties every table of the product, so that the database is unclaimed again.

    Raises:
        ObjectBusy: something is being pulled.
        PermanentError: another program's table refers to one of them.
    """
    with connection.transaction():
        for name, holder in leases.held(connection).items():
            raise ObjectBusy(f"`{name}` is being pulled by {holder}.", "Wait for it to end, or stop it.")
        names = sql.SQL(", ").join(map(sql.Identifier, TABLES))
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(milliseconds(IN_THE_WAY)))
        try:
            connection.execute(sql.SQL("TRUNCATE {}").format(names))
        except psycopg.errors.FeatureNotSupported as error:
            raise PermanentError(
                f"The tables can't be emptied: {error.diag.message_detail}",
                "Drop that table's foreign key, or empty and drop the schema yourself.",
            ) from error
