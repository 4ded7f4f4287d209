"""Companies: Gainsight's attributes of accounts that the CRM already has (requirements A1 and A2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field as Setting
from pydantic import field_validator

from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.column_sources import names_behind, sources_of
from gainsight_pipelines.objects.columns import NAME_SUFFIX, column_reader, columns_of
from gainsight_pipelines.objects.definition import ObjectDefinition
from gainsight_pipelines.objects.fields import (
    Record,
    Values,
    configured_field,
    normal_name,
    spelled,
    text,
)
from gainsight_pipelines.objects.pull import (
    COMPANY_OBJECT,
    FIELD_TYPES,
    USUAL_CRM_ID,
    Basis,
    CompanyFields,
    Fit,
    Mapped,
    NamedField,
    ObjectPull,
    Window,
    cursor_field,
    selected,
)
from gainsight_pipelines.objects.section import (
    FIELD_WORDS,
    Enabled,
    FieldName,
    GsidOverride,
    Section,
    Takes,
    field_names,
)
from gainsight_pipelines.store.remap import Remap
from gainsight_pipelines.store.tables import Json, Table
from gainsight_pipelines.store.views import Column, Source
from gainsight_pipelines.text import name_key


class CompanyRow(NamedTuple):
    """The columns that a Gainsight company fills."""

    gsid: str
    crm_id: str | None
    name: str | None
    attributes: Json
    modified_at: datetime | None
    unreadable: Json | None


COMPANY = Table(
    "company",
    CompanyRow,
    key=("gsid",),
    sample=("gsid", "name", "account_id", "match_method", "unmatched_reason", "modified_at"),
    company_column="gsid",
)


class CompanySettings(Section):
    """Gainsight companies: attributes on top of the CRM's accounts."""

    enabled: Enabled = True
    gsid_field: GsidOverride = None
    crm_id_field: Annotated[
        FieldName | None,
        Setting(description="Company field with the CRM's account id; null: SfdcAccountId, if the tenant has it."),
        Takes(f"{FIELD_WORDS} of the company object, or null"),
    ] = None
    attributes: Annotated[
        Literal["all"] | tuple[FieldName, ...],
        Setting(description="Company fields to keep: all that can be read, or a list."),
        Takes("all, or a list of company fields"),
    ] = "all"

    @field_validator("attributes", mode="before")
    @classmethod
    def _all_or_list(cls, value: object) -> object:
        # Checked before the union is tried, since pydantic would report each of its branches.
        return value if value == "all" else field_names(value)


@dataclass(frozen=True, slots=True)
class CompanyPull(ObjectPull):
    """The pull of Gainsight's companies."""

    settings: CompanySettings
    name: str = "company"
    section: str = "company"
    title: str = "Company"
    description: str = "Gainsight's company attributes, added to the accounts of the primary CRM."
    gainsight_object: str = COMPANY_OBJECT
    table: Table = COMPANY
    limit: int | None = None
    typed_view_name: str = "company_attributes"

    @property
    def gsid_field(self) -> str | None:
        return self.settings.gsid_field

    @property
    def named_fields(self) -> tuple[NamedField, ...]:
        name = self.settings.crm_id_field
        return (NamedField("company.crm_id_field", name, Fit.ID),) if name else ()

    def typed_view(self, mapper: CompanyMapper) -> tuple[Source, Sequence[Column]]:
        return Source(self.typed_view_name, COMPANY, COMPANY_OBJECT, "attributes"), mapper.columns

    def mapper(self, schema: ObjectSchema, crm_id_field: str | None) -> CompanyMapper:
        attributes = self.settings.attributes
        if attributes != "all":
            for name in attributes:
                configured_field(schema, name, "company.attributes")
        wanted = [field for field in schema.fields.values() if not field.is_hidden] if attributes == "all" else None
        names = [field.name for field in wanted] if wanted is not None else list(attributes)
        return CompanyMapper(schema, tuple(names), crm_id_field, attributes)


def refused_crm_id_field(schema: ObjectSchema) -> str | None:
    """The usual field with the CRM id, if the tenant now refuses it: what was stored from it is kept."""
    return next((name for name in schema.unreadable if normal_name(name) == USUAL_CRM_ID), None)


class CompanyMapper:
    """Maps a company to one row: its name, its CRM id, and every requested attribute."""

    def __init__(
        self,
        schema: ObjectSchema,
        attributes: tuple[str, ...],
        crm_id_field: str | None,
        setting: str | tuple[str, ...] = "all",
    ) -> None:
        self.cursor_field: str | None = cursor_field(schema)
        self.custom_fields: tuple[Field, ...] = ()
        self.id_field = spelled(schema, "Gsid")
        self._name = spelled(schema, "Name")
        self.company = CompanyFields(self.id_field, crm_id_field)
        self._setting = setting
        fields = [schema.fields[name] for name in selected(schema, *attributes)]
        self._attributes = [(field.name, field.name, column_reader(field)) for field in fields]
        with_names = []
        for field in fields:
            # The name that a lookup shows, beside the id that it holds.
            if path := selected(schema, f"{field.lookup_path}.Name" if field.lookup_path else None):
                self._attributes.append((f"{field.name}{NAME_SUFFIX}", path[0], text))
                with_names.append(field.name)
        self.columns = columns_of(fields, with_names)
        paths = (path for _, path, _ in self._attributes)
        self.select = selected(schema, "Gsid", "Name", self.cursor_field, crm_id_field, *paths)

        self.sources = sources_of(
            schema,
            {
                "crm_id": (crm_id_field or refused_crm_id_field(schema),),
                "name": (self._name,),
                "modified_at": (self.cursor_field,),
            },
            keys={name: path for name, path, _ in self._attributes} | names_behind(fields),
        )

    def window(self, now: datetime, kept_since: datetime | None) -> Window:
        return Window()

    def map(self, record: Record) -> Mapped:
        values = Values(record)
        row = CompanyRow(
            gsid=values.identifier(self.id_field).upper(),
            crm_id=values.text(self.company.crm_id),
            name=values.text(self._name),
            attributes=values.json(values.read_all(self._attributes)),
            modified_at=values.instant(self.cursor_field),
            unreadable=values.unreadable_json(),
        )
        return Mapped([row], values.counts())

    def basis(self) -> Basis:
        setting = self._setting if isinstance(self._setting, str) else sorted(self._setting, key=name_key)
        # Includes the field with the CRM id: with another field, stored companies have other ids.
        types = {column.key: column.kind for column in self.columns}
        mapping = {"company.attributes": setting, "company.crm_id_field": self.company.crm_id, FIELD_TYPES: types}
        return Basis(COMPANY_OBJECT, self.select, mapping=mapping, names=tuple(mapping))

    def remaps(self, former: Basis) -> tuple[Remap, ...] | None:
        return None

    def details(self) -> dict[str, Any]:
        return {"attributes": len(self._attributes)}


DEFINITION = ObjectDefinition(
    section="company",
    model=CompanySettings,
    title="Company",
    summary="company attributes",
    cron="5 5 * * *",
    cadence="daily",
    icon="business",
    table=COMPANY,
    owns=(COMPANY_OBJECT,),
    pulls=lambda settings: [CompanyPull(settings)],
)
