"""The errors that cross module borders, grouped by what fixes them.

::

    PipelineError               says what happened, to which object, and what to do
    ├── SettingsError           fix the settings file or the environment
    │   └── NotEnabled          the settings no longer have this object
    ├── CredentialsRejected     replace the key or token, then run again
    ├── GateClosed              the primary CRM is unavailable; run again once it is back
    │   ├── NoPrimaryCRM        none is configured
    │   └── NoAccounts          it responds, but shows no accounts
    ├── ObjectBusy              another run pulls this object; wait for it to end
    ├── UsageError              call the command differently
    ├── PermanentError          a retry won't help; a person has to act
    └── TransientError          a retry may help (`retry_after`: seconds, if known)
        └── RateLimited         the API quota is used up for now

Users see no other errors. `orchestration/failures.py` turns them into Dagster failures. Messages contain no secrets and
no record values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

VARIABLE = re.compile(
    r"\b(?!GAINSIGHT_PIPELINES_(?:SETTINGS|GATE_SECONDS|DOCS_URL)\b)(?:GAINSIGHT|SALESFORCE|HUBSPOT|DESTINATION)_[A-Z_]+"
)
"""A variable of one tenant's, without a prefix: with one, no word begins there. The others are everybody's."""


class PipelineError(Exception):
    """An error that a person can act on.

    Args:
        message: what happened, to which object; one sentence.
        todo: what to do about it; one sentence, may be empty.

    Attributes:
        section: the anchor of the heading in docs/troubleshooting.md.
    """

    section: ClassVar[str] = "refused"

    def __init__(self, message: str, todo: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.todo = todo

    def name_variables(self, prefix: str) -> None:
        """Names each variable as it is set where several tenants share an environment: with the tenant's prefix."""
        self.message, self.todo = (VARIABLE.sub(rf"{prefix}\g<0>", text) for text in (self.message, self.todo))
        self.args = (self.message,)

    def __str__(self) -> str:
        end = "" if not self.todo or self.message.rstrip().endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{end} {self.todo}".strip()


class SettingsError(PipelineError):
    """A wrong, missing or contradictory setting."""

    section = "settings"


class UsageError(PipelineError):
    """A command was called with too few arguments, or with contradictory ones."""


class NotEnabled(SettingsError):
    """The settings don't have this object. It may have been removed after the run was requested."""


class CredentialsRejected(PipelineError):
    """Gainsight or the CRM refused a key, token or password."""

    section = "credentials-rejected"


class GateClosed(PipelineError):
    """The primary CRM is unavailable, so nothing is pulled.

    Args:
        is_blip: one response was lost or was a server error; it may be over in a second.
    """

    section = "primary-crm-not-answering"

    def __init__(self, message: str, todo: str = "", *, is_blip: bool = False) -> None:
        super().__init__(message, todo)
        self.is_blip = is_blip


class NoPrimaryCRM(GateClosed):
    """No primary CRM is configured."""

    section = "no-primary-crm"


class NoAccounts(GateClosed):
    """The primary CRM responds but shows no accounts: its user may not read them."""

    section = "primary-crm-without-accounts"


class ObjectBusy(PipelineError):
    """Another run is pulling the object."""

    section = "already-being-pulled"


class PermanentError(PipelineError):
    """A retry won't help."""


class TransientError(PipelineError):
    """A retry may help.

    Args:
        retry_after: seconds to wait before the next attempt, if the server said so.
    """

    section = "try-again"

    def __init__(self, message: str, todo: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, todo)
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The tenant's API quota, or our share of it, is used up for now."""

    section = "api-quota"


@contextmanager
def variables_named(prefix: str) -> Iterator[None]:
    """Errors from within name variables with this tenant's prefix; clients don't know whose they are given."""
    try:
        yield
    except PipelineError as error:
        error.name_variables(prefix)
        raise
