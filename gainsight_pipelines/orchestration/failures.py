"""Turns our errors into Dagster failures, and defines what is retried. The only place that does.

A failure that a retry can't fix is final. A transient one is retried twice within seconds, after the clients' own
retries. Then the gate sensor retries, at growing intervals, as long as the object is due (see `scheduling/due.py`).
Dagster restarts runs that died (`run_retries` in dagster.yaml). Not a retry policy of the asset: Dagster also applies
it to a run that somebody stops, which would start the pull again.
"""

import dagster as dg

from gainsight_pipelines.errors import PipelineError, TransientError
from gainsight_pipelines.orchestration.names import documentation

RETRY_WAITS = (2.0, 5.0)
"""Seconds before the second and third attempt within a run."""

LONGEST_WAIT_SECONDS = 30.0
"""Longer waits, such as the daily API quota, are left to a later run."""


def as_failure(error: PipelineError) -> dg.Failure:
    """The Dagster failure for an error: the message, what to do, and where to read more.

    Use ``raise as_failure(error) from None``: the user needs the message, not a traceback.
    """
    metadata: dict[str, dg.MetadataValue[str]] = {"documentation": documentation(error.section)}
    if error.todo:
        metadata["what to do"] = dg.MetadataValue.text(error.todo)
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


def retry_or_failure(context: dg.AssetExecutionContext, error: PipelineError) -> dg.RetryRequested | dg.Failure:
    """The same for a step that may be retried within its run; logs the reason for a retry."""
    wait = wait_before_retry(error, context.retry_number)
    if wait is None:
        return as_failure(error)
    context.log.warning("Trying again in %g s: %s", wait, error)
    return dg.RetryRequested(max_retries=len(RETRY_WAITS), seconds_to_wait=wait)


def wait_before_retry(error: PipelineError, retry_number: int) -> float | None:
    """Seconds to wait before the step is retried; None: no retry."""
    if not isinstance(error, TransientError) or retry_number >= len(RETRY_WAITS):
        return None
    wait = max(RETRY_WAITS[retry_number], error.retry_after or 0.0)
    return wait if wait <= LONGEST_WAIT_SECONDS else None
