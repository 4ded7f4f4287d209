"""A terminal of a given width, as a command sees it: a pseudo-terminal that the test reads."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(*arguments: str, folder: Path, env: Mapping[str, str], columns: int = 80) -> tuple[int, str]:
    """Runs a command there until it ends; its exit status, and what it showed without colours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gainsight_pipelines.cli", *arguments],
        cwd=folder,
        env={**env, "COLUMNS": str(columns), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal's other end is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return process.wait(60), COLOURS.sub("", shown.decode(errors="replace")).replace("\r\n", "\n")
