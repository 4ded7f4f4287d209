"""Creates rows to deliver with SQL: everything that a table can hold, with odd values in the first row."""

from __future__ import annotations

import psycopg

ACTIVITIES = """
INSERT INTO activity (activity_id, source, source_object, activity_type, subject, body, occurred_at, score,
                      duration_minutes, internal_attendees, custom_fields, account_id, match_method, unmatched_reason,
                      deleted_at, changed_at, run_id)
SELECT 'a' || lpad(i::text, 7, '0'), CASE WHEN i %% 3 = 0 THEN 'survey' ELSE 'timeline' END, 'activity_timeline',
       'EMAIL', CASE WHEN i = 1 THEN '=HYPERLINK("http://x")' ELSE 'Call ' || i END, repeat(md5(i::text), 20),
       timestamptz '2026-01-01 10:00:00.123456+02' + i * interval '1 minute',
       CASE WHEN i = 1 THEN -12345678901234567890.1234567890123 WHEN i %% 5 = 0 THEN NULL ELSE i %% 11 END, 30.5,
       ARRAY['Ann', 'Bob "B"'], jsonb_build_object('n', 1234567890123456789.01, 'i', i),
       CASE WHEN i %% 7 <> 0 THEN 'acc' || i %% 50 END, CASE WHEN i %% 7 <> 0 THEN 'direct' END,
       CASE WHEN i %% 7 = 0 THEN 'no_account' END,
       CASE WHEN i %% 10 = 0 THEN now() END, timestamptz '2026-02-01' + i * interval '1 second', 'r'
FROM generate_series(1, %s) i
"""


def add_activities(connection: psycopg.Connection, count: int) -> None:
    """Adds a0000001 …: the first with a formula and 33 digits, every tenth deleted, every seventh unmatched."""
    connection.execute(ACTIVITIES, (count,))
