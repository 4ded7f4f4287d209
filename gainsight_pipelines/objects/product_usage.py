"""Product usage: any object with usage rows, as metrics that roll up per account (requirements P1, P2 and P4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.fields import (
    NUMBER_TYPES,
    SYSTEM_FIELDS,
    TIME_TYPES,
    BadRecord,
    Record,
    configured_field,
    first_named,
    identifier,
    instant,
    normal_name,
    number,
    text,
)
from gainsight_pipelines.objects.pull import (
    COMPANY_OBJECT,
    CompanyFields,
    Row,
    Window,
    company_fields,
    cursor_field,
    selected,
)
from gainsight_pipelines.settings import AggregateSettings, ProductUsageSettings
from gainsight_pipelines.store.rejected import to_json
from gainsight_pipelines.store.tables import USAGE_METRIC, Table

SECTION = "product_usage"
OBSERVED_NAMES = ("observeddate", "observedat", "observationdate", "usagedate", "date", "snapshotdate", "weekdate")
CRM_ID_NAMES = frozenset({"accountid", "sfdcaccountid", "salesforceaccountid", "hubspotcompanyid", "crmid"})


@dataclass(frozen=True, slots=True)
class ProductUsagePull:
    """The pull of the usage object."""

    settings: ProductUsageSettings
    name: str = "product_usage"
    title: str = "Product Usage"
    table: Table = USAGE_METRIC
    limit: int | None = None

    @property
    def description(self) -> str:
        return f"Metrics of Gainsight object `{self.settings.object}`, rolled up as {self.settings.product_name!r}."

    @property
    def gainsight_object(self) -> str:
        return self.settings.object

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> UsageMapper:
        aggregate = self.settings.aggregate
        if aggregate is None:
            return WideMapper(self.settings, schema, crm_id_field)
        return AggregateMapper(self.settings, aggregate, schema, crm_id_field)


class UsageMapper(ABC):
    """What both shapes of usage rows have in common."""

    def __init__(self, settings: ProductUsageSettings, schema: ObjectSchema, company: CompanyFields) -> None:
        self._object = settings.object
        self._product_name = settings.product_name
        self.cursor_field = cursor_field(schema)
        self.company = company
        self._observed_at = _observed_at(schema, settings.observed_at_field)
        self._odd_values: Counter[str] = Counter()
        self.custom_fields: tuple[Field, ...] = ()
        self.select = selected(schema, "Gsid", self.cursor_field, self._observed_at, *company.selected)

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        return Window()

    @abstractmethod
    def rows(self, record: Record) -> list[Row]: ...

    def details(self) -> dict[str, Any]:
        return {"values_odd_values": dict(self._odd_values)}

    def _row(
        self, record: Record, metric: str, value: Any, *, dimension: str | None = None, secondary: str = "{}"
    ) -> Row:
        return (
            self._object,
            identifier(record),
            metric,
            self.company.gsid_of(record),
            self.company.crm_id_of(record) if self.company.is_row_crm_id else None,
            self._product_name,
            dimension,
            value,
            secondary,
            instant(record, self._observed_at),
            instant(record, self.cursor_field),
        )


class AggregateMapper(UsageMapper):
    """Flat rows: each gives one metric, named by one field and valued by another."""

    def __init__(
        self,
        settings: ProductUsageSettings,
        aggregate: AggregateSettings,
        schema: ObjectSchema,
        crm_id_field: str | None,
    ) -> None:
        super().__init__(settings, schema, _key_fields(schema, settings, aggregate, crm_id_field))
        self._metric = _field(schema, aggregate.metric_name_field, "metric_name_field")
        self._value = _field(schema, aggregate.metric_value_field, "metric_value_field")
        self._dimension = (
            _field(schema, aggregate.dimension_field, "dimension_field") if aggregate.dimension_field else None
        )
        self._secondary = [
            _field(schema, name, "additional_value_fields") for name in aggregate.additional_value_fields
        ]
        self.select = selected(schema, *self.select, self._metric, self._value, self._dimension, *self._secondary)

    def rows(self, record: Record) -> list[Row]:
        metric = text(record.get(self._metric))
        if metric is None:
            raise BadRecord(f"{self._metric} is blank")
        value = number(record, self._value)
        if value is None:
            self._odd_values["blank value"] += 1
        dimension = text(record.get(self._dimension)) if self._dimension else None
        secondary = {name: self._secondary_value(record, name) for name in self._secondary}
        return [self._row(record, metric, value, dimension=dimension, secondary=to_json(secondary))]

    def _secondary_value(self, record: Record, name: str) -> Any:
        """A secondary value as a number; what isn't one is left out and counted, the metric itself is kept."""
        try:
            value = number(record, name)
        except BadRecord:
            self._odd_values["secondary value not a number"] += 1
            return None
        if value is None:
            self._odd_values["secondary value blank"] += 1
        return value


