"""How to call the program from the user's working directory, so that suggested commands work when pasted."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

PROGRAM = "gainsight-pipelines"


def program() -> str:
    """The command that starts this program from the working directory."""
    if shutil.which(PROGRAM) is not None:
        return PROGRAM
    script = Path(sys.executable).with_name(PROGRAM)
    if not script.exists():
        return f"{sys.executable} -m gainsight_pipelines.cli"
    here = Path.cwd()
    return str(script.relative_to(here)) if script.is_relative_to(here) else str(script)


def dev_on_sandbox(crm: str) -> str:
    """The command that opens the Dagster UI on the sandbox: `make dev` if the Makefile has it."""
    arguments = "" if crm == "salesforce" else f"--crm {crm}"
    if _makes("dev"):
        return f'make dev ARGS="{arguments}"' if arguments else "make dev"
    return f"{program()} dev --sandbox {arguments}".rstrip()


def _makes(target: str) -> bool:
    """Whether the working directory has this project's Makefile, with this target."""
    try:
        text = Path("Makefile").read_text("utf-8", "replace")
    except OSError:
        return False
    return PROGRAM in text and re.search(rf"^{target}:", text, re.MULTILINE) is not None
