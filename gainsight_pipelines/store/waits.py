"""Lock timeouts, and who holds the lock that a statement waited for."""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg

LONGEST = timedelta(minutes=5)
"""Our own locks end within the four minutes that a transaction may take; the holder of a longer one is named."""

OF_LOOKING = timedelta(seconds=10)
"""For interactive commands that only read."""

IN_THE_WAY = timedelta(seconds=5)
"""For an exclusive lock: while we wait for it, everybody else queues behind us."""

SHOWN = 3

HOLDERS = """
SELECT a.pid, a.application_name, a.usename, a.xact_start,
       array_remove(array_agg(DISTINCT c.relname::text), NULL),
       max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock',
                                'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'],
                          l.mode)) AS strength
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation AND c.relkind <> 'i'
     AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
WHERE l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND CASE WHEN %(advisory)s::bigint IS NULL THEN c.oid IS NOT NULL
           ELSE l.locktype = 'advisory' AND l.objsubid = 1
                AND ((l.classid::bigint << 32) | l.objid::bigint) = %(advisory)s::bigint END
GROUP BY a.pid, a.application_name, a.usename, a.xact_start
ORDER BY strength DESC, a.xact_start NULLS LAST, a.pid
"""
"""Sessions with a lock on the schema's tables, or with one advisory lock; the strongest first, then the oldest."""


def milliseconds(wait: timedelta) -> str:
    """A duration as PostgreSQL's settings take it."""
    return f"{wait // timedelta(milliseconds=1)}ms"


def holders(connection: psycopg.Connection, *, advisory: int | None = None) -> str:
    """Who currently holds locks that a statement may have waited for, as a sentence; "" if nobody does any more.

    Args:
        connection: a connection that isn't waiting.
        advisory: the key of an advisory lock; None: locks on the tables of the connection's schema.
    """
    found = connection.execute(HOLDERS, {"advisory": advisory}).fetchall()
    strongest = [row for row in found if row[5] == found[0][5]]
    told = [_described(*row[:5]) for row in strongest[:SHOWN]]
    if not told:
        return ""
    more = f", and {len(strongest) - SHOWN} more" if len(strongest) > SHOWN else ""
    return f"It is held by {'; '.join(told)}{more}."


def _described(pid: int, program: str, role: str | None, since: datetime | None, tables: list[str]) -> str:
    began = f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
    of = f" (role {role}, on {', '.join(f'`{name}`' for name in tables)})" if tables else f" (role {role})"
    return f"process {pid}, {program or 'a program without a name'}{of}{began}"
