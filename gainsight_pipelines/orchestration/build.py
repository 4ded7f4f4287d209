"""The definitions as a whole, out of the settings: the one way they are built, for Dagster, commands and tests."""

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
    """Assets, checks, jobs, schedules, sensors and the resource of one Gainsight tenant, to be merged with your own.

    Calls nobody, reads no secret, and sets no executor. With settings that can't be used, in whole or in part, what is
    wrong stands in the assets' descriptions, and the code location loads all the same.

    Args:
        settings: path of the settings file, or its sections as a mapping; None: `GAINSIGHT_PIPELINES_SETTINGS`, else
            `gainsight.yaml` in the working directory.
        translator: makes the assets' keys, groups, owners and so on; None: the default ones.
        prefix: of jobs, schedules, sensors, pools and the resource; letters, digits and _. Another one for each tenant.
        select: pulls to have, by name or by section of the settings (`surveys` for all of them); None: all enabled.
        schedules: `running`: at work, `stopped`: there, for somebody to start in the UI, `none`: not there, and nothing
            is caught up; the cadence stands in each asset's metadata.
        secrets_prefix: read secrets from variables with this before their names (`ACME_`: `ACME_GAINSIGHT_API_KEY`,
            `ACME_GAINSIGHT_PIPELINES_DATABASE_URL`), and never from those without.
        execute: what a step does with its pull; None: `pull.run(context)`.

    Raises:
        ValueError: the prefix can't be one.
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
    """The specs of the same assets alone: for a code location that reads what another one pulls.

    Args:
        settings: as in `build_gainsight_definitions`.
        translator: as there.
        prefix: as there.
        select: as there.
        io_manager_key: what downstream assets load them with, as a `GainsightFramesIOManager`; None: nothing.
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
    """Without Dagster's word on what is beta or preview: the project's range of versions holds them to what was tried.

    Observable source assets, backfill policies, owners of assets and kinds are called so by this version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
