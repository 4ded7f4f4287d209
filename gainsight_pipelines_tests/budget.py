"""A budget of CPU time for each test module keeps the suite quick: a module that uses over twice its budget fails.

The time of this process and of the processes that it started and waited for counts, fixtures included. Waiting costs
nothing, so a busy machine changes little. The PostgreSQL server, which all workers share, counts for no module.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from gainsight_pipelines_tests import preloaded

SECONDS, LONG_SECONDS = 45.0, 180.0
"""The budget of a module, and of one marked `long`. A `budget(seconds)` mark sets a module's own."""

MARGIN = 2

_used: dict[str, float] = defaultdict(float)
_began: dict[str, float] = {}


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended, in seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime + preloaded.cpu_seconds()


def budget_of(item: pytest.Item) -> float:
    """The budget of the item's module, in seconds."""
    own = item.get_closest_marker("budget")
    if own is not None:
        return float(own.args[0])
    return LONG_SECONDS if item.get_closest_marker("long") else SECONDS


def check(module: str, used: float, budget: float) -> None:
    """Fails the running test if the module has used more than twice its budget."""
    if used > MARGIN * budget:
        pytest.fail(
            f"{module} has used {used:.0f} s of CPU; its budget is {budget:.0f} s. Share what it starts, or move what"
            " is long into `make soak`; a module that is worth more says so with `pytest.mark.budget(seconds)`.",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    _began[item.nodeid] = cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    found = yield
    module = item.nodeid.partition("::")[0]
    _used[module] += cpu_seconds() - _began.pop(item.nodeid)
    if nextitem is None or nextitem.nodeid.partition("::")[0] != module:
        check(module, _used.pop(module), budget_of(item))
    return found
