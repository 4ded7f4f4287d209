"""The one border where our errors become Dagster failures, and the one policy of what is tried again.

A failure that nobody's waiting mends is final. One that a retry may mend is tried twice more within seconds, after
those of the clients. Then the gate sensor tries again, ever more rarely, as long as the object is due (see
`catch_up`). Runs that died are started again by Dagster itself (`run_retries` in dagster.yaml).
"""

import dagster as dg

from gainsight_pipelines.errors import PipelineError, TransientError
from gainsight_pipelines.orchestration.names import documentation

RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
LONGEST_WAIT_SECONDS = 30.0
"""Of a retry within the run. Who asks for a longer one (the API quota of a day) is asked again by a later run."""


def as_failure(error: PipelineError) -> dg.Failure:
    """The Dagster failure for an error: its sentence, what to do, where to read on, and whether a retry may mend it.

    The caller writes ``raise as_failure(error) from None``: a person can act on the sentence, not on a traceback.
    """
    metadata: dict[str, dg.MetadataValue[str]] = {"documentation": documentation(error.section)}
    if error.todo:
        metadata["what to do"] = dg.MetadataValue.text(error.todo)
    is_worth_it = isinstance(error, TransientError) and (error.retry_after or 0.0) <= LONGEST_WAIT_SECONDS
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=is_worth_it)
