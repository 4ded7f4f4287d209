"""Builds all definitions from the settings. Dagster, commands and tests use this module only."""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from gainsight_pipelines.orchestration.account import account_asset, gate_check
from gainsight_pipelines.orchestration.alerts import alert_check, alert_sensor
from gainsight_pipelines.orchestration.assets import Execute, pull_asset
from gainsight_pipelines.orchestration.backfills import backfill_asset
from gainsight_pipelines.orchestration.checks import pull_checks
from gainsight_pipelines.orchestration.deliveries import delivery_assets, delivery_job, delivery_sensor
from gainsight_pipelines.orchestration.frames import GainsightFramesIOManager
from gainsight_pipelines.orchestration.identity import step_tags
from gainsight_pipelines.orchestration.names import DEFAULT_PREFIX, Names
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.retention import retention_job, retention_schedule
from gainsight_pipelines.orchestration.schedules import pull_schedule
from gainsight_pipelines.orchestration.sensors import gate_sensor
from gainsight_pipelines.orchestration.sync_all import sync_all_job, sync_all_sensor
from gainsight_pipelines.orchestration.tenant import TABLE, TENANT, Running, Tenant
from gainsight_pipelines.orchestration.translator import DagsterGainsightTranslator

PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def build_gainsight_definitions(
    settings: str | Path | Mapping[str, Any] | None = None,
    *,
    translator: DagsterGainsightTranslator | None = None,
    prefix: str = DEFAULT_PREFIX,
    select: Sequence[str] | None = None,
    schedules: Running = "running",
    secrets_prefix: str = "",
    execute: Execute | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensors and the resource of one Gainsight tenant, to merge with your own.

    Makes no calls, reads no secrets, and sets no executor. If the settings are invalid, in whole or in part, the code
    location still loads, and the assets' descriptions say what is wrong.

    Args:
        settings: path of the settings file, or its sections as a mapping; None: `GAINSIGHT_PIPELINES_SETTINGS`, or
            `gainsight.yaml` in the working directory.
        translator: decides keys, groups, owners and so on of the assets; None: the defaults.
        prefix: of jobs, schedules, sensors, pools and the resource; letters, digits and _. Unique per tenant.
        select: pulls to include, by name or by section of the settings (`surveys` for all of them); None: all enabled.
        schedules: `running`; `stopped`: to be started in the UI; `none`: no schedules and no catch-up (the cadence is
            still in each asset's metadata).
        secrets_prefix: prefix of the variables with secrets (`ACME_`: `ACME_GAINSIGHT_API_KEY`,
            `ACME_GAINSIGHT_PIPELINES_DATABASE_URL`); variables without it are never read.
        execute: what a step does with its pull; None: `pull.run(context)`.

    Raises:
        ValueError: an invalid prefix.
    """
    tenant = _tenant(settings, translator, prefix, select, schedules, secrets_prefix)
    with _quiet():
        return definitions_of(tenant, execute)


def load_gainsight_asset_specs(
    settings: str | Path | Mapping[str, Any] | None = None,
    *,
    translator: DagsterGainsightTranslator | None = None,
    prefix: str = DEFAULT_PREFIX,
    select: Sequence[str] | None = None,
    io_manager_key: str | None = None,
) -> list[dg.AssetSpec]:
    """The specs of the same assets only, for a code location that reads what another one pulls.

    Args:
        settings: as for `build_gainsight_definitions`.
        translator: likewise.
        prefix: likewise.
        select: likewise.
        io_manager_key: the IO manager that loads them in downstream assets, such as a `GainsightFramesIOManager`; None:
            none.
    """
    tenant = _tenant(settings, translator, prefix, select, "none", "")
    with _quiet():
        pulled = [tenant.account, *(spec for name in tenant.pulls for spec in (tenant.asset(name), tenant.days(name)))]
        every = [*pulled, *(tenant.delivery_spec(relation) for relation in tenant.delivered)]
    specs = [spec for spec in every if spec is not None]
    return [
        spec.with_io_manager_key(io_manager_key)
        if io_manager_key and TABLE in spec.metadata
        else _without_io_manager(spec)
        for spec in specs
    ]


def _without_io_manager(spec: dg.AssetSpec) -> dg.AssetSpec:
    kept = {key: value for key, value in spec.metadata.items() if key != "dagster/io_manager_key"}
    return spec.replace_attributes(metadata=kept)


def definitions_of(tenant: Tenant, execute: Execute | None = None) -> dg.Definitions:
    """All definitions of one tenant."""
    pulls = list(tenant.pulls)
    jobs = [
        dg.define_asset_job(
            tenant.names.job(name),
            selection=dg.AssetSelection.assets(tenant.asset(name).key),
            description=f"Pulls `{name}`.",
            tags=step_tags(name),
            metadata={TENANT: tenant.names.prefix},
        )
        for name in pulls
    ]
    days = [backfill_asset(tenant, name) for name in pulls]
    checks = [pull_checks(tenant, name) for name in pulls]
    checks += [alert_check(tenant)]
    sync_all, alerts, retention = sync_all_job(tenant), alert_sensor(tenant), retention_job(tenant)
    schedules = [pull_schedule(tenant, name) for name in pulls]
    if retention is not None:
        schedules.append(retention_schedule(tenant, retention))
    deliver, deliveries = delivery_job(tenant), delivery_sensor(tenant)
    return dg.Definitions(
        assets=[
            account_asset(tenant),
            *(pull_asset(tenant, name, execute) for name in pulls),
            *(each for each in days if each is not None),
            *delivery_assets(tenant),
        ],
        asset_checks=[gate_check(tenant), *(each for each in checks if each is not None)],
        jobs=[*jobs, *([sync_all] if pulls else []), *(each for each in (retention, deliver) if each is not None)],
        schedules=[] if tenant.schedules == "none" else schedules,
        sensors=[
            gate_sensor(tenant, jobs),
            *([sync_all_sensor(tenant, sync_all, jobs)] if pulls else []),
            *([alerts] if alerts is not None else []),
            *([deliveries] if deliveries is not None else []),
        ],
        resources={
            tenant.names.resource: tenant.resource,
            tenant.names.frames: GainsightFramesIOManager.of(tenant.resource),
        },
    )


def _tenant(
    settings: str | Path | Mapping[str, Any] | None,
    translator: DagsterGainsightTranslator | None,
    prefix: str,
    select: Sequence[str] | None,
    schedules: Running,
    secrets_prefix: str,
) -> Tenant:
    if not PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix is {prefix!r}: it takes letters, digits and _, and begins with a letter")
    if isinstance(settings, Mapping):
        resource = GainsightResource(inline_settings=json.dumps(settings, default=str), secrets_prefix=secrets_prefix)
    else:
        path = str(Path(settings).absolute()) if settings is not None else None
        resource = GainsightResource(settings_path=path, secrets_prefix=secrets_prefix)
    return Tenant(
        resource=resource,
        settings=resource.settings(),
        names=Names(prefix),
        translator=translator or DagsterGainsightTranslator(),
        select=None if select is None else tuple(select),
        schedules=schedules,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Dagster's beta and preview warnings: the dependency range pins the versions that were tested.

    They concern observable source assets, backfill policies, owners of assets and kinds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
