"""The errors that cross module borders, grouped by what mends them.

::

    PipelineError               a sentence (what happened, to which object) and what to do
    ├── SettingsError           change the settings file or the environment
    │   └── NotEnabled          the settings don't have this object (any more)
    ├── CredentialsRejected     put a new key or token in place, then run again
    ├── GateClosed              bring the primary CRM back, then run again
    │   ├── NoPrimaryCRM        none is configured
    │   └── NoAccounts          it answers, but shows no accounts
    ├── ObjectBusy              somebody else pulls this object: wait for that run
    ├── UsageError              call the command another way
    ├── PermanentError          running again changes nothing: somebody has to act
    └── TransientError          running again later may do (retry_after in seconds, if known)
        └── RateLimited         the API quota is used up for now

Only these reach a user; they become Dagster failures at one border (``orchestration/failures.py``).
Texts hold no secret and no record values.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """An error that a person can act on.

    Args:
        message: what happened, to which object; one sentence.
        todo: what to do about it; one sentence, may be empty.

    Attributes:
        section: the heading in docs/troubleshooting.md that says more, as in its address.
    """

    section: ClassVar[str] = "refused"

    def __init__(self, message: str, todo: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.todo = todo

    def __str__(self) -> str:
        end = "" if not self.todo or self.message.rstrip().endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{end} {self.todo}".strip()


class SettingsError(PipelineError):
    """A wrong, missing or contradictory setting."""

    section = "settings"


class UsageError(PipelineError):
    """A command that was called in a way that says nothing, or two things at once."""


class NotEnabled(SettingsError):
    """The settings don't have this object, or no longer: it was switched off since the run was asked for."""


class CredentialsRejected(PipelineError):
    """A key, token or password was refused by Gainsight or by the CRM."""

    section = "credentials-rejected"


class GateClosed(PipelineError):
    """The primary CRM isn't there: nothing is pulled.

    Args:
        is_blip: one answer was lost or is a server's error, which may be over in a second.
    """

    section = "primary-crm-not-answering"

    def __init__(self, message: str, todo: str = "", *, is_blip: bool = False) -> None:
        super().__init__(message, todo)
        self.is_blip = is_blip


class NoPrimaryCRM(GateClosed):
    """No primary CRM is configured."""

    section = "no-primary-crm"


class NoAccounts(GateClosed):
    """The primary CRM answers and shows no accounts: its user may not read them."""

    section = "primary-crm-without-accounts"


class ObjectBusy(PipelineError):
    """The object is being pulled by another run."""

    section = "already-being-pulled"


class PermanentError(PipelineError):
    """Nothing that a retry mends."""


class TransientError(PipelineError):
    """A retry may mend it.

    Args:
        retry_after: seconds to wait before the next try, if the other side said so.
    """

    section = "try-again"

    def __init__(self, message: str, todo: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, todo)
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The API quota of the tenant, or our share of it, is used up for now."""

    section = "api-quota"
