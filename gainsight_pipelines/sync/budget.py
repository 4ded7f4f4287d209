"""The number of records that a run may still read, if its object has a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """What remains of a limit; `remaining` is None without one."""

    limit: int | None
    spent: int = 0

    @property
    def remaining(self) -> int | None:
        """The number of records that may still be read; None: unlimited."""
        return None if self.limit is None else max(0, self.limit - self.spent)

    def spend(self, records: int) -> None:
        """Subtracts records that were read."""
        self.spent += records

    def share(self, most: int) -> int:
        """The number of records that may still be read, up to `most`."""
        return most if self.remaining is None else min(self.remaining, most)
