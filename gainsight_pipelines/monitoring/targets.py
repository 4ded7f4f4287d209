"""The targets of messages: URLs from the environment, delivered by apprise. No message here contains any part of them.

apprise logs addresses, tokens included, and so does the HTTP client below it: both are silenced while sending.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gainsight_pipelines.errors import PermanentError, SettingsError
from gainsight_pipelines.settings import ALERTS_VARIABLE, Secrets

if TYPE_CHECKING:
    from apprise import NotifyBase

LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests_oauthlib.oauth1_auth")
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
STATUS = re.compile(r"\berror=(\d{3})\b")


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `number`: its place in the variable, from 1; `kind`: its service, such as `slack`."""

    number: int
    kind: str
    plugin: NotifyBase = field(repr=False)

    def __str__(self) -> str:
        return f"Target {self.number} ({self.kind})"

    def send(self, title: str, body: str, *, is_recovery: bool) -> str | None:
        """Sends a message; returns the problem, or None if it was accepted. Takes some seconds at most."""
        from apprise import Apprise, NotifyFormat, NotifyType

        sender = Apprise()
        sender.add(self.plugin)
        kind = NotifyType.SUCCESS if is_recovery else NotifyType.WARNING
        with _quiet() as said:
            try:
                is_taken = sender.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
            except Exception as error:  # noqa: BLE001 - a plugin's own mistake, whose text may hold the address
                return f"apprise failed with {type(error).__name__}"
        if is_taken:
            return None
        statuses = [found[1] for line in said if (found := STATUS.search(line))]
        return f"it responded with HTTP {statuses[-1]}" if statuses else "it refused the message, or did not respond"


def targets(secrets: Secrets) -> list[Target]:
    """The targets in the environment.

    Raises:
        SettingsError: none is set, or one is not a URL that apprise knows.
        PermanentError: apprise isn't installed.
    """
    variable = secrets.variable(ALERTS_VARIABLE)
    text = secrets.get(ALERTS_VARIABLE)
    if text is None:
        raise SettingsError(
            f"{variable} is not set, so alerts go nowhere.",
            "Set it to URLs of apprise (https://github.com/caronc/apprise), separated by blanks, or name a file with"
            f" one per line in {variable}_FILE.",
        )
    check_installed()
    return [_target(number, url, variable) for number, url in enumerate(text.split(), start=1)]


def check_installed() -> None:
    """Checks that the extra is installed.

    Raises:
        PermanentError: apprise is missing.
    """
    if find_spec("apprise") is None:
        raise PermanentError(
            "Alerts need a package that isn't installed.", 'Run: pip install "gainsight_pipelines[alerts]".'
        )


def _target(number: int, url: str, variable: str) -> Target:
    from apprise import Apprise

    with _quiet():
        plugin = Apprise.instantiate(url)
    if plugin is None:
        raise SettingsError(
            f"Target {number} of {variable} is not a URL that apprise knows.",
            "https://github.com/caronc/apprise lists them, like slack://…, msteams://… or mailto://….",
        )
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT_SECONDS, ANSWER_SECONDS
    return Target(number, str(plugin.service_name), plugin)


class _Aside(logging.Filter):
    """Suppresses a logger's records, and collects its warnings."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            self._said.append(record.getMessage())
        return False


@contextmanager
def _quiet() -> Iterator[list[str]]:
    said: list[str] = []
    aside = _Aside(said)
    with ExitStack() as stack:
        for logger in map(logging.getLogger, LOGGERS):
            logger.addFilter(aside)
            stack.callback(logger.removeFilter, aside)
        yield said
