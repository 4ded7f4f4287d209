"""Checks that everything the settings name exists and fits: one line per check, each with what to do (requirement C2).

Sections are checked independently (W5): an invalid one, or a service that is down, fails its own checks only. Nothing
is written except, on a database of an older version, its migrations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gainsight_pipelines.crm.protocol import CRM_NAMES, LOOKED_AT, AccountField, Proof
from gainsight_pipelines.discovery.accounts import find_links, keys_of
from gainsight_pipelines.discovery.catalog import Catalog
from gainsight_pipelines.discovery.field_types import CRM_TAKES, CRM_UNFIT, GAINSIGHT_FITS
from gainsight_pipelines.discovery.interactive_clients import ANSWER_SECONDS, CONNECT_SECONDS
from gainsight_pipelines.discovery.preview import (
    MOST_REFUSED,
    count_matches,
    crm_id_field,
    newest_first,
    window_conditions,
)
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.gainsight.address import check_address
from gainsight_pipelines.gainsight.credentials import API_KEY_VARIABLE, credential_from
from gainsight_pipelines.gainsight.errors import UnknownField, UnknownObject
from gainsight_pipelines.gainsight.metadata import ObjectInfo, ObjectSchema
from gainsight_pipelines.gainsight.query import Query
from gainsight_pipelines.gainsight.tenant_profile import probe_tenant
from gainsight_pipelines.matching import Method
from gainsight_pipelines.near_matches import did_you_mean
from gainsight_pipelines.objects.fields import spelled
from gainsight_pipelines.objects.pull import COMPANY_OBJECT, CompanyFields, Mapper, ObjectPull, Window
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.settings import Settings
from gainsight_pipelines.settings.pulls import find_pull
from gainsight_pipelines.store import tenant
from gainsight_pipelines.store.connection import Store
from gainsight_pipelines.store.migrate import NotMigrated, database_version
from gainsight_pipelines.store.quota import CALLS_PER_DAY, Quota
from gainsight_pipelines.sync.clients import gsid_fields, tenant_of
from gainsight_pipelines.text import name_key

SAMPLE = 50
"""Newest records of an object that are checked."""
COMPANY_SAMPLE = 100
"""Companies whose accounts are looked up."""

PARTS = ("settings", "database", "gainsight", "primary_crm", "pulls", "matching", "tenant_profile")
"""The parts of a validation, in this order."""

OpenStore = Callable[[], AbstractContextManager[Store]]


class Outcome(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        section: the section of the settings, or one of PARTS.
        name: the check's name within its section, for programs.
        outcome: its result.
        text: the finding, as a sentence.
        todo: what to do about it; "" if nothing.
        facts: the finding as numbers and names, for programs.
    """

    section: str
    name: str
    outcome: Outcome
    text: str
    todo: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def validate(
    catalog: Catalog,
    open_store: OpenStore | None,
    *,
    parts: Collection[str] = PARTS,
    say: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Check]:
    """Checks everything that the settings name, and yields each check when it is done.

    Args:
        catalog: makes the calls. Its cache is bypassed, but updated.
        open_store: opens the database without migrating it; None: the database isn't checked.
        parts: which of PARTS to check.
        say: receives a sentence when something is waited for.
    """
    settings = catalog.connections.settings
    if settings.file_error is not None:
        yield _failed("settings", "file", settings.file_error)
        return
    with ExitStack() as stack:
        yield from _Validation(catalog, settings, open_store, frozenset(parts), stack, say).run()


def passed(checks: Collection[Check]) -> bool:
    """Whether no check failed."""
    return not any(check.outcome is Outcome.FAILED for check in checks)


