"""The asset checks of a pull: one step after it, evaluated from what the store has recorded of its runs.

They only warn. A person can also execute them alone, without a pull.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.objects.activity_types import NO_CATEGORY, category_key
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.orchestration.failures import as_failure
from gainsight_pipelines.orchestration.identity import mark_run, step_tags
from gainsight_pipelines.orchestration.names import documentation
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.scheduling.cadence import Cadence

if TYPE_CHECKING:
    import psycopg

CADENCES_WITHOUT_CHANGE = 7
"""More turns of the cadence without any change in Gainsight are suspicious: its own loads may have stopped."""


@dataclass(frozen=True, slots=True)
class CheckInput:
    """The input of a check."""

    connection: "psycopg.Connection"
    pull: ObjectPull
    cadence: Cadence
    now: datetime


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Its result. `section`: the heading of docs/troubleshooting.md that says what to do."""

    is_good: bool
    sentence: str
    metadata: dict[str, Any]
    section: str


def match_rate(given: CheckInput) -> CheckOutcome:
    """The share of rows with an account, compared with the trailing runs."""
    from gainsight_pipelines.store import history

    rates = history.match_rates(given.connection, given.pull.name, history.TRAILING_RUNS)
    if not rates.rows:
        return CheckOutcome(True, "No run has read anything yet.", {}, "unmatched")
    share = rates.matched / rates.rows
    metadata: dict[str, Any] = {"matched_share": share, "rows": rates.rows}
    sentence = f"{share:.1%} of {rates.rows:,} rows have an account"
    if not rates.rows_before:
        return CheckOutcome(True, f"{sentence}; there is no earlier run to compare with.", metadata, "unmatched")
    before = rates.matched_before / rates.rows_before
    metadata["matched_share_before"] = before
    return CheckOutcome(rates.is_good, f"{sentence}, {before:.1%} in the runs before.", metadata, "unmatched")


def schema_drift(given: CheckInput) -> CheckOutcome:
    """Fields of the Gainsight object that were added, removed or changed their type."""
    from gainsight_pipelines.store import history

    drifts = history.details_since(given.connection, given.pull.name, "schema_drift", given.now - history.REMEMBERED)
    metadata = {f"{at:%Y-%m-%d %H:%M} UTC": dg.MetadataValue.json(drift) for at, drift in drifts}
    if not drifts:
        return CheckOutcome(True, "The object's fields are those of a week ago.", {}, "schema-changed")
    return CheckOutcome(
        False, f"The fields of `{given.pull.gainsight_object}` changed within the week.", metadata, "schema-changed"
    )


def unmapped_categories(given: CheckInput) -> CheckOutcome:
    """Reporting categories that occurred and that the settings don't map."""
    from gainsight_pipelines.store import history

    mapped = {category_key(name) for name in given.pull.categories or ()}
    counts: Counter[str] = Counter()
    for _, seen in history.details_since(
        given.connection, given.pull.name, "unmapped_categories", given.now - history.REMEMBERED
    ):
        counts.update({name: count for name, count in seen.items() if category_key(name) not in mapped})
    # Entries without a category: nothing to map.
    counts.pop(NO_CATEGORY, None)
    if not counts:
        return CheckOutcome(True, "Every category of the week is mapped.", {}, "unmapped-categories")
    named = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(5))
    return CheckOutcome(
        False,
        f"{len(counts)} categories are not mapped and were kept as TYPE_MANUAL: {named}."
        f" Add them under {given.pull.section}.reporting_categories.",
        {"categories": dg.MetadataValue.json(dict(counts))},
        "unmapped-categories",
    )


def unreadable_values(given: CheckInput) -> CheckOutcome:
    """Stored values that don't fit the type of their field, so that the column is NULL."""
    from gainsight_pipelines.store import history

    pull = given.pull
    counts = history.unreadable_values(given.connection, pull.table, pull.gainsight_object)
    if not counts:
        return CheckOutcome(True, "Every stored value could be read.", {}, "unreadable-values")
    named = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:5])
    return CheckOutcome(
        False,
        f"{len(counts)} {'field holds' if len(counts) == 1 else 'fields hold'} values that can't be read: {named}."
        f" They are kept in `{pull.table.name}.unreadable`.",
        {"fields": dg.MetadataValue.json(counts)},
        "unreadable-values",
    )


