"""Exact values on the PostgreSQL side; test_warehouse.py tests them in each warehouse."""

from __future__ import annotations

import psycopg

from gainsight_pipelines.delivery.exact_values import exact_values, is_inexact, sent

COLUMNS = {f'a "{number}%': "numeric" for number in range(1_200)} | {"at": "timestamptz", "name": "text"}


def test_a_view_can_have_hundreds_of_columns_of_any_name(connection: psycopg.Connection) -> None:
    names = list(COLUMNS)
    typed = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in COLUMNS.items())
    connection.execute(
        f"""CREATE TEMP VIEW wide AS SELECT shown.* FROM generate_series(1, 2) row
            CROSS JOIN LATERAL jsonb_to_record(CASE row WHEN 1 THEN '{{}}'::jsonb ELSE jsonb_build_object(
                '{names[0]}', 1e-10, '{names[60]}', 1.5, '{names[1_199]}', 1e29, 'at', 'infinity') END)
            AS shown({typed})"""  # type: ignore[arg-type]
    )
    found = connection.execute(f"SELECT ({exact_values(COLUMNS)})::jsonb FROM wide").fetchall()  # type: ignore[arg-type]
    large = "1" + 29 * "0"
    assert found == [(None,), ({names[0]: "0.0000000001", names[1_199]: large, "at": "infinity"},)]


def test_types_whose_values_all_fit_are_sent_unchanged() -> None:
    assert sent("name", "text") is is_inexact("name", "text") is None
    assert exact_values({"name": "text"}) == "NULL::text"