class _Validation:
    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        open_store: OpenStore | None,
        parts: frozenset[str],
        stack: ExitStack,
        say: Callable[[str], None],
    ) -> None:
        self._catalog = replace(catalog)  # counts only its own calls
        self._settings = settings
        self._open_store = open_store
        self._parts = parts
        self._stack = stack
        self._say = say
        self._objects: dict[str, ObjectInfo] | None = None
        """By lower-case name; None: Gainsight is unavailable."""
        self._is_crm_there = False
        self._is_gsid_searchable = True
        """Whether the CRM can filter accounts by `common.gsid_field`."""
        self._holder: tuple[str, str, str] | None = None

    def run(self) -> Iterator[Check]:
        steps: Mapping[str, Callable[[], Iterator[Check]]] = {
            "settings": self._file,
            "database": self._database,
            "gainsight": self._gainsight,
            "primary_crm": self._crm,
            "pulls": self._pulls,
            "matching": self._matching,
            "tenant_profile": self._tenant_profile,
        }
        for part in PARTS:
            if part in self._parts:
                yield from steps[part]()

    # -- settings and database ------------------------------------------------------------------------------------

    def _file(self) -> Iterator[Check]:
        for section, error in self._settings.errors.items():
            yield _failed(section, "settings", error)
        names = self._settings.object_names()
        pulls = "1 pull" if len(names) == 1 else f"{len(names)} pulls"
        path = self._settings.path
        shown = "The settings" if path is None else path.name if path.parent == Path.cwd() else path
        text = f"{shown}: {pulls} ({', '.join(names)})."
        if not names:
            yield Check(
                "settings", "file", Outcome.WARNING, "No pull is configured.", "Add a section such as `company: {}`."
            )
        elif not self._settings.errors:
            yield Check("settings", "file", Outcome.PASSED, text, facts={"pulls": list(names)})

    def _database(self) -> Iterator[Check]:
        if self._open_store is None:
            return
        try:
            store = self._stack.enter_context(self._open_store())
            with store.connect("validate") as connection:
                version, server = database_version(connection), connection.info.server_version // 10_000
                self._holder = tenant.holder(connection)
        except NotMigrated as error:
            todo = f"{error.todo} `run` and `dev` do it themselves, unless GAINSIGHT_PIPELINES_MIGRATE is `never`."
            yield Check("database", "reachable", Outcome.WARNING, error.message, todo)
            return
        except PipelineError as error:
            yield _failed("database", "reachable", error)
            return
        facts = {"server": server, "version": version}
        text = f"PostgreSQL {server} responds and has this program's tables (version {version})."
        yield Check("database", "reachable", Outcome.PASSED, text, facts=facts)
        share = self._settings.gainsight.quota_share if self._has("gainsight") and self._settings.gainsight else 1.0
        quota = Quota(store, self._catalog.connections.clock, share, self._say)
        self._catalog.connections = replace(self._catalog.connections, before_call=quota)
        yield self._quota(quota.used_today(), int(CALLS_PER_DAY * share))

    def _quota(self, used: int, ours: int) -> Check:
        facts = {"used_today": used, "share": ours, "tenant": CALLS_PER_DAY}
        text = (
            f"{used:,} of {ours:,} API calls used today (UTC) by what runs on this database; the tenant's limit is"
            f" {CALLS_PER_DAY:,}, and what other tools used is unknown."
        )
        if used >= ours:
            todo = "Wait until 00:00 UTC, or raise `gainsight.quota_share`."
            return Check("gainsight", "quota", Outcome.FAILED, text, todo, facts)
        return Check("gainsight", "quota", Outcome.PASSED, text, facts=facts)

    # -- the two services -----------------------------------------------------------------------------------------

    def _gainsight(self) -> Iterator[Check]:
        if "gainsight" in self._settings.errors:
            yield _skipped("gainsight", "address", "its section is invalid")
            return
        try:
            base_url = tenant_of(self._settings).base_url
            host = urlsplit(base_url).netloc
            status, code = check_address(base_url, connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS)
        except PipelineError as error:
            yield _failed("gainsight", "address", error)
            return
        facts: dict[str, Any] = {"host": host, "without_key": {"status": status, "code": code}}
        yield Check("gainsight", "address", Outcome.PASSED, f"{host} is a Gainsight tenant.", facts=facts)
        try:
            found = self._catalog.objects(is_fresh=True).objects
        except PipelineError as error:
            found_wrong = _failed("gainsight", "key", error)
            todo = f"Put the tenant's key into {API_KEY_VARIABLE}, or into the file that {API_KEY_VARIABLE}_FILE names."
            yield found_wrong if found_wrong.todo else replace(found_wrong, todo=todo)
            return
        self._objects = {name_key(one.name): one for one in found}
        readable = sum(one.is_readable for one in found)
        credential = credential_from(self._catalog.connections.secrets())
        text = f"The {credential.words} is accepted: {len(found):,} objects discovered, {readable:,} of them readable."
        types = dict(Counter(one.object_type for one in found))
        facts = {"objects": len(found), "readable": readable, "types": types, "credential": credential.words}
        yield Check("gainsight", "key", Outcome.PASSED, text, facts=facts)
        if self._holder is not None and self._holder[0] != urlsplit(base_url).hostname:
            yield self._foreign(f"Gainsight {self._holder[0]}", f"Gainsight {urlsplit(base_url).hostname}")

    def _crm(self) -> Iterator[Check]:
        if "primary_crm" in self._settings.errors:
            yield _skipped("primary_crm", "accounts", "its section is invalid")
            return
        try:
            with closing(self._catalog.connections.crm()) as crm:
                crm.probe()
                kind, accounts, organisation = crm.kind, crm.count_accounts(), crm.organisation()
                login, proofs = crm.login, list(crm.proofs())
            fields = {name_key(one.name): one for one in self._catalog.crm_fields(is_fresh=True).fields}
        except PipelineError as error:
            yield _failed("primary_crm", "accounts", error)
            return
        self._is_crm_there = True
        counted = f"{accounts:,} accounts" if accounts is not None else "more accounts than it counts in seconds"
        text = f"{CRM_NAMES[kind]} responds: {counted}. Logged in with {login}."
        facts = {"crm": kind, "accounts": accounts, "organisation": organisation}
        yield Check("primary_crm", "accounts", Outcome.PASSED, text, facts=facts)
        if self._holder is not None and self._holder[1:] != (kind, organisation):
            holder = f"{self._holder[1]} {self._holder[2]}"
            yield self._foreign(holder, f"{kind} {organisation}")
        for proof in proofs:
            yield _proven(proof, login)
        yield from self._crm_fields(fields)
        for name, place in gsid_fields(self._settings).items():
            yield self._gsid_field(name, place, fields, accounts)
        if not gsid_fields(self._settings):
            yield Check(
                "common",
                "gsid_field",
                Outcome.WARNING,
                "No CRM field with the GSID is set, so companies are matched by their CRM id only.",
                "Pick one from `gainsight-pipelines crm-fields gsid`, if your CRM stores the GSID.",
            )

    def _crm_fields(self, fields: Mapping[str, AccountField]) -> Iterator[Check]:
        primary = self._settings.primary_crm
        assert primary is not None
        for name, configured in primary.fields.model_dump().items():
            if configured is None:
                continue
            place, found = f"primary_crm.fields.{name}", fields.get(name_key(configured))
            if found is None:
                yield _missing_crm_field("primary_crm", name, place, configured, fields)
            elif found.data_type in CRM_UNFIT[name]:
                yield _unfit("primary_crm", name, place, found.name, found.data_type, CRM_TAKES[name])
            else:
                text = f"`{place}`: {found.name} ({found.label}, {found.data_type})."
                yield Check("primary_crm", name, Outcome.PASSED, text)

    def _gsid_field(self, name: str, place: str, fields: Mapping[str, AccountField], accounts: int | None) -> Check:
        section, found = place.partition(".")[0], fields.get(name_key(name))
        if found is None:
            return _missing_crm_field(section, "gsid_field", place, name, fields)
        if found.data_type in CRM_UNFIT["gsid"]:
            return _unfit(section, "gsid_field", place, found.name, found.data_type, CRM_TAKES["gsid"])
        try:
            with closing(self._catalog.connections.crm()) as crm:
                filled = crm.count_filled(found.name)
        except PipelineError as error:
            return _failed(section, "gsid_field", error)
        if section == "common":
            self._is_gsid_searchable = found.is_filterable
        facts = {"field": found.name, "filled": filled.filled, "accounts": filled.of or accounts}
        text = f"`{place}`: {found.name} ({found.label}) is filled for {filled.words(accounts)}."
        if not filled.filled:
            todo = "Fill it in the CRM, or choose another field: the fallback finds no account this way."
            return Check(section, "gsid_field", Outcome.WARNING, text, todo, facts)
        return Check(section, "gsid_field", Outcome.PASSED, text, facts=facts)

    def _foreign(self, holder: str, wanted: str) -> Check:
        return Check(
            "database",
            "tenant",
            Outcome.FAILED,
            f"The database holds the data of {holder}, not of {wanted}.",
            "Use another database (GAINSIGHT_PIPELINES_DATABASE_URL), or empty it: `gainsight-pipelines reset --all`.",
        )

    # -- the pulls ------------------------------------------------------------------------------------------------

    def _pulls(self) -> Iterator[Check]:
        for name in self._settings.object_names():
            section = self._settings.section_of(name)
            if section in self._settings.errors:
                continue  # reported with the settings
            if self._objects is None:
                yield _skipped(section, name, "Gainsight is unavailable")
                continue
            try:
                yield from self._pull(section, find_pull(self._settings, name))
            except PipelineError as error:
                yield _failed(section, name, error)

    def _pull(self, section: str, pull: ObjectPull) -> Iterator[Check]:
        schema = self._schema(pull.gainsight_object)
        own_crm_id_field = crm_id_field(self._catalog, self._settings)
        misfits = list(self._misfits(section, pull, schema))
        yield from misfits
        if misfits:
            return
        refused_names: list[str] = []
        while True:
            try:
                # As a pull does: without refused fields, where they are optional.
                found = self._read(section, pull, pull.mapper(schema, own_crm_id_field), schema)
                break
            except UnknownField as refused:
                if not refused.fields or len(refused_names) > MOST_REFUSED:
                    raise
                refused_names += refused.fields
                schema = schema.without(refused.fields)
        if refused_names:
            named = ", ".join(refused_names)
            text = f"Gainsight refuses {named} of `{schema.name}`, though it describes it: a pull leaves it out."
            todo = "Give the API key's user the right to read it, or do without it."
            yield Check(section, pull.name, Outcome.WARNING, text, todo, {"refused": refused_names})
        yield found

    def _read(self, section: str, pull: ObjectPull, mapper: Mapper, schema: ObjectSchema) -> Check:
        """Reads a sample as the pull would."""
        window = mapper.window(self._catalog.connections.clock.now(), None)
        conditions = () if window.where is not None else window_conditions(mapper, window)
        order = newest_first(schema)
        query = Query(mapper.select, where=conditions, raw_where=window.where, order_by=order, limit=SAMPLE)
        with closing(self._catalog.connections.gainsight()) as client:
            records = client.query(schema.name, query, kind="probe").records
            facts: dict[str, Any] = {"object": schema.name, "fields": len(mapper.select), "sample": len(records)}
            text = f"{schema.name} can be read with {len(mapper.select)} fields"
            if window.where is not None:
                count = count_matches(client, schema, where=window.where)
                facts["matches"] = {"count": count.count, "is_exact": count.is_exact}
                text += f"; the filter matches {count} records"
        if not records:
            return _nothing_to_read(section, pull, text, window, facts)
        return _with_company(section, pull, mapper, records, text, facts)

    def _schema(self, name: str) -> ObjectSchema:
        """The object's current schema."""
        assert self._objects is not None
        listed = self._objects.get(name_key(name))
        if listed is None:
            near = _near(name, [one.name for one in self._objects.values()])
            raise UnknownObject(f"The tenant has no object `{name}`.", f"{near}See `gainsight-pipelines objects`.")
        if not listed.is_readable:
            raise SettingsError(
                f"The tenant lists object `{listed.name}` as not readable.",
                "Give the API key's user the right to read it, or choose another object.",
            )
        return self._catalog.fields(listed.name, is_fresh=True).schema

    def _misfits(self, section: str, pull: ObjectPull, schema: ObjectSchema) -> Iterator[Check]:
        """Configured fields whose type doesn't fit. The mapper has already found that they exist."""
        for each in pull.named_fields:
            found = schema.field(each.name)
            if found is not None and not GAINSIGHT_FITS[each.fit](found):
                yield _unfit(section, pull.name, each.place, found.name, found.data_type, each.fit)

    # -- both together --------------------------------------------------------------------------------------------

    def _matching(self) -> Iterator[Check]:
        if self._objects is None or not self._is_crm_there:
            who = "Gainsight" if self._objects is None else "the CRM"
            yield _skipped("matching", "sample", f"{who} is unavailable")
            return
        try:
            yield self._matched_sample()
        except PipelineError as error:
            yield _failed("matching", "sample", error)

    def _matched_sample(self) -> Check:
        crm_field = crm_id_field(self._catalog, self._settings)
        gsid_field = self._settings.common.gsid_field
        schema = self._catalog.fields(COMPANY_OBJECT).schema
        gsid = spelled(schema, "Gsid")
        select = (gsid, *([crm_field] if crm_field else []))
        connections = self._catalog.connections
        with closing(connections.gainsight()) as client, closing(connections.crm(gsid_field)) as crm:
            query = Query(select, order_by=newest_first(schema), limit=COMPANY_SAMPLE)
            records = client.query(schema.name, query, kind="probe").records
            keys = keys_of(records, CompanyFields(gsid, crm_field), crm_field, client, lambda: schema)
            links = find_links(crm, gsid_field, keys).links
        total = len(links)
        found = Counter(str(link.method or link.reason) for link in links)
        direct, by_field = found[str(Method.DIRECT)], found[str(Method.GSID_FIELD)]
        facts = {"companies": total, "crm_id_field": crm_field, "gsid_field": gsid_field, "links": dict(found)}
        if not total:
            return Check("matching", "sample", Outcome.WARNING, "The tenant shows no companies.", "", facts)
        none = total - direct - by_field
        text = (
            f"Of {total} companies, {direct / total:.0%} would be matched by their CRM id ({crm_field or 'none set'}),"
            f" {by_field / total:.0%} by the CRM's GSID field ({gsid_field or 'none set'}), {none / total:.0%} not."
        )
        if not self._is_gsid_searchable:
            text += f" The CRM can't filter by {gsid_field}: only the {LOOKED_AT:,} newest were searched."
        if none == total:
            todo = (
                "Set `company.crm_id_field` to the company's field with the CRM's account id, or `common.gsid_field`"
                " to the CRM's field with the GSID; check that both systems are the right ones."
            )
            return Check("matching", "sample", Outcome.FAILED, text, todo, facts)
        if none * 2 > total:
            todo = (
                "Companies without an account are kept unmatched until the CRM has one; check whether so many is right."
            )
            return Check("matching", "sample", Outcome.WARNING, text, todo, facts)
        return Check("matching", "sample", Outcome.PASSED, text, facts=facts)

    def _tenant_profile(self) -> Iterator[Check]:
        if self._objects is None:
            yield _skipped("tenant_profile", "probed", "Gainsight is unavailable")
            return
        owned = [name for each in DEFINITIONS.values() for name in each.owns if name != COMPANY_OBJECT]
        known = [name for name in (*owned, COMPANY_OBJECT) if name in self._objects]
        try:
            schema = self._schema(known[0] if known else COMPANY_OBJECT)
            with closing(self._catalog.connections.gainsight()) as client:
                profile = probe_tenant(client, self._objects.values(), schema)
        except PipelineError as error:
            yield _failed("tenant_profile", "probed", error)
            return
        text = (
            f"Records come as {profile.data_shape}, dates as {profile.date_style}, up to {profile.largest_page:,} a"
            f" page. Filters: {profile.where}. Order: {profile.order_by}."
        )
        outcome = Outcome.WARNING if profile.notes else Outcome.PASSED
        todo = f"Not determined: {' '.join(profile.notes)}" if profile.notes else ""
        yield Check("tenant_profile", "probed", outcome, text, todo, profile.as_json())
        for sentence in profile.meanings():
            yield Check("tenant_profile", "meaning", Outcome.PASSED, sentence)

    def _has(self, section: str) -> bool:
        return section not in self._settings.errors


