"""Takes the terminal pictures for docs/getting-started.md, using the sandbox: `make pictures`."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from gainsight_pipelines.embedded.server import embedded_server
from gainsight_pipelines_tests.page.browsing import browser_page, clean_environment
from gainsight_pipelines_tests.sandbox_process import start_sandbox

FOLDER = Path(__file__).parents[2] / "docs" / "images"
COLUMNS = 126
STYLE = (
    "margin: 0; background: #1e1e2e; color: #e4e6f0; padding: 16px 20px; font: 14px/19px monospace;"
    f" width: max-content; max-width: {COLUMNS}ch; white-space: pre-wrap"
)
OTHER_SEQUENCES = re.compile(r"\x1b\[[?>=][0-9;]*[a-zA-Z]|\r")
"""Control sequences other than colours, such as readline's bracketed paste."""


def on_a_terminal(arguments: list[str], folder: Path, env: Mapping[str, str]) -> str:
    """The terminal output of a command, with Enter as the answer to each of its questions."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "gainsight_pipelines.cli", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env={**env, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, answered = b"", 0
    try:
        while piece := os.read(ours, 65536):
            shown += piece
            text = OTHER_SEQUENCES.sub("", shown.decode(errors="replace"))
            if len(text) > answered and re.search(r": +\Z", text):  # readline adds blanks where it wraps
                answered = len(text)
                os.write(ours, b"\n")
    except OSError:  # on Linux, reading fails once the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return OTHER_SEQUENCES.sub("", shown.decode())


def picture(name: str, command: str, shown: str) -> None:
    """Saves a picture of the text with its colours."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), color_system="standard", force_terminal=True)
    console.print(Text.assemble(("$ ", "green"), command))
    console.print(Text.from_ansi(shown.rstrip()), soft_wrap=True)
    html = console.export_html(
        theme=MONOKAI, inline_styles=True, code_format=f'<pre id="terminal" style="{STYLE}">{{code}}</pre>'
    )
    with browser_page(device_scale_factor=1.5) as page:
        page.set_content(f"<style>body {{ margin: 0 }}</style>{html}")
        page.locator("#terminal").screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Runs the first commands of a new project and saves pictures of their output."""
    with (
        tempfile.TemporaryDirectory(prefix="terminal-") as parent,
        embedded_server(Path(parent) / "postgres", temporary=True) as server,
        start_sandbox(Path(parent) / "sandbox", activities=2000, accounts=300, seed=4) as sandbox,
    ):
        folder = Path(parent) / "project"
        folder.mkdir()
        env = clean_environment() | {
            "XDG_RUNTIME_DIR": parent,  # no other sandbox is announced here
            "GAINSIGHT_PIPELINES_DATABASE_URL": server.url("gainsight"),
            "DAGSTER_POSTGRES_URL": server.url("dagster"),
        }
        shown = on_a_terminal(["init", "--sandbox", str(sandbox.folder)], folder, env)
        questions, _, _file = shown.partition("\n\n")
        picture("init", "gainsight-pipelines init", questions)
        on_a_terminal(["migrate"], folder, env)
        for arguments in (["validate"], ["preview", "survey_survey_response", "--records", "1"]):
            shown = on_a_terminal(arguments, folder, env)
            picture(arguments[0], f"gainsight-pipelines {' '.join(arguments)}", shown)


if __name__ == "__main__":
    main()