class WideMapper(UsageMapper):
    """Wide rows: each numeric field is a metric of its own."""

    def __init__(self, settings: ProductUsageSettings, schema: ObjectSchema, crm_id_field: str | None) -> None:
        company = company_fields(schema, settings.company_field, f"{SECTION}.company_field", crm_id_field)
        super().__init__(settings, schema, company)
        self._metrics = [
            field.name
            for field in schema.fields.values()
            if field.data_type in NUMBER_TYPES and not field.is_hidden and field.name.lower() not in SYSTEM_FIELDS
        ]
        if not self._metrics:
            raise SettingsError(
                f"Gainsight object `{schema.name}` has no numeric field, so it holds no metric.",
                f"Set `{SECTION}.aggregate` if its values are kept as text, or choose another object.",
            )
        self.select = selected(schema, *self.select, *self._metrics)

    def rows(self, record: Record) -> list[Row]:
        rows = []
        for metric in self._metrics:
            value = number(record, metric)
            if value is None:
                self._odd_values["blank value"] += 1
            else:
                rows.append(self._row(record, metric, value))
        return rows


def _field(schema: ObjectSchema, name: str, setting: str) -> str:
    return configured_field(schema, name, f"{SECTION}.aggregate.{setting}").name


def _key_fields(
    schema: ObjectSchema, settings: ProductUsageSettings, aggregate: AggregateSettings, crm_id_field: str | None
) -> CompanyFields:
    """How the aggregate key leads to an account: as the CRM's own id, or as the company's Gsid."""
    key = configured_field(schema, aggregate.key, f"{SECTION}.aggregate.key")
    kind = aggregate.key_kind if aggregate.key_kind != "auto" else _detected_kind(key)
    if kind == "gsid":
        return company_fields(schema, key.name, f"{SECTION}.aggregate.key", crm_id_field)
    company = (
        configured_field(schema, settings.company_field, f"{SECTION}.company_field").name
        if settings.company_field
        else None
    )
    return CompanyFields(company, key.name, is_row_crm_id=True)


def _detected_kind(key: Field) -> str:
    if key.data_type == "SFDCID" or normal_name(key.name) in CRM_ID_NAMES:
        return "crm_id"
    if (key.lookup_object or "").lower() == COMPANY_OBJECT or normal_name(key.name) in {"gscompanyid", "companygsid"}:
        return "gsid"
    raise SettingsError(
        f"Whether `{SECTION}.aggregate.key` ({key.name}, type {key.data_type}) holds the CRM's account ids or"
        " Gainsight's GSIDs can't be told from its schema.",
        f"Set `{SECTION}.aggregate.key_kind` to crm_id or gsid.",
    )


def _observed_at(schema: ObjectSchema, configured: str | None) -> str | None:
    """The field that says when a value was observed; CreatedDate where the object has no date of its own."""
    if configured:
        return configured_field(schema, configured, f"{SECTION}.observed_at_field").name
    field = first_named(schema, OBSERVED_NAMES, TIME_TYPES)
    if field is not None:
        return field.name
    own = [
        field.name
        for field in schema.fields.values()
        if field.data_type in TIME_TYPES and field.name.lower() not in SYSTEM_FIELDS
    ]
    if len(own) > 1:
        raise SettingsError(
            f"Gainsight object `{schema.name}` has several dates ({', '.join(sorted(own))}), and none says by its name"
            " when a value was observed.",
            f"Set `{SECTION}.observed_at_field` to the right one.",
        )
    if own:
        return own[0]
    created = schema.field("CreatedDate")
    return created.name if created else None
