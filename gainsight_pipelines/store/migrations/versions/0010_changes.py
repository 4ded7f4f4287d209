"""Indexes for readers of changes and for metrics; ids of companies that earlier versions may have lost are doubtful."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    cursor = op.get_bind().connection.cursor()
    cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