# -- results ------------------------------------------------------------------------------------------------------


def _failed(section: str, name: str, error: PipelineError) -> Check:
    return Check(section, name, Outcome.FAILED, _sentence(error.message), error.todo.strip())


def _skipped(section: str, name: str, why: str) -> Check:
    shown = _SHOWN.get((section, name), f"Object of {name}")
    return Check(section, name, Outcome.SKIPPED, f"{shown}: not checked, since {why}.")


_SHOWN: Mapping[tuple[str, str], str] = {
    ("gainsight", "address"): "Address and key",
    ("primary_crm", "accounts"): "Login and accounts",
    ("matching", "sample"): "A sample of companies",
    ("tenant_profile", "probed"): "The tenant's API behaviour",
}


def _proven(proof: Proof, login: str) -> Check:
    if proof.error is not None:
        found = _failed("primary_crm", proof.name, proof.error)
        spare = f"Or unset them: {login} is used." if proof.is_spare else ""
        return replace(found, todo=f"{found.todo} {spare}".strip())
    if proof.is_spare:
        text = f"Set as well, and not used: {proof.what}. The login works."
        return Check("primary_crm", proof.name, Outcome.PASSED, text)
    return Check("primary_crm", proof.name, Outcome.PASSED, f"The token may read {proof.what}.")


