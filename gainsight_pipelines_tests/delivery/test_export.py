"""Exports: files have exactly the tables' values, and a failed export leaves no file behind."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gainsight_pipelines.delivery import xlsx_file
from gainsight_pipelines.delivery.export import Export, export
from gainsight_pipelines.errors import PermanentError, UsageError
from gainsight_pipelines.objects.columns import fits
from gainsight_pipelines.objects.record import RECORD
from gainsight_pipelines.store.leases import Lease
from gainsight_pipelines.store.views import NUMBER, TEXT, Column, Source, bring_up_to_date
from gainsight_pipelines_tests.delivery.rows import add_activities

COUNT = 4_100
"""More rows than two chunks of an export."""


def stored(connection: psycopg.Connection, columns: str, where: str = "deleted_at IS NULL") -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {columns} FROM activity WHERE {where} ORDER BY 1").fetchall()  # type: ignore[arg-type]


def in_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_parquet_is_exact(connection: psycopg.Connection, tmp_path: Path) -> None:
    add_activities(connection, COUNT)
    seen: list[int] = []
    file = tmp_path / "activities.parquet"
    done = export(connection, Export("activity", with_deleted=True), file, seen.append)
    assert (done.rows, done.bytes) == (COUNT, file.stat().st_size)
    assert seen == [2000, 4000, COUNT]
    table = pq.read_table(file).sort_by("activity_id")
    names = table.column_names
    wanted = [f"{name}::text" if name in ("custom_fields", "unreadable") else name for name in names]
    rows = [tuple(row[name] for name in names) for row in table.to_pylist()]
    assert rows == stored(connection, ", ".join(wanted), "true")
    assert table.schema.field("changed_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("score").type == pa.decimal128(38, 13)
    assert table.schema.field("duration_minutes").type == pa.decimal128(38, 9)
    assert table["custom_fields"][0].as_py() == '{"i": 1, "n": 1234567890123456789.01}'
    assert list(tmp_path.iterdir()) == [file]


def test_csv_is_whole_and_runs_no_formula(connection: psycopg.Connection, tmp_path: Path) -> None:
    add_activities(connection, COUNT)
    file = tmp_path / "activities.CSV"
    done = export(connection, Export("activity"), file)
    found = sorted(in_csv(file), key=lambda row: row["activity_id"])
    rows = stored(connection, "activity_id, subject, score::text, changed_at, account_id")
    assert done.rows == len(found) == len(rows) == COUNT - COUNT // 10
    for row, (activity_id, subject, score, changed_at, account_id) in zip(found, rows, strict=True):
        assert row["activity_id"] == activity_id
        assert row["subject"].removeprefix("'") == subject
        assert row["score"] == (score or "")
        assert datetime.fromisoformat(row["changed_at"]) == changed_at
        assert row["account_id"] == (account_id or "")
    assert found[0]["subject"] == """'=HYPERLINK("http://x")"""
    assert found[0]["score"].startswith("-1234"), "a negative number is no formula"
    assert found[0]["internal_attendees"] == 'Ann; Bob "B"'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_whatever_a_spreadsheet_would_run_is_a_text(connection: psycopg.Connection, tmp_path: Path, start: str) -> None:
    add_activities(connection, 1)
    connection.execute("UPDATE activity SET subject = %s, internal_attendees = ARRAY[%s]", (f"{start}1", f"{start}2"))
    export(connection, Export("activity", ("subject", "internal_attendees")), tmp_path / "a.csv")
    assert in_csv(tmp_path / "a.csv") == [{"subject": f"'{start}1", "internal_attendees": f"'{start}2"}]


def test_excel_has_real_numbers_and_times_and_no_formula(connection: psycopg.Connection, tmp_path: Path) -> None:
    add_activities(connection, 2_100)
    connection.execute("UPDATE activity SET body = repeat('x', 40000) WHERE activity_id = 'a0002100'")
    file = tmp_path / "activities.xlsx"
    columns = ("activity_id", "subject", "score", "duration_minutes", "occurred_at", "body", "custom_fields")
    done = export(connection, Export("activity", columns, with_deleted=True), file)
    assert (done.rows, done.cut) == (2_100, 1)
    sheet = openpyxl.load_workbook(file).active
    assert sheet is not None
    head, first, second, *rest = sheet.iter_rows()
    assert [cell.value for cell in head] == list(columns)
    assert (first[1].value, first[1].data_type) == ('=HYPERLINK("http://x")', "s")
    assert first[2].value == "-12345678901234567890.1234567890123", "more digits than Excel has"
    assert (second[2].value, second[3].value) == (2, 30.5)
    assert second[4].value == datetime(2026, 1, 1, 8, 2, 0, 123000)  # noqa: DTZ001 - as Excel has it
    assert second[4].number_format.endswith('"UTC"')
    assert len(rest) == 2_098
    assert rest[-1][5].value == "x" * xlsx_file.LONGEST_TEXT


