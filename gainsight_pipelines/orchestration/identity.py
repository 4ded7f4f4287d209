"""Recognises our runs on a shared Dagster instance: by their tags, never by their names.

The definitions put `PULL_TAG` on our steps and jobs, and jobs pass it on to their runs. `STORE_TAG` distinguishes
tenants: the store's id is in the database, so a run gets it from the schedule or sensor that requests it, or else from
its first step of ours. The gate sensor of its location tags a run that failed before that.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import psycopg

    from gainsight_pipelines.store.connection import Store

PULL_TAG = "gainsight_pipelines/pull"
"""On a step: its pull. On a run: all its pulls, if the run contains nothing else."""

STORE_TAG = "gainsight_pipelines/store"
"""On a run: the id of the store that its steps write to."""

LOCATION_TAG = ".dagster/repository"
"""Dagster's own tag on runs started by its UI and daemon: repository@location."""


MAX_TAG = 63
"""Dagster refuses an asset, and with it the whole code location, if a tag is longer."""


def tag_value(text: str) -> str:
    """A text as a tag's value: unchanged, or cut and made unique with a digest if it is too long."""
    if len(text) <= MAX_TAG:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: MAX_TAG - len(digest) - 1]}.{digest}"


def store_id(connection: "psycopg.Connection") -> str:
    """The store's id in the database."""
    from gainsight_pipelines.store import tenant

    return tenant.store_id(connection)


def step_tags(name: str) -> dict[str, str]:
    """The tags of a step or job that belongs to this pull."""
    return {PULL_TAG: name}


def mark_run(context: dg.OpExecutionContext, store: "Store", name: str) -> None:
    """Tags the run of this step as one of this store.

    A run that also has other people's steps gets no `PULL_TAG`.

    Args:
        context: the step's.
        store: the store that it writes to.
        name: its pull.
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
    """The pulls of a run; empty if the run is not ours, or not only ours."""
    return {name for name in run.tags.get(PULL_TAG, "").split(",") if name}


def is_of(run: dg.DagsterRun, store: str, location: str | None) -> bool:
    """Whether a run may belong to this store: by its tag once it has begun, before that by its code location.

    Args:
        run: a run that has `PULL_TAG`, or selects assets of ours.
        store: the store's id.
        location: the caller's repository@location; None: unknown, any matches.
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