def response_limit(given: CheckInput) -> CheckOutcome:
    """Whether the last run was cut off by `response_limit`."""
    from gainsight_pipelines.store import history

    last = history.last_completed_run(given.connection, given.pull.name)
    if last is None or not last[0]:
        return CheckOutcome(True, "The last run read everything within its window.", {}, "response-limit")
    limit, read_up_to = given.pull.limit, last[1].get("read_up_to")
    metadata = {"response_limit": limit or 0, **({"read_up_to": read_up_to} if read_up_to else {})}
    behind = f" It read to {read_up_to[:19].replace('T', ' ')} UTC; the next run goes on there." if read_up_to else ""
    return CheckOutcome(
        False,
        f"The last run was cut off at the limit of {limit:,} responses.{behind}"
        f" Raise {given.pull.section}.response_limit if it stays so.",
        metadata,
        "response-limit",
    )


def data_age(given: CheckInput) -> CheckOutcome:
    """How long ago anything changed in Gainsight, by the data's newest time."""
    from gainsight_pipelines.store import history

    pull = given.pull
    newest = history.newest_data(given.connection, pull.name, pull.table, pull.gainsight_object)
    if newest is None:
        return CheckOutcome(True, "Nothing with a date is stored yet.", {}, "data-age")
    age = given.now - newest
    allowed = CADENCES_WITHOUT_CHANGE * given.cadence.longest_interval
    return CheckOutcome(
        age <= allowed,
        f"The newest change in Gainsight is {_words(age)} old; up to {_words(allowed)} is usual for this cadence.",
        {"newest": dg.MetadataValue.timestamp(newest), "age_hours": round(age.total_seconds() / 3600, 2)},
        "data-age",
    )


Check = Callable[[CheckInput], CheckOutcome]


def checks_of(pull: ObjectPull) -> tuple[Check, ...]:
    """The checks that apply to a pull."""
    every: tuple[Check, ...] = (match_rate, schema_drift, data_age, unreadable_values)
    if pull.categories is not None:
        every = (*every, unmapped_categories)
    return every if pull.limit is None else (*every, response_limit)


def pull_checks(tenant: Tenant, name: str) -> dg.AssetChecksDefinition | None:
    """The checks of one pull, all in one step; None if its settings are invalid."""
    pull, cadence, key = tenant.pulls[name], tenant.cadence(name), tenant.asset(name).key
    if isinstance(pull, SettingsError):
        return None
    checks = {check.__name__: check for check in checks_of(pull)}

    @dg.multi_asset_check(
        name=f"{tenant.names.prefix}_checks_of_{name}",
        op_tags=step_tags(f"checks_of_{name}"),
        specs=[dg.AssetCheckSpec(each, asset=key, description=check.__doc__) for each, check in checks.items()],
        can_subset=True,  # otherwise the UI offers them only together with the pull
        required_resource_keys={tenant.names.resource},
    )
    def look(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        try:
            database = tenant.of(context).open_store()
            mark_run(context.op_execution_context, database, f"checks_of_{name}")
            with database.connect(f"checks {name}") as connection:
                given = CheckInput(connection, pull, cadence, SystemClock().now())
                for each, check in checks.items():
                    if each not in chosen:
                        continue
                    found = check(given)
                    yield dg.AssetCheckResult(
                        check_name=each,
                        asset_key=key,
                        passed=found.is_good,
                        severity=dg.AssetCheckSeverity.WARN,
                        description=found.sentence,
                        metadata={**found.metadata, "documentation": documentation(found.section)},
                    )
        except PipelineError as error:
            raise as_failure(error) from None

    return look


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
