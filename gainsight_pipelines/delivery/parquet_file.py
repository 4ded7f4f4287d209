"""Parquet files. Every value is exact: numbers are decimals, times have a zone, JSON is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gainsight_pipelines.delivery.csv_file import as_text

GROUP_BYTES = 32 * 2**20
"""Size of a row group in memory. It is written once it is this large."""

TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int64(),
    "int4": pa.int64(),
    "int8": pa.int64(),
    "float4": pa.float64(),
    "float8": pa.float64(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "_text": pa.list_(pa.string()),
}
"""By PostgreSQL type. `numeric` depends on the digits; all other types are text."""

WIDEST, WIDEST_OF_ALL = 38, 76
"""Most digits of a decimal128, which every reader knows, and of a decimal256, which some know."""


class ParquetFile:
    """A Parquet file, compressed with zstd.

    Args:
        path: the file.
        types: the PostgreSQL type of each column.
        digits: by numeric column, the digits that it needs before and after the point.
    """

    def __init__(self, path: Path, types: Mapping[str, str], digits: Mapping[str, tuple[int, int]]) -> None:
        self._schema = pa.schema([(name, _type(kind, digits.get(name))) for name, kind in types.items()])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        columns = []
        for field, values in zip(self._schema, zip(*rows, strict=True), strict=True):
            is_text = field.type == pa.string()
            texts = [value if value is None else as_text(value) for value in values] if is_text else values
            columns.append(pa.array(texts, type=field.type))
        self._waiting.append(pa.record_batch(columns, schema=self._schema))
        if sum(batch.nbytes for batch in self._waiting) >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
            self._waiting.clear()


def _type(kind: str, digits: tuple[int, int] | None) -> pa.DataType:
    if kind != "numeric" or digits is None:
        return TYPES.get(kind, pa.string())
    before, after = digits
    if before + after <= WIDEST:
        return pa.decimal128(WIDEST, after)
    return pa.decimal256(WIDEST_OF_ALL, after) if before + after <= WIDEST_OF_ALL else pa.string()
