"""How many records a run may still read, where its object has a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """What is left of a limit; `left` is None where there is none."""

    limit: int | None
    spent: int = 0

    @property
    def left(self) -> int | None:
        """How many records may still be read; None: any number."""
        return None if self.limit is None else max(0, self.limit - self.spent)

    def spend(self, records: int) -> None:
        """Takes note of records that were read."""
        self.spent += records

    def share(self, most: int) -> int:
        """How many of at most so many records may still be read."""
        return most if self.left is None else min(self.left, most)
