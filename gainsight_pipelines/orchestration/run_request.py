"""What a command and the process that runs its pulls tell each other.

The command writes its request to the process's standard input. The process puts the pulls' output and exit statuses
into files of the request's folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Request:
    """Pulls to run."""

    folder: str
    environ: dict[str, str] = field(repr=False)
    """The whole environment. It may hold secrets, which a pipe keeps to itself."""
    runs: dict[str, str]
    """The run id of each pull, by the pull's name."""
    config: dict[str, bool]
    """The run config of each pull: `accept_deletions`, `full_refresh`."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


def log_of(folder: Path, name: str = "") -> Path:
    """What a pull has printed; without a name: what the process itself has printed."""
    return folder / f"{name}.log"


def exit_of(folder: Path, name: str) -> Path:
    """A pull's exit status, negative for the signal that ended it; there once it has ended."""
    return folder / f"{name}.exit"
