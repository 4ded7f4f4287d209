"""The one border where our errors become Dagster failures, and the one policy of what is tried again.

A failure that nobody's waiting mends is final. One that a retry may mend is tried twice more within seconds, after
those of the clients. Then the gate sensor tries again, ever more rarely, as long as the object is due (see
`scheduling/due.py`). Runs that died are started again by Dagster itself (`run_retries` in dagster.yaml). Not a retry
policy of the asset's: Dagster applies it to a run that somebody stops as well, and the pull would start again.
"""

import dagster as dg

from gainsight_pipelines.errors import PipelineError, TransientError
from gainsight_pipelines.orchestration.names import documentation

RETRY_WAITS = (2.0, 5.0)
"""Seconds before the second and third try within a run."""

LONGEST_WAIT_SECONDS = 30.0
"""Who asks for a longer one (the API quota of a day) is asked again by a later run."""


def as_failure(error: PipelineError) -> dg.Failure:
    """The Dagster failure for an error: its sentence, what to do, where to read on.

    The caller writes ``raise as_failure(error) from None``: a person can act on the sentence, not on a traceback.
    """
    metadata: dict[str, dg.MetadataValue[str]] = {"documentation": documentation(error.section)}
    if error.todo:
        metadata["what to do"] = dg.MetadataValue.text(error.todo)
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


def retry_or_failure(context: dg.AssetExecutionContext, error: PipelineError) -> dg.RetryRequested | dg.Failure:
    """The same for a step that may be tried again within its run; the log says why it is."""
    wait = wait_before_retry(error, context.retry_number)
    if wait is None:
        return as_failure(error)
    context.log.warning("Trying again in %g s: %s", wait, error)
    return dg.RetryRequested(max_retries=len(RETRY_WAITS), seconds_to_wait=wait)


def wait_before_retry(error: PipelineError, retry_number: int) -> float | None:
    """Seconds to wait before the step is tried again; None: it isn't."""
    if not isinstance(error, TransientError) or retry_number >= len(RETRY_WAITS):
        return None
    wait = max(RETRY_WAITS[retry_number], error.retry_after or 0.0)
    return wait if wait <= LONGEST_WAIT_SECONDS else None
