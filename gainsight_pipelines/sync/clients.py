"""Creates the clients of a pull from settings and secrets. Secrets are read here, at the start of each run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta, tzinfo
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.credentials import crm_from_environment
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.protocol import PrimaryCRM
from gainsight_pipelines.errors import NoPrimaryCRM, SettingsError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import credential_from
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.settings import GainsightSettings, Secrets, Settings
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.quota import Quota
from gainsight_pipelines.sync import Prepared, Services
from gainsight_pipelines.sync.accounts import Refresh


def connect_gainsight(settings: Settings, secrets: Secrets, clock: Clock, store: Store) -> GainsightClient:
    """A client for the configured tenant, within our share of its quota. Makes no call yet.

    Raises:
        SettingsError: no tenant is set, or neither a key nor an OAuth client.
    """
    tenant = tenant_of(settings)
    quota = Quota(store, clock, tenant.quota_share)
    return GainsightClient(
        tenant.base_url, credential_from(secrets), clock=clock, before_call=quota, on_refusal=quota.refused
    )


def tenant_of(settings: Settings) -> GainsightSettings:
    """The configured tenant.

    Raises:
        SettingsError: none is set, or its section is invalid.
    """
    if settings.gainsight is None:
        raise SettingsError(
            "The settings name no Gainsight tenant.",
            "Set `gainsight.base_url`, like https://your-tenant.gainsightcloud.com.",
        )
    return settings.gainsight


def connect_crm(
    settings: Settings,
    secrets: Secrets,
    clock: Clock,
    fields_with_gsids: Mapping[str, str] | None = None,
    *,
    answer_seconds: float | None = None,
) -> PrimaryCRM:
    """The configured primary CRM. Makes no call yet.

    Args:
        settings: name the CRM.
        secrets: its credentials.
        clock: the source of time.
        fields_with_gsids: account fields that may hold a GSID, with the settings that name them; None: all that
            `gsid_fields` finds.
        answer_seconds: read timeout; None: the one for pulls.

    Raises:
        NoPrimaryCRM: none is configured.
        SettingsError: its section is invalid, or its credentials are missing.
    """
    primary = settings.primary_crm
    if primary is None:
        raise NoPrimaryCRM(
            "No primary CRM is connected, so nothing is pulled.",
            "Set `primary_crm.kind` to salesforce or hubspot: it owns the accounts that Gainsight's data are added to.",
        )
    fields = AccountFieldMap(**primary.fields.model_dump())
    gsids = gsid_fields(settings) if fields_with_gsids is None else fields_with_gsids
    return crm_from_environment(
        primary.kind, secrets.environment(), fields, gsids, clock, answer_seconds=answer_seconds
    )


def gsid_fields(settings: Settings) -> Mapping[str, str]:
    """CRM account fields that may hold a GSID, each with the setting that names it. Invalid sections name none."""
    found: dict[str, str] = {}
    for section in ("common", *DEFINITIONS):
        model = settings.section(section) if section not in settings.errors else None
        rows = getattr(model, model.listed) if model is not None and model.listed else ()
        named = [(f"{section}[{number}]", row) for number, row in enumerate(rows)] or [(section, model)]
        for place, each in named:
            name = getattr(each, "gsid_field", None)
            if name is not None:
                found.setdefault(name, f"{place}.gsid_field")
    return found


def account_refresh(
    settings: Settings,
    store: Store,
    crm: PrimaryCRM,
    clock: Clock,
    run_id: str,
    *,
    gsid_field: str | None = None,
    is_full: bool = False,
    is_vanishing_accepted: bool = False,
) -> Refresh:
    """The refresh of the account table from this CRM, ready to run. The settings must name a CRM and a tenant.

    `gsid_field`: the account field that the pull matches by.
    """
    primary, tenant = settings.primary_crm, tenant_of(settings)
    assert primary is not None
    return Refresh(
        store=store,
        crm=crm,
        clock=clock,
        gainsight_host=urlsplit(tenant.base_url).hostname or "",
        fingerprint=_fingerprint([primary.fields.model_dump(), sorted(gsid_fields(settings))]),
        run_id=run_id,
        gsid_field=gsid_field,
        is_full=is_full,
        is_vanishing_accepted=is_vanishing_accepted,
    )


def prepare(  # noqa: PLR0913 - what a pull is made of
    settings: Settings,
    name: str,
    run_id: str,
    store: Store,
    crm: Callable[[], PrimaryCRM],
    gainsight: Callable[[Store], GainsightClient],
    clock: Clock,
    *,
    is_vanishing_accepted: bool = False,
    is_full: bool = False,
) -> Prepared:
    """A pull with its clients. The CRM comes first, since nothing is pulled without it.

    Raises:
        SettingsError: the pull's section, or one that it needs, is invalid, or a secret is missing.
        NoPrimaryCRM: no primary CRM is configured.
    """
    pull = find_pull(settings, name)
    services = Services(store=store, crm=crm(), gainsight=gainsight(store), clock=clock)
    tenant = tenant_of(settings)
    try:
        crm_id_field, is_crm_id_field_told = settings.crm_id_field(), True
    except SettingsError:
        crm_id_field, is_crm_id_field_told = None, False
    gsid_field = pull.gsid_field or settings.common.gsid_field
    return Prepared(
        pull=pull,
        services=services,
        refresh=account_refresh(
            settings,
            store,
            services.crm,
            clock,
            run_id,
            gsid_field=gsid_field,
            is_full=is_full,
            is_vanishing_accepted=is_vanishing_accepted,
        ),
        gsid_field=gsid_field,
        crm_id_field=crm_id_field,
        is_crm_id_field_told=is_crm_id_field_told,
        overlap=timedelta(minutes=tenant.overlap_minutes),
        timezone=_timezone(settings),
        is_full=is_full,
        is_vanishing_accepted=is_vanishing_accepted,
    )


def _timezone(settings: Settings) -> tzinfo:
    """The time zone of days; an invalid `schedules` section stops no pull."""
    return UTC if "schedules" in settings.errors else ZoneInfo(settings.schedules.timezone)


def _fingerprint(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def read_secrets(settings: Settings, prefix: str = "") -> Secrets:
    """The current secrets; `prefix`: of their variables' names."""
    return Secrets.read(settings.path, os.environ, prefix)
