"""The gate sensor: checks the primary CRM, ends dead runs, and starts missed pulls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from gainsight_pipelines.clock import Clock, SystemClock
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.orchestration.account import gate_evaluation
from gainsight_pipelines.orchestration.dead_runs import end_dead_runs
from gainsight_pipelines.orchestration.identity import (
    LOCATION_TAG,
    PULL_TAG,
    STORE_TAG,
    is_of,
    pulls_of,
    step_tags,
    store_id,
)
from gainsight_pipelines.orchestration.names import by_day
from gainsight_pipelines.orchestration.resources import GainsightResource
from gainsight_pipelines.orchestration.tenant import Tenant
from gainsight_pipelines.scheduling import gate
from gainsight_pipelines.scheduling.due import MissedPull, find_missed, wait_after
from gainsight_pipelines.scheduling.gate import Pace

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from gainsight_pipelines.store.connection import Store
    from gainsight_pipelines.store.gate import Gate

MISSED_TAG = "gainsight_pipelines/missed"
"""On a run started by the sensor: the tick that was missed."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

LAUNCHED_WITHIN = timedelta(minutes=10)

LOOKED_AT = 50
"""The number of latest failed runs that a tick checks: more than occur between two ticks."""


def gate_sensor(tenant: Tenant, jobs: "Sequence[UnresolvedAssetJobDefinition]") -> dg.SensorDefinition:
    """The sensor for a tenant's pulls and their jobs."""
    cadences = {name: tenant.cadence(name) for name in tenant.pulls}
    jobs_of = {tenant.names.job(name): name for name in tenant.pulls}
    catches_up = tenant.schedules != "none"
    is_running = tenant.schedules != "stopped"

    @dg.sensor(
        name=tenant.names.gate,
        jobs=list(jobs),
        minimum_interval_seconds=_interval(),
        default_status=dg.DefaultSensorStatus.RUNNING if is_running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={tenant.names.resource},
        tags=step_tags("account"),
        metadata=tenant.metadata,
        description=(
            "Watches whether the primary CRM (Salesforce or HubSpot) is available; nothing is pulled without it. "
            "Reports runs as failed whose process is gone"
            + (", and starts missed pulls once the CRM is back." if catches_up else ".")
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from gainsight_pipelines.store import runs

        clock, resource = SystemClock(), tenant.of(context)
        try:
            pace = Pace.of()
            database = resource.open_store()
            found = _look_if_due(database, resource, clock, pace)
            with database.connect("gate sensor") as connection:
                lookup = RunLookup(tenant, context.instance, store_id(connection), location_of(context))
                end_dead_runs(context.instance, connection, clock)
                lookup.mark_unbegun(jobs_of)
                stopped = lookup.stopped(cadences) if catches_up else set(cadences)
                missed = find_missed(
                    connection, cadences, clock.now(), open_since=found.since, grace=2 * pace.closed, hold=pace.hold
                )
                runs.note_stopped(connection, sorted(stopped))
        except PipelineError as error:
            return dg.SensorResult(skip_reason=f"The gate can't be evaluated, so it is closed: {error}")
        is_steady = found.is_open and clock.now() - found.since >= pace.hold
        wanted = [each for each in missed if each.name not in stopped] if is_steady else []
        requests = _requests(lookup, wanted, found.since, pace.hold, clock.now())
        state = f"{found.reason} since {found.since.isoformat()}"
        return dg.SensorResult(
            run_requests=requests,
            # Evaluations are kept forever, so there is one per change and none per tick.
            asset_events=[gate_evaluation(tenant.account.key, found)] if context.cursor != state else [],
            cursor=state,
            skip_reason=None if requests else _words(found, clock),
        )

    return watch


def _look_if_due(store: "Store", resource: GainsightResource, clock: Clock, pace: Pace) -> "Gate":
    from gainsight_pipelines.store.gate import find_gate
    from gainsight_pipelines.store.runs import last_gated

    with store.connect("gate sensor") as connection:
        known, gated_at = find_gate(connection), last_gated(connection)
    is_doubtful = known is not None and gated_at is not None and gated_at > known.checked_at
    if known is None or is_doubtful or pace.is_due(known, clock):
        return gate.check(store, resource.connect_crm, clock)
    return known


@dataclass(frozen=True, slots=True)
class RunLookup:
    """Queries about our runs: the instance may have other locations, and other tenants with the same names."""

    tenant: Tenant
    instance: dg.DagsterInstance
    store: str
    location: str | None
    """repository@location; None: unknown, when a test evaluates the sensor directly."""

    def under_way(self, names: Iterable[str], now: datetime) -> set[str]:
        """The pulls with an unfinished run. One that isn't launched within minutes of its creation never will be."""
        names = list(names)
        pulls = {each: name for name in names for each in (name, by_day(name))}
        specs = [(name, spec) for name in names for spec in (self.tenant.asset(name), self.tenant.days(name))]
        keys = {spec.key: name for name, spec in specs if spec is not None}
        found: set[str] = set()
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)):
            run = record.dagster_run
            is_launched = run.status != dg.DagsterRunStatus.NOT_STARTED
            if is_of(run, self.store, self.location) and (
                is_launched or now - record.create_timestamp < LAUNCHED_WITHIN
            ):
                found |= {pulls[name] for name in pulls_of(run) if name in pulls}
                found |= {keys[key] for key in run.asset_selection or () if key in keys}
        return found

    def mark_unbegun(self, jobs: Mapping[str, str]) -> None:
        """Tags runs of our jobs that ended before a step could, so that `purge` finds them.

        Such a run was started by hand: those of schedules and sensors carry the store's id from the beginning.

        Args:
            jobs: the pulls' jobs, with the name of each pull.
        """
        if self.location is None:
            return
        ended = dg.RunsFilter(
            tags={LOCATION_TAG: self.location, PULL_TAG: sorted(jobs.values())},
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        )
        for run in self.instance.get_runs(ended, limit=LOOKED_AT):
            if STORE_TAG not in run.tags and run.job_name in jobs:
                self.instance.add_run_tags(run.run_id, {STORE_TAG: self.store})

    def failures(self, name: str, tags: Mapping[str, str]) -> list[float]:
        """The end times of a pull's failed runs with these tags, latest first."""
        wanted = {PULL_TAG: name, STORE_TAG: self.store, **tags}
        records = self.instance.get_run_records(dg.RunsFilter(tags=wanted, statuses=[dg.DagsterRunStatus.FAILURE]))
        return sorted((each.end_time or each.update_timestamp.timestamp() for each in records), reverse=True)

    def stopped(self, names: Iterable[str]) -> set[str]:
        """The pulls whose schedules a person stopped in this location."""
        from dagster._core.definitions.run_request import InstigatorType
        from dagster._core.scheduler.instigation import InstigatorStatus

        states = self.instance.all_instigator_state(
            instigator_type=InstigatorType.SCHEDULE, instigator_statuses={InstigatorStatus.STOPPED}
        )
        schedules = {
            state.instigator_name
            for state in states
            if self.location in (None, state.origin.repository_origin.get_label())
        }
        return {name for name in names if self.tenant.names.schedule(name) in schedules}


