"""The program that `preloaded.python()` returns. Arguments: the folder of the sockets, its own path, then Python's own.

It has to start quickly, so it imports as little as possible and does without site-packages.
"""

import _signal
import _socket
import array
import marshal
import os
import sys

KINDS = {
    "gainsight_pipelines.cli": "commands",
    "gainsight_pipelines.cli deliver": "delivery",
    "gainsight_pipelines.cli settings-page": "page",
    "gainsight_pipelines.sandbox": "sandbox",
    "gainsight_pipelines.orchestration.dead_runs": "dagster",
    "gainsight_pipelines.orchestration.purge": "dagster",
    "gainsight_pipelines.orchestration.run_object": "dagster",
    "bench.contenders.pull": "dagster",
    "gainsight_pipelines_tests.delivery.deliver_process": "delivery",
    "gainsight_pipelines_tests.pull_process": "dagster",
    "dagster": "dagster",
    "dagster._daemon": "dagster",
    "dagster_webserver": "dagster",
}
SCRIPTS = {"dg": "dagster", "dbt": "dbt"}
OF_DAGSTER = ("from multiprocessing.spawn import spawn_main;", "import dagster as dg\n")
"""How code (`-c`) begins that needs Dagster: what one Dagster process starts another with, and what tests write."""


def main(sockets, program, *arguments):
    """Passes the command to a prepared process if there is one, else runs Python."""
    kind = _kind_of(arguments)
    if kind is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    connection = _socket.socket(_socket.AF_UNIX)
    connection.connect(f"{sockets}/{kind}")
    files = [file for file in map(int, os.listdir("/proc/self/fd")) if _is_inherited(file)]
    request = marshal.dumps(
        {
            "program": os.fsencode(program),
            "arguments": [os.fsencode(each) for each in arguments],
            "folder": os.getcwdb(),
            "env": dict(os.environb),
            "files": files,
        }
    )
    # A signal that comes before the handlers are set waits for them.
    passed_on = {_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, passed_on)
    numbers = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", files))]
    connection.sendmsg([len(request).to_bytes(4, "little")], numbers)
    connection.sendall(request)
    for number in passed_on:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, lambda number, _frame: connection.send(bytes([number])))
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, passed_on)
    status = connection.recv(16)
    if not status:
        sys.exit("The process that runs this is gone.")
    if int(status) < 0:
        if -int(status) != _signal.SIGKILL:
            _signal.signal(-int(status), _signal.SIG_DFL)
        os.kill(os.getpid(), -int(status))
    os._exit(int(status))


def _kind_of(arguments):
    """The kind of process that is prepared for this command, or None."""
    if arguments[:1] == ("-m",):
        return KINDS.get(" ".join(arguments[1:3])) or KINDS.get(arguments[1])
    if arguments[:1] == ("-c",):
        return "dagster" if arguments[1].startswith(OF_DAGSTER) else None
    return SCRIPTS.get(os.path.basename(arguments[0])) if arguments else None


def _is_inherited(file):
    try:
        return os.get_inheritable(file)
    except OSError:  # the descriptor of the listing itself
        return False


main(*sys.argv[1:])
