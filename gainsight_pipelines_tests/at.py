"""Runs tests at another time: `python -m gainsight_pipelines_tests.at "2028-02-29 05:05" [pytest's arguments]`.

In pytest and every process that it starts, PostgreSQL included, the clock starts at that time (UTC) and runs on. Needs
Linux and a C compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

SOURCE = Path(__file__).with_name("shifted_clock.c")


def main() -> int:
    """Returns pytest's exit status."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    moment = datetime.fromisoformat(sys.argv[1]).replace(tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as another user
        library = Path(folder) / "shifted_clock.so"
        compiler = os.environ.get("CC", "cc")
        ahead = round((moment - datetime.now(UTC)).total_seconds())
        command = [compiler, f"-DAHEAD={ahead}", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True)
        env = os.environ | {"LD_PRELOAD": str(library)}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *sys.argv[2:]]
        return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
