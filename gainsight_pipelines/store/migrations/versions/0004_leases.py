"""The store's id, leases, and the pause that Gainsight asked for."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # The driver's own cursor: it takes several statements at once, SQLAlchemy's execute doesn't.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
