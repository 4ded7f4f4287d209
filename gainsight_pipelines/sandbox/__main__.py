"""`python -m gainsight_pipelines.sandbox`: the sandbox's command line."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from gainsight_pipelines.sandbox.generate import Size
from gainsight_pipelines.sandbox.server import LOOPBACK, Options, run
from gainsight_pipelines.sandbox.tenant_report import NoReport, switches_like


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(
        prog="python -m gainsight_pipelines.sandbox", usage="%(prog)s --folder FOLDER [options]", description=__doc__
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder for the files with addresses and credentials"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed and time give the same data")
    parser.add_argument("--port-base", type=int, default=0, help="first of four ports; 0: free ones")
    parser.add_argument(
        "--host", type=_address, default=LOOPBACK, help="IPv4 address to listen on, by TLS; default: loopback"
    )
    parser.add_argument("--activities", type=int, default=Size().activities)
    parser.add_argument("--accounts", type=int, default=Size().accounts)
    parser.add_argument("--now", type=_moment, default=None, help="latest time in the data (ISO); default: now")
    parser.add_argument(
        "--like", type=Path, default=None, help="report from `validate --report`: behave like that tenant"
    )
    arguments = parser.parse_args()
    if arguments.accounts < 40 or arguments.activities < 60:
        parser.error("at least 40 accounts and 60 activities: fewer can't include every kind of match")
    size = Size.of(arguments.accounts, arguments.activities)
    try:
        switches = {} if arguments.like is None else switches_like(arguments.like)
    except NoReport as error:
        parser.error(str(error))
    run(Options(arguments.folder, arguments.seed, arguments.port_base, size, arguments.now, switches, arguments.host))


def _address(text: str) -> str:
    return str(IPv4Address(text))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    main()
