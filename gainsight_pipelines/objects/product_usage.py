"""Product usage: any object with usage rows, as metrics per account (requirements P1, P2 and P4).

An object without GSID or ModifiedDate has no cursor, so it gets a full read. Rows without a GSID are identified by
their
content: the account's key, dimension, metric and date of observation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field as Setting

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.column_sources import Sources, sources_of
from gainsight_pipelines.objects.definition import ObjectDefinition
from gainsight_pipelines.objects.fields import (
    MAX_ID,
    MODIFIED_NAMES,
    NUMBER_TYPES,
    OWN_NAMES,
    SYSTEM_FIELDS,
    TIME_TYPES,
    BadRecord,
    Reader,
    Record,
    Values,
    configured_field,
    first_named,
    normal_name,
    text,
    typed_reader,
)
from gainsight_pipelines.objects.pull import (
    COMPANY_OBJECT,
    Basis,
    CompanyFields,
    Count,
    Fit,
    Mapped,
    NamedField,
    ObjectPull,
    Row,
    Window,
    company_fields,
    found_company_field,
    selected,
)
from gainsight_pipelines.objects.section import (
    FIELD_WORDS,
    OBJECT_WORDS,
    Enabled,
    FieldName,
    GsidOverride,
    ObjectName,
    Section,
    Takes,
    Text,
)
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Json, Table
from gainsight_pipelines.text import name_key, visible

SECTION = "product_usage"


class UsageRow(NamedTuple):
    """The columns that one metric of a usage record fills."""

    object: str
    record_id: str
    metric: str
    company_gsid: str | None
    account_key: str | None
    product_name: str
    dimension: str | None
    value: Decimal | None
    secondary: Json
    observed_at: datetime | None
    modified_at: datetime | None
    unreadable: Json | None


USAGE_METRIC = Table(
    "usage_metric",
    UsageRow,
    key=("object", "record_id", "metric"),
    sample=("metric", "dimension", "value", "observed_at", "account_id", "unmatched_reason"),
    key_column="account_key",
    id_column="record_id",
    object_column="object",
    part_column="metric",
    date_column="observed_at",
)

OBSERVED_NAMES = ("observeddate", "observedat", "observationdate", "usagedate", "date", "snapshotdate", "weekdate")
BLANK = "blank_values"
"""The topic under which blank values are counted, by field."""

NO_SECONDARY = Json("{}")

DOMAIN_NAMES = frozenset({"domain", "accountdomain", "companydomain", "website", "accountwebsite"})
CRM_ID_NAMES = frozenset({"accountid", "sfdcaccountid", "salesforceaccountid", "hubspotcompanyid", "crmid"})


class AggregateSettings(Section):
    """How flat usage rows are grouped per account and read as metrics."""

    key: Annotated[
        FieldName,
        Setting(description="Field by which rows are grouped and resolved to an account."),
        Takes(FIELD_WORDS),
    ]
    key_kind: Annotated[
        Literal["auto", "crm_id", "gsid", "domain"],
        Setting(
            description="What the key holds: the CRM's account id, a GSID, the account's domain; auto: by its type."
        ),
        Takes("auto, crm_id, gsid or domain"),
    ] = "auto"
    dimension_field: Annotated[
        FieldName | None, Setting(description="Field that splits the metrics."), Takes(f"{FIELD_WORDS}, or null")
    ] = None
    metric_name_field: Annotated[FieldName, Setting(description="Field with the metric's name."), Takes(FIELD_WORDS)]
    metric_value_field: Annotated[FieldName, Setting(description="Field with the metric's value."), Takes(FIELD_WORDS)]
    additional_value_fields: Annotated[
        tuple[FieldName, ...],
        Setting(description="Fields kept as secondary metrics."),
        Takes("a list of fields"),
    ] = ()


class ProductUsageSettings(Section):
    """Product usage, rolled up per account."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    object: Annotated[ObjectName, Setting(description="Gainsight object with the usage rows."), Takes(OBJECT_WORDS)] = (
        "product_usage__gc"
    )
    product_name: Annotated[
        Text,
        Setting(description="The product that these metrics roll up under."),
        Takes("a text of at most 255 characters"),
    ] = "product usage"
    company_field: Annotated[
        FieldName | None,
        Setting(description="Field with the company's GSID; null: GsCompanyId, or the lookup on company."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    observed_at_field: Annotated[
        FieldName | None,
        Setting(description="Field with the time of the observation; null: found in the schema."),
        Takes(f"{FIELD_WORDS}, or null"),
    ] = None
    aggregate: Annotated[
        AggregateSettings | None,
        Setting(description="For flat rows that are grouped by a key; null: each numeric field is a metric."),
        Takes("a mapping with key, metric_name_field and metric_value_field, or null"),
    ] = None


@dataclass(frozen=True, slots=True)
class ProductUsagePull(ObjectPull):
    """The pull of the usage object."""

    settings: ProductUsageSettings
    name: str = SECTION
    section: str = SECTION
    title: str = "Product usage"
    table: Table = USAGE_METRIC
    limit: int | None = None

    @property
    def description(self) -> str:
        return f"Metrics of Gainsight object {self.settings.object}, rolled up as {self.settings.product_name!r}."

    @property
    def gainsight_object(self) -> str:
        return self.settings.object

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        settings, aggregate = self.settings, self.settings.aggregate
        named = [
            ("company_field", settings.company_field, Fit.COMPANY),
            ("observed_at_field", settings.observed_at_field, Fit.DATE),
            ("aggregate.key", aggregate.key if aggregate else None, Fit.ID),
            ("aggregate.metric_value_field", aggregate.metric_value_field if aggregate else None, Fit.NUMBER),
        ]
        return tuple(NamedField(f"{SECTION}.{setting}", name, fit) for setting, name, fit in named if name)

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> UsageMapper:
        aggregate = self.settings.aggregate
        if aggregate is None:
            return WideMapper(self.settings, schema, crm_id_field)
        return AggregateMapper(self.settings, aggregate, schema, crm_id_field)


class UsageMapper(ABC):
    """What both kinds of usage rows share."""

    sources: Sources

    def __init__(self, settings: ProductUsageSettings, schema: ObjectSchema, company: CompanyFields) -> None:
        self._object = settings.object
        self._product_name = settings.product_name
        self._settings = settings
        self.id_field = next(iter(selected(schema, "Gsid")), None)
        modified = first_named(schema, MODIFIED_NAMES)
        self._modified_field = modified.name if modified else None
        self.cursor_field = self._modified_field if self.id_field is not None else None
        self.company = company
        self._observed_at = _observed_at(schema, settings.observed_at_field)
        own_name = first_named(schema, OWN_NAMES) if self.id_field is None else None
        self._own_name = own_name.name if own_name else None
        self.custom_fields: tuple[Field, ...] = ()
        self.select = selected(
            schema, self.id_field, self._own_name, self._modified_field, self._observed_at, *company.selected
        )

    def _sources(self, schema: ObjectSchema, columns: Mapping[str, tuple[str | None, ...]], **more: Any) -> Sources:
        shared = {
            "company_gsid": (self.company.gsid, self.company.through),
            "account_key": (self.company.crm_id,) if self.company.key_kind is not None else (),
            "observed_at": (self._observed_at,),
            "modified_at": (self._modified_field,),
        }
        return sources_of(schema, shared | dict(columns), **more)

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        return Window()

    @abstractmethod
    def map(self, record: Record) -> Mapped: ...

    def details(self) -> dict[str, Any]:
        return {"observed_at_field": self._observed_at}

    def basis(self) -> Basis:
        # Without the path to the CRM id: the companies' CRM ids are stored and refreshed separately.
        is_path = self.company.key_kind is None
        fields = tuple(name for name in self.select if not (is_path and name == self.company.crm_id))
        aggregate = self._settings.aggregate
        return Basis(
            self._object,
            fields,
            mapping={
                "product_usage.product_name": self._product_name,
                "product_usage.aggregate": aggregate.model_dump(mode="json") if aggregate else None,
                "product_usage.company_field": self.company.gsid,
                "product_usage.observed_at_field": self._observed_at,
            },
            names=("product_usage.aggregate", "product_usage.company_field", "product_usage.observed_at_field"),
        )

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        now = self.basis().mapping
        if any(former.mapping.get(name) != now[name] for name in now if name != "product_usage.product_name"):
            return None
        return (Remap((), ("product_name",), lambda: (self._product_name,)),)

    def _record_id(self, values: Values, record: Record, *parts: str | None) -> str:
        """The id of a row: the record's GSID, or a hash of what distinguishes it."""
        if self.id_field is not None:
            return values.identifier(self.id_field)
        observed = values.instant(self._observed_at)
        named = [
            values.text(self._own_name),
            self.company.gsid_of(record),
            self.company.crm_id_of(record),
            observed.isoformat() if observed else values.text(self._observed_at),
            *parts,
        ]
        return sha256("\x1f".join(part or "" for part in named).encode()).hexdigest()[:32]

    def _shared(self, values: Values, record: Record, record_id: str) -> UsageRow:
        """A row with the values that all metrics of a record share."""
        return UsageRow(
            object=self._object,
            record_id=record_id,
            metric="",
            company_gsid=values.company_gsid(self.company),
            account_key=self.company.crm_id_of(record) if self.company.key_kind is not None else None,
            product_name=self._product_name,
            dimension=None,
            value=None,
            secondary=NO_SECONDARY,
            observed_at=values.instant(self._observed_at),
            modified_at=values.instant(self._modified_field),
            unreadable=None,
        )

    @staticmethod
    def _blank(values: Values, numbers: Mapping[str, Decimal | None]) -> tuple[Count, ...]:
        """The fields that are blank, neither a number nor unreadable, for the run to count."""
        return tuple((BLANK, name) for name, found in numbers.items() if found is None and values.is_readable(name))


class AggregateMapper(UsageMapper):
    """Flat rows: each is one metric, named by one field with its value in another."""

    def __init__(
        self,
        settings: ProductUsageSettings,
        aggregate: AggregateSettings,
        schema: ObjectSchema,
        crm_id_field: str | None,
    ) -> None:
        super().__init__(settings, schema, _key_fields(schema, settings, aggregate, crm_id_field))
        self._metric, self._read_metric = _named(schema, aggregate.metric_name_field, "metric_name_field")
        self._value = _field(schema, aggregate.metric_value_field, "metric_value_field").name
        self._dimension: str | None = None
        self._read_dimension: Reader = text
        if aggregate.dimension_field:
            self._dimension, self._read_dimension = _named(schema, aggregate.dimension_field, "dimension_field")
        self._secondary = [
            _field(schema, name, "additional_value_fields").name for name in aggregate.additional_value_fields
        ]
        self.select = selected(schema, *self.select, self._metric, self._value, self._dimension, *self._secondary)
        columns = {"dimension": (self._dimension,), "value": (self._value,)}
        self.sources = self._sources(schema, columns, keys={name: name for name in self._secondary})

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        metric = visible(text(values.read(self._metric, self._read_metric)) or "")
        if not metric:
            raise BadRecord(f"{self._metric} is blank")
        if len(metric) > MAX_ID:
            raise BadRecord(f"{self._metric} is longer than the name of a metric can be")
        dimension = text(values.read(self._dimension, self._read_dimension))
        secondary = {name: values.number(name) for name in self._secondary}
        value = values.number(self._value)
        row = self._shared(values, record, self._record_id(values, record, dimension))._replace(
            metric=metric,
            dimension=dimension,
            value=value,
            secondary=values.json(secondary),
            unreadable=values.unreadable_json(),
        )
        return Mapped([row], values.counts() + self._blank(values, {self._value: value, **secondary}))


class WideMapper(UsageMapper):
    """Wide rows: each numeric field is a metric."""

    def __init__(self, settings: ProductUsageSettings, schema: ObjectSchema, crm_id_field: str | None) -> None:
        company = company_fields(schema, settings.company_field, f"{SECTION}.company_field", crm_id_field)
        super().__init__(settings, schema, company)
        self._metrics = {
            field.name: None
            for field in schema.fields.values()
            if field.data_type in NUMBER_TYPES
            and not field.is_hidden
            and name_key(field.name) not in SYSTEM_FIELDS
            and field.name != self._own_name
        }.keys()
        if not self._metrics:
            raise SettingsError(
                f"Gainsight object `{schema.name}` has no numeric field, so it holds no metric.",
                f"Set `{SECTION}.aggregate` if its values are stored as text, or choose another object.",
            )
        self.select = selected(schema, *self.select, *self._metrics)
        self.sources = self._sources(schema, {}, parts=self._metrics)

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        shared = self._shared(values, record, self._record_id(values, record))
        numbers = {metric: values.number(metric) for metric in self._metrics}
        rows: list[Row] = [
            # An unreadable value has a row too, since it exists.
            shared._replace(
                metric=metric,
                value=value,
                unreadable=values.unreadable_json(but=self._metrics - {metric}) if values.unreadable else None,
            )
            for metric, value in numbers.items()
            if value is not None or not values.is_readable(metric)
        ]
        return Mapped(rows, values.counts() + self._blank(values, numbers))


def _field(schema: ObjectSchema, name: str, setting: str) -> Field:
    return configured_field(schema, name, f"{SECTION}.aggregate.{setting}")


def _named(schema: ObjectSchema, name: str, setting: str) -> tuple[str, Reader]:
    """Where a name is, and its reader: in the field, behind a picklist id, or on the record that it looks up."""
    field = _field(schema, name, setting)
    if path := selected(schema, f"{field.lookup_path}.Name" if field.lookup_path else None):
        return path[0], text
    return field.name, typed_reader(field) if field.is_picklist or field.options else text


def _key_fields(
    schema: ObjectSchema, settings: ProductUsageSettings, aggregate: AggregateSettings, crm_id_field: str | None
) -> CompanyFields:
    """How the aggregate key finds an account: as the CRM's id, the account's domain, or the company's GSID.

    A row whose own key finds nothing is matched by its company, if the object has one.
    """
    key = configured_field(schema, aggregate.key, f"{SECTION}.aggregate.key")
    kind = aggregate.key_kind if aggregate.key_kind != "auto" else _detected_kind(key)
    if kind == "gsid":
        return company_fields(schema, key.name, f"{SECTION}.aggregate.key", crm_id_field)
    if settings.company_field:
        company: Field | None = configured_field(schema, settings.company_field, f"{SECTION}.company_field")
    else:
        company = found_company_field(schema)
    return CompanyFields(company.name if company is not None else None, key.name, key_kind=kind)


def _detected_kind(key: Field) -> Literal["crm_id", "gsid", "domain"]:
    # A lookup's target decides; a name is only a hint.
    if name_key(key.lookup_object or "") == COMPANY_OBJECT:
        return "gsid"
    if key.data_type == "SFDCID" or normal_name(key.name) in CRM_ID_NAMES:
        return "crm_id"
    if normal_name(key.name) in {"gscompanyid", "companygsid"}:
        return "gsid"
    if key.data_type == "URL" or normal_name(key.name) in DOMAIN_NAMES:
        return "domain"
    raise SettingsError(
        f"The schema does not show whether `{SECTION}.aggregate.key` ({key.name}, type {key.data_type}) holds account"
        " ids of the CRM, GSIDs or domains.",
        f"Set `{SECTION}.aggregate.key_kind` to crm_id, gsid or domain.",
    )


def _observed_at(schema: ObjectSchema, configured: str | None) -> str | None:
    """The field with the time of observation; CreatedDate if the object has no date of its own."""
    if configured:
        return configured_field(schema, configured, f"{SECTION}.observed_at_field").name
    field = first_named(schema, OBSERVED_NAMES, TIME_TYPES)
    if field is not None:
        return field.name
    own = [
        field.name
        for field in schema.fields.values()
        if field.data_type in TIME_TYPES and name_key(field.name) not in SYSTEM_FIELDS
    ]
    if len(own) > 1:
        raise SettingsError(
            f"Gainsight object `{schema.name}` has several dates ({', '.join(sorted(own))}), and their names do not"
            " show which one is the time of observation.",
            f"Set `{SECTION}.observed_at_field` to the right one.",
        )
    if own:
        return own[0]
    created = schema.field("CreatedDate")
    return created.name if created else None


DEFINITION = ObjectDefinition(
    section=SECTION,
    model=ProductUsageSettings,
    title="Product usage",
    summary="product usage",
    cron="50 5 * * 1",
    cadence="weekly",
    icon="insights",
    table=USAGE_METRIC,
    pulls=lambda settings: [ProductUsagePull(settings)],
)
