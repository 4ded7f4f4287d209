"""One tenant, as its definitions are built: settings, names, translator, and the specs of its assets."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import dagster as dg

from gainsight_pipelines.delivery.tables import ACCOUNT, DATA
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.orchestration.automation import delivery_condition
from gainsight_pipelines.orchestration.identity import PULL_TAG, tag_value
from gainsight_pipelines.orchestration.metadata import schema_of, table_metadata
from gainsight_pipelines.orchestration.names import Names, by_day, documentation
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.ticks import DagsterCadence
from gainsight_pipelines.orchestration.translator import DagsterGainsightTranslator, GainsightAssetProps
from gainsight_pipelines.scheduling.cadence import Cadence, cadence_of
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.settings.models import DeliverySettings
from gainsight_pipelines.settings.pulls import configured_pulls
from gainsight_pipelines.store.contract import RELATIONS

Running = Literal["running", "stopped", "none"]
"""How schedules and sensors start: running, stopped until somebody starts them in the UI, or absent."""

DAYS_PER_RUN = 30

TABLE, TIME_COLUMN = "gainsight_pipelines/table", "gainsight_pipelines/time_column"
OBJECT, OBJECT_COLUMN = "gainsight_pipelines/object", "gainsight_pipelines/object_column"
"""Metadata of an asset: its table and the date column; the object of its rows, where several share the table. Used by
the IO manager for DataFrames."""

VIEW = "gainsight_pipelines/view"
"""The typed view with the same rows and a column per field, by the name it was created for."""

DELIVERY = "delivery"
"""What stands for a pull's name in the tags of deliveries."""

DELIVERED = "gainsight_pipelines/delivered"
"""Metadata of a delivery's asset: the table or view that it delivers."""

TENANT = "gainsight_pipelines/tenant"
"""Metadata of jobs and of the gate sensor: the tenant's prefix."""

SETTINGS, DIGEST = "gainsight_pipelines/settings", "gainsight_pipelines/settings_digest"
"""Metadata of the gate sensor: the settings that these definitions were built from, and a digest of their content."""


