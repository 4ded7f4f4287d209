"""What is ours on a Dagster instance that others use too: runs are known by their tags, never by their names.

Steps of ours carry `PULL_TAG` from the definitions on, and our jobs hand it to their runs. `STORE_TAG` tells one tenant
from another: the store's id stands in the database, so a run gets it from whoever asks for it (a schedule, a sensor),
else from its first step of ours. One that failed before it got there is marked by the gate sensor of its location.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import psycopg

    from gainsight_pipelines.store.connection import Store

PULL_TAG = "gainsight_pipelines/pull"
"""On a step: the pull that it belongs to. On a run: all of them, where the run holds nothing else."""

STORE_TAG = "gainsight_pipelines/store"
"""On a run: the id of the store that its steps write to."""

LOCATION_TAG = ".dagster/repository"
"""Dagster's own, on runs that its UI and its daemon start: repository@location."""


MAX_TAG = 63
"""Dagster refuses an asset, and with it the whole code location, for a tag that is longer."""


def tag_value(text: str) -> str:
    """A text as the value of an asset's tag: itself, or cut and told apart by a digest where it is too long."""
    if len(text) <= MAX_TAG:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: MAX_TAG - len(digest) - 1]}.{digest}"


def store_id(connection: "psycopg.Connection") -> str:
    """The id of the store, as it stands in the database."""
    from gainsight_pipelines.store import tenant

    return tenant.store_id(connection)


def step_tags(name: str) -> dict[str, str]:
    """The tags of a step, or of the runs of a job, that belongs to this pull."""
    return {PULL_TAG: name}


def mark_run(context: dg.OpExecutionContext, store: "Store", name: str) -> None:
    """Marks the run that this step of ours belongs to as one of this store.

    A run that other people's steps share is theirs as well: it gets no `PULL_TAG`.

    Args:
        context: the step's.
        store: where it writes.
        name: of its pull.
    """
    with store.connect("run's tags") as connection:
        tags = {STORE_TAG: store_id(connection)}
    own = str(context.op_handle)
    owners = [name if node.name == own else node.definition.tags.get(PULL_TAG) for node in context.job_def.nodes]
    if PULL_TAG not in context.run.tags and all(owners):
        tags[PULL_TAG] = ",".join(sorted(map(str, set(owners))))
    if any(context.run.tags.get(tag) != value for tag, value in tags.items()):
        context.instance.add_run_tags(context.run_id, tags)


def pulls_of(run: dg.DagsterRun) -> set[str]:
    """The pulls that a run of ours is for; empty for a run that is not, or not only, ours."""
    return {name for name in run.tags.get(PULL_TAG, "").split(",") if name}


def is_of(run: dg.DagsterRun, store: str, location: str | None) -> bool:
    """Whether a run can be one of this store: by its own word where it has begun, else by the location it is from.

    Args:
        run: one that has `PULL_TAG`, or selects assets of ours.
        store: the store's id.
        location: repository@location of whoever asks; None: not known, and any will do.
    """
    if STORE_TAG in run.tags:
        return run.tags[STORE_TAG] == store
    origin = run.tags.get(LOCATION_TAG)
    return origin is None or location is None or origin == location


def steps_of(instance: dg.DagsterInstance, run: dg.DagsterRun, names: Iterable[str]) -> set[str]:
    """The keys of the run's steps that belong to these pulls."""
    if run.execution_plan_snapshot_id is None:
        return set()
    wanted = set(names)
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return {step.key for step in plan.steps if (step.tags or {}).get(PULL_TAG) in wanted}
