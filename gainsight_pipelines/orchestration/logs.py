"""Progress of a pull on stderr, where Dagster's compute log picks it up."""

import logging


def log_to_stderr() -> None:
    """Lets the package's loggers write to stderr, once. Not through Dagster's event log: each line there is kept."""
    logger = logging.getLogger("gainsight_pipelines")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