@dataclass(frozen=True)
class Tenant:
    """Everything that a tenant's definitions depend on. Makes no calls, reads no secrets and no clock."""

    resource: GainsightResource
    settings: Settings
    names: Names = field(default_factory=Names)
    translator: DagsterGainsightTranslator = field(default_factory=DagsterGainsightTranslator)
    select: tuple[str, ...] | None = None
    schedules: Running = "running"

    def of(self, context: Any) -> GainsightResource:
        """The resource in a step, schedule or sensor."""
        found = getattr(context.resources, self.names.resource)
        assert isinstance(found, GainsightResource)
        return found

    @cached_property
    def pulls(self) -> Mapping[str, ObjectPull | SettingsError]:
        """The selected configured pulls by name; if a section is invalid, its error."""
        every = configured_pulls(self.settings)
        if self.select is None:
            return every
        return {name: pull for name, pull in every.items() if {name, self.settings.section_of(name)} & set(self.select)}

    @cached_property
    def unread(self) -> tuple[str, ...]:
        """Sentences about input that nothing reads: misspelled sections, a selection without effect."""
        known = {*configured_pulls(self.settings), *DEFINITIONS}
        missing = [name for name in self.select or () if name not in known]
        told = [f"`select` names {name}, which the settings don't have." for name in missing]
        return (*map(str, self.settings.unread()), *told)

    def cadence(self, name: str) -> Cadence:
        """The cadence of a pull."""
        found = cadence_of(self.settings, name)
        return DagsterCadence(found.cron, found.timezone)

    @property
    def schema(self) -> str:
        """The schema of the tables."""
        return schema_of(self.settings)

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """The owners of the assets, as far as the settings can be read."""
        if self.settings.file_error or "common" in self.settings.errors:
            return ()
        return self.settings.common.owners

    @cached_property
    def account(self) -> dg.AssetSpec:
        """The spec of the CRM's accounts."""
        settings = self.settings
        problem = settings.file_error or settings.errors.get("primary_crm")
        missing = "\n\n".join(str(error) for error in (problem, *self.unread) if error)
        kind = None if problem or settings.primary_crm is None else settings.primary_crm.kind
        return self._translated(
            GainsightAssetProps(
                kind="account",
                name="account",
                gainsight_object=None,
                table="account",
                description=(
                    "The accounts of the primary CRM (Salesforce or HubSpot), which owns them. Every pull refreshes"
                    " them first, and none runs without them." + (f"\n\n**Not ready:** {missing}" if missing else "")
                ),
                owners=self.owners,
                prefix=self.names.prefix,
                kinds=frozenset({kind} if kind else ()),
                metadata={**table_metadata(self.schema, "account"), TABLE: "account"},
            )
        )

    @property
    def metadata(self) -> dict[str, str]:
        """For the webserver client: the settings of these definitions, and whether they are current."""
        return {
            TENANT: self.names.prefix,
            SETTINGS: str(self.settings.path or "inline"),
            DIGEST: settings_digest(self.settings),
        }

    def asset(self, name: str) -> dg.AssetSpec:
        """The spec of one pull. It exists even if its settings are invalid; its run then says why."""
        pull, cadence = self.pulls[name], self.cadence(name)
        common: dict[str, Any] = {"kind": "pull", "name": name, "owners": self.owners, "prefix": self.names.prefix}
        if isinstance(pull, SettingsError):
            return self._upstreamed(
                GainsightAssetProps(
                    **common,
                    gainsight_object=None,
                    table=None,
                    description=f"**Its settings are invalid:** {pull}",
                    kinds=frozenset({"postgres"}),
                    metadata={"documentation": documentation(pull.section)},
                    tags={"settings": "broken"},
                )
            )
        spec = self._upstreamed(
            GainsightAssetProps(
                **common,
                gainsight_object=pull.gainsight_object,
                table=pull.table.name,
                description=(
                    f"{pull.title}: {pull.description}\n\n{self._words(cadence)} Materialize runs it now."
                    " If something is wrong, see the metadata `documentation`."
                ),
                cron=cadence.cron,
                timezone=cadence.timezone,
                kinds=frozenset({"postgres"}),
                metadata={
                    **table_metadata(self.schema, pull.table.name),
                    **self._read_by(pull),
                    "gainsight_object": pull.gainsight_object,
                    "cadence": f"{cadence.cron} ({cadence.timezone})",
                    "gainsight_pipelines/cron": cadence.cron,
                    "gainsight_pipelines/timezone": cadence.timezone,
                    "documentation": documentation("troubleshooting"),
                },
                tags={"gainsight_object": tag_value(pull.gainsight_object)},
            )
        )
        return spec if spec.freshness_policy else spec.replace_attributes(freshness_policy=freshness_policy(cadence))

    def days(self, name: str) -> dg.AssetSpec | None:
        """The spec of the by-day asset beside a pull; None if it has none."""
        pull = self.pulls[name]
        if isinstance(pull, SettingsError) or pull.by_day is None:
            return None
        return self._upstreamed(
            GainsightAssetProps(
                kind="backfill",
                name=name,
                gainsight_object=pull.gainsight_object,
                table=pull.table.name,
                description=(
                    f"{pull.title} by the day of each record (UTC), for backfills:"
                    f" pick any range of days; runs hold at most {DAYS_PER_RUN} days each. The regular pull goes on"
                    " undisturbed."
                ),
                owners=self.owners,
                prefix=self.names.prefix,
                kinds=frozenset({"postgres"}),
                metadata={**table_metadata(self.schema, pull.table.name), **self._read_by(pull)},
            )
        )

    @cached_property
    def delivery(self) -> DeliverySettings | SettingsError | None:
        """The warehouse; the error in its place where the section is broken; None: there is none."""
        if self.settings.file_error is not None:
            return None
        return self.settings.errors.get("delivery") or self.settings.of(DeliverySettings)

    @cached_property
    def delivered(self) -> tuple[str, ...]:
        """The tables and views that are delivered: as set, else the accounts and what the selected pulls fill."""
        if self.delivery is None:
            return ()
        if isinstance(self.delivery, DeliverySettings) and self.delivery.tables is not None:
            return tuple(dict.fromkeys(self.delivery.tables))
        pulls = [pull for pull in self.pulls.values() if not isinstance(pull, SettingsError)]
        filled = {pull.table.name for pull in pulls}
        return (
            ACCOUNT,
            *(name for name in DATA if name in filled),
            *(name for pull in pulls if (name := pull.typed_view_name)),
        )

    def feeding(self, relation: str) -> tuple[str, ...]:
        """The pulls whose rows a table or view shows, `account` among them where it shows the accounts."""
        if relation == ACCOUNT:
            return (ACCOUNT,)
        pulls = {name: pull for name, pull in self.pulls.items() if not isinstance(pull, SettingsError)}
        own = tuple(name for name, pull in pulls.items() if relation in (pull.table.name, pull.typed_view_name))
        return own or (() if relation in DATA else (ACCOUNT, *pulls))

    def delivery_spec(self, relation: str) -> dg.AssetSpec:
        """The spec of a table or view in the warehouse. One whose settings are broken is there too."""
        target = self.delivery
        common: dict[str, Any] = {
            "kind": "delivery",
            "name": relation,
            "gainsight_object": None,
            "table": relation,
            "owners": self.owners,
            "prefix": self.names.prefix,
        }
        if isinstance(target, DeliverySettings):
            columns = table_metadata(target.dataset, relation) if relation in RELATIONS else {}
            props = GainsightAssetProps(
                **common,
                description=(
                    f"`{relation}` in the dataset `{target.dataset}` of {target.destination}: rows that changed are"
                    f" merged. {self._when_delivered} Materialize delivers it now."
                ),
                kinds=frozenset({"dlt", target.destination}),
                metadata={
                    "dagster/table_name": f"{target.dataset}.{relation}",
                    **columns,
                    DELIVERED: relation,
                    "documentation": documentation("delivery"),
                },
            )
        else:
            props = GainsightAssetProps(
                **common,
                description=f"**Its settings are broken:** {target}",
                metadata={DELIVERED: relation, "documentation": documentation("settings")},
                tags={"settings": "broken"},
            )
        spec = self._translated(props)
        keys = [self.account.key if name == ACCOUNT else self.asset(name).key for name in self.feeding(relation)]
        known = {dep.asset_key for dep in spec.deps}
        return spec.replace_attributes(
            deps=[*spec.deps, *(key for key in keys if key not in known)],
            automation_condition=spec.automation_condition or delivery_condition(),
        )

    @property
    def _when_delivered(self) -> str:
        if self.schedules == "none":
            return "Its automation condition holds when its pulls have brought changes."
        return "It runs when its pulls have brought changes."

    def _words(self, cadence: Cadence) -> str:
        if self.schedules == "none":
            return "It has no schedule of its own."
        return f"Runs automatically at `{cadence.cron}` ({cadence.timezone})."

    def _read_by(self, pull: ObjectPull) -> dict[str, Any]:
        """The metadata by which a DataFrame of the asset is read."""
        found = {TABLE: pull.table.name, TIME_COLUMN: pull.table.date_column, VIEW: pull.view}
        if pull.table.object_column is not None:
            found |= {OBJECT: pull.gainsight_object, OBJECT_COLUMN: pull.table.object_column}
        return {key: value for key, value in found.items() if value is not None}

    def _upstreamed(self, props: GainsightAssetProps) -> dg.AssetSpec:
        spec = self._translated(props)
        upstream = self.account.key
        if upstream in {dep.asset_key for dep in spec.deps}:
            return spec
        return spec.replace_attributes(deps=[*spec.deps, upstream])

    def _translated(self, props: GainsightAssetProps) -> dg.AssetSpec:
        """The translator's spec, with what the definitions rely on restored."""
        spec = self.translator.get_asset_spec(props)
        name = {"backfill": by_day(props.name), "delivery": DELIVERY}.get(props.kind, props.name)
        if props.kind != "delivery" and "dagster/io_manager_key" not in spec.metadata:
            spec = spec.with_io_manager_key(self.names.frames)
        relied_on = {key: value for key, value in props.metadata.items() if key.startswith("gainsight_pipelines/")}
        return spec.merge_attributes(tags={PULL_TAG: tag_value(name)}, metadata=relied_on)


def freshness_policy(cadence: Cadence) -> dg.FreshnessPolicy:
    """Warns after 1.25 turns of the cadence, fails after two turns without a completed pull."""
    longest = cadence.longest_interval
    return dg.FreshnessPolicy.time_window(warn_window=longest * 1.25, fail_window=longest * 2)


def settings_digest(settings: Settings) -> str:
    """A short digest of the settings' content."""
    content = str(settings.file_error) if settings.file_error else json.dumps(settings.effective(), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
