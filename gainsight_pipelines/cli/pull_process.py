"""The process that runs the pulls of a command.

It imports Dagster, which takes longest, while the command imports its own modules and opens its databases. So this
module imports as little as possible.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

from gainsight_pipelines.embedded.processes import ProcessGroup
from gainsight_pipelines.orchestration.run_request import Request, log_of

STOP_SECONDS = 10.0
"""How long a pull may take to roll back its page when it is stopped."""


@dataclass(frozen=True, slots=True)
class PullProcess:
    """The process, which waits for a request.

    `group` holds it and the processes that it starts. `folder` receives the pulls' output and exit statuses.
    """

    process: Popen[bytes]
    group: ProcessGroup
    folder: Path

    def ask_for(self, runs: Mapping[str, str], environ: Mapping[str, str], config: Mapping[str, bool]) -> None:
        """Sends the request. A process that has ended meanwhile has said why in its log.

        Args:
            runs: the run id of each pull, by the pull's name.
            environ: the environment of the pulls.
            config: run config of each pull: `accept_deletions`, `full_refresh`.
        """
        request = Request(str(self.folder), self.group.marked(environ), dict(runs), dict(config))
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(request.to_json().encode())


@contextmanager
def pull_process() -> Iterator[PullProcess]:
    """Starts the process. It ends with the block, and with this process, however that ends."""
    with tempfile.TemporaryDirectory(prefix="gainsight-") as name, ProcessGroup(grace_seconds=STOP_SECONDS) as group:
        folder = Path(name)
        with log_of(folder).open("wb") as log:
            command = [sys.executable, "-m", "gainsight_pipelines.orchestration.run_object"]
            process = group.start(command, stdin=PIPE, stdout=log, stderr=log)
        yield PullProcess(process, group, folder)
