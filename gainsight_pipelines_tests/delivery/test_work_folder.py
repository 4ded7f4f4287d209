"""The temporary folders of deliveries that run in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DELIVERY = """
from pathlib import Path
from gainsight_pipelines.delivery.work_folder import work_folder
with work_folder() as folder:
    Path(folder, "rows").write_text("…")
    print(folder, flush=True)
    input()
"""


def start(tmp_path: Path) -> tuple[subprocess.Popen[str], Path]:
    """Starts a delivery that runs until it reads a line from stdin; returns it and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", DELIVERY],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_delivery_is_removed_by_the_next_one_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "gainsight-delivery-notes").mkdir()  # another program's folder
    (tmp_path / "gainsight-delivery-notes" / "rows").touch()
    running, its_folder = start(tmp_path)
    killed, left = start(tmp_path)
    killed.kill()
    killed.communicate()
    assert left.parent == tmp_path and left.is_dir()
    following, own = start(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {its_folder.name, own.name, "gainsight-delivery-notes"}
    for process in (following, running):
        process.communicate("\n")
        assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["gainsight-delivery-notes"]
