"""A pseudo-terminal of a given width, in which a test runs a command and reads its output."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gainsight_pipelines_tests.preloaded import COMMANDS, python

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(*arguments: str, folder: Path, env: Mapping[str, str], columns: int = 80) -> tuple[int, str]:
    """Runs a command in a pseudo-terminal until it ends; returns its exit status and its output without colours."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [python(), "-m", COMMANDS, *arguments],
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