def _missing_crm_field(section: str, check: str, place: str, name: str, fields: Mapping[str, AccountField]) -> Check:
    near = _near(name, [*(one.name for one in fields.values())])
    text = f"`{place}` names the field {name!r}, which the CRM's account object doesn't have."
    return Check(section, check, Outcome.FAILED, text, f"{near}See `gainsight-pipelines crm-fields`.")


def _unfit(section: str, check: str, place: str, name: str, data_type: str, takes: str) -> Check:
    text = f"`{place}` names the field {name}, which holds {data_type}; it takes {takes}."
    return Check(section, check, Outcome.FAILED, text, "Choose another field.")


def _nothing_to_read(section: str, pull: ObjectPull, text: str, window: Window, facts: Mapping[str, Any]) -> Check:
    why = "there are none now" if window.where is None else "the filter matches none"
    todo = "Check that it is the right object, and how far back the pull looks." if window != Window() else ""
    return Check(section, pull.name, Outcome.WARNING, f"{text}, but no records would come: {why}.", todo, facts)


def _with_company(
    section: str, pull: ObjectPull, mapper: Mapper, records: list[dict[str, Any]], text: str, facts: dict[str, Any]
) -> Check:
    """Whether the newest records name a company: otherwise none of them can be matched."""
    company = mapper.company
    if company.is_nobody:
        return Check(
            section, pull.name, Outcome.PASSED, f"{text}; reference data, which names no company.", facts=facts
        )
    named = sum(bool(company.gsid_of(record) or company.crm_id_of(record)) for record in records)
    facts["with_company"] = named
    by = " or ".join(
        dict.fromkeys(name for name in (company.gsid, company.through, company.key_kind and company.crm_id) if name)
    )
    if not named:
        todo = "Choose the field with the company's GSID (`company_field`), or find out why it is empty."
        text = f"{text}, but {by} is empty in all of the {len(records)} newest records: none can be matched."
        return Check(section, pull.name, Outcome.FAILED, text, todo, facts)
    share = "" if pull.gainsight_object == COMPANY_OBJECT else f"; {named} of the {len(records)} newest name a company"
    return Check(section, pull.name, Outcome.PASSED, f"{text}{share}.", facts=facts)


def _near(name: str, known: list[str]) -> str:
    near = did_you_mean(name, known)
    return f"{near} " if near else ""


def _sentence(text: str) -> str:
    text = text.strip()
    if text.partition(" ")[0].isalpha():  # not a place such as surveys.filter, nor a name
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."
