"""The one border where our errors become Dagster failures."""

import dagster as dg

from gainsight_pipelines.errors import PipelineError, TransientError


def as_failure(error: PipelineError) -> dg.Failure:
    """The Dagster failure for an error: its sentence, what to do, and whether a retry may mend it.

    The caller writes ``raise as_failure(error) from None``: a person can act on the sentence, not on a traceback.
    """
    metadata = {"what to do": dg.MetadataValue.text(error.todo)} if error.todo else {}
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=isinstance(error, TransientError))
