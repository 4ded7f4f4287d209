"""Clients for interactive use: short timeouts, no retries, secrets read again each time.

Pickers don't count against our share of the quota: they make a handful of calls a day, and must work before there is a
database.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import credential_from
from gainsight_pipelines.settings import Secrets, Settings
from gainsight_pipelines.sync.clients import connect_crm, gsid_fields, tenant_of

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 25.0
"""Time limit of one call (requirement T3)."""


def _uncounted(kind: str) -> None:
    """Counts nothing."""


@dataclass(frozen=True, slots=True)
class InteractiveClients:
    """Creates clients for the services that the settings name, each for one question.

    Args:
        settings: the current settings, saved or not.
        clock: the source of time.
        environ: the environment; `.env` beside the settings file is read as well.
        before_call: called before each call to Gainsight, e.g. a `Quota`.
        answer_seconds: time limit per call.
        typed: variables about to be written to `.env`; None: about to be removed.
    """

    settings: Settings
    clock: Clock
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    before_call: Callable[[str], None] = _uncounted
    answer_seconds: float = ANSWER_SECONDS
    typed: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    def secrets(self) -> Secrets:
        """The current secrets.

        Raises:
            SettingsError: `.env` can't be read.
        """
        return Secrets.read(self.settings.path, self.environ).with_dotenv(self.typed)

    def gainsight(self, answer_seconds: float | None = None) -> GainsightClient:
        """A client for the tenant; makes no call yet. Close it.

        Args:
            answer_seconds: time limit per call, if not the default.

        Raises:
            SettingsError: no tenant is set, or neither a key nor an OAuth client.
        """
        seconds = answer_seconds or self.answer_seconds
        return GainsightClient(
            tenant_of(self.settings).base_url,
            credential_from(self.secrets()),
            clock=self.clock,
            before_call=self.before_call,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=seconds,
            max_answer_seconds=seconds,
            max_tries=1,
        )

    def crm(self, gsid_field: str | None = None) -> PrimaryCRM:
        """The primary CRM; makes no call yet. Close it.

        Args:
            gsid_field: the only GSID field to read, so that another section's mistake does no harm.

        Raises:
            GateClosed: no CRM is configured.
            SettingsError: its section is invalid, or its credentials are missing.
        """
        every = gsid_fields(self.settings)
        wanted = {gsid_field: every.get(gsid_field, "gsid_field")} if gsid_field else {}
        return connect_crm(self.settings, self.secrets(), self.clock, wanted, answer_seconds=self.answer_seconds)