def test_rows_and_columns_that_were_asked_for(connection: psycopg.Connection, tmp_path: Path) -> None:
    add_activities(connection, 300)
    file = tmp_path / "some.csv"
    wanted = Export(
        "activity",
        ("activity_id", "source"),
        (("source", "survey"), ("account_id", None)),
        since=datetime(2026, 2, 1, 0, 2, tzinfo=UTC),
    )
    export(connection, wanted, file)
    expected = "source = 'survey' AND account_id IS NULL AND changed_at >= '2026-02-01 00:02Z' AND deleted_at IS NULL"
    rows = stored(connection, "activity_id, source", expected)
    assert rows and sorted((row["activity_id"], row["source"]) for row in in_csv(file)) == rows
    export(connection, Export("activity", since=datetime(2026, 1, 1, 10, tzinfo=UTC), since_column="occurred_at"), file)
    assert len(in_csv(file)) == len(
        stored(connection, "1", "occurred_at >= '2026-01-01 10:00Z' AND deleted_at IS NULL")
    )


def test_views_of_the_contract_and_of_objects(connection: psycopg.Connection, lease: Lease, tmp_path: Path) -> None:
    connection.execute(
        """INSERT INTO record (object, gsid, unmatched_reason, attributes, changed_at, run_id)
           VALUES ('thing__gc', 'G1', 'no_company', '{"Name": "A", "Worth": 1.5}', now(), 'r')"""
    )
    columns = [Column("Name", TEXT, "Name"), Column("Worth", NUMBER, "Worth")]
    bring_up_to_date(connection, lease, Source("thing__gc", RECORD, "thing__gc", "attributes"), columns, fits, "r")
    file = tmp_path / "things.parquet"
    assert export(connection, Export("thing__gc", ("gsid", "name", "worth")), file).rows == 1
    assert pq.read_table(file).to_pylist() == [{"gsid": "G1", "name": "A", "worth": Decimal("1.5")}]
    assert pq.read_schema(file).field("worth").type == pa.decimal128(38, 9)
    assert export(connection, Export("account_360"), file).rows == 0
    assert "objects" in pq.read_schema(file).names, "no rows: the columns all the same"
    with pytest.raises(UsageError, match="--since-column: renewal_date, last_activity_at"):
        export(connection, Export("account_360", since=datetime.now(UTC)), file)


def test_numbers_that_no_decimal_holds_are_whole_texts(connection: psycopg.Connection, tmp_path: Path) -> None:
    add_activities(connection, 2)
    file = tmp_path / "a.parquet"
    for digits, kind in ((60, pa.decimal256(76, 9)), (90, pa.string())):
        connection.execute("UPDATE activity SET score = ('1' || repeat('0', %s))::numeric", (digits - 1,))
        export(connection, Export("activity", ("score",)), file)
        assert pq.read_schema(file).field("score").type == kind
        assert {Decimal(row["score"]) for row in pq.read_table(file).to_pylist()} == {Decimal(10) ** (digits - 1)}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Export("activty"), "Did you mean activity"),
        (Export("object_column"), "There is no table or view 'object_column'"),
        (Export("activity", ("subjct",)), "Did you mean subject"),
        (Export("activity", where=(("sorce", "survey"),)), "Did you mean source"),
        (Export("activity", where=(("score", "nine"),)), "'nine' is not a numeric, the type of score"),
        (Export("activity", since_column="occurred_at"), "--since"),
        (Export("activity", since=datetime.now(UTC), since_column="subject"), "has no time column subject"),
    ],
)
def test_an_unknown_name_is_reported_and_nothing_is_written(
    connection: psycopg.Connection, tmp_path: Path, wanted: Export, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        export(connection, wanted, tmp_path / "a.csv")
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["parquet", "csv", "xlsx"])
def test_a_write_that_breaks_off_leaves_what_was_there(
    connection: psycopg.Connection, tmp_path: Path, ending: str
) -> None:
    add_activities(connection, 2_100)
    file = tmp_path / f"a.{ending}"
    file.write_text("of yesterday")

    def interrupt(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(connection, Export("activity"), file, interrupt)
    assert file.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(PermanentError, match=r"can't be written"):
        export(connection, Export("activity"), tmp_path / "nowhere" / f"a.{ending}")
    with pytest.raises(UsageError, match=r"\.parquet, \.csv or \.xlsx"):
        export(connection, Export("activity"), tmp_path / "a.txt")
    assert export(connection, Export("activity"), file).rows == 1_890, "the connection is as good as before"
