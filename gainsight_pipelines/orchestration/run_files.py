"""The files by which a command learns of pulls that it has started in processes of their own."""

from __future__ import annotations

from pathlib import Path


def log_of(folder: Path, name: str = "") -> Path:
    """What a pull has printed; without a name: what the process printed that starts them."""
    return folder / f"{name}.log"


def exit_of(folder: Path, name: str) -> Path:
    """A pull's exit status, negative for the signal that ended it; there once it has ended."""
    return folder / f"{name}.exit"