def location_of(context: dg.SensorEvaluationContext) -> str | None:
    """The repository@location that the daemon evaluates; None if unknown."""
    origin = context.code_location_origin
    return None if origin is None else f"{context.repository_name}@{origin.location_name}"


def _requests(
    lookup: RunLookup, missed: Sequence[MissedPull], open_since: datetime, hold: timedelta, now: datetime
) -> list[dg.RunRequest]:
    """Run requests for missed pulls that may run now: not already running, and not failed just now."""
    if not missed:
        return []
    under_way = lookup.under_way([each.name for each in missed], now)
    found = []
    for each in missed:
        tags = {MISSED_TAG: each.tick.isoformat()}
        # Dagster accepts a run key once, and a run may fail before it leaves a record that `find_missed` could count.
        ends = lookup.failures(each.name, tags)
        recent = [end for end in ends if end >= open_since.timestamp()]
        is_waiting = recent and now.timestamp() - recent[0] < wait_after(len(recent), hold).total_seconds()
        if each.name not in under_way and not is_waiting:
            found.append(
                dg.RunRequest(
                    job_name=lookup.tenant.names.job(each.name),
                    run_key=f"{each.key} {len(ends)}",
                    tags={**step_tags(each.name), **tags, STORE_TAG: lookup.store},
                )
            )
    return found


def _words(found: "Gate", clock: Clock) -> str:
    minutes = int((clock.now() - found.since).total_seconds() // 60)
    if not found.is_open:
        return f"The gate has been closed for {minutes} min: {found.message}"
    return f"The gate has been open for {minutes} min: {found.message} No missed pull is to be started."


def _interval() -> int:
    try:
        return Pace.of().seconds
    except SettingsError:
        return gate.DEFAULT_SECONDS  # each tick reports the mistake
