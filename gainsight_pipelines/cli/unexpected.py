"""What nobody has foreseen: the stack goes into a file, the person gets a sentence that names it."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from gainsight_pipelines import __version__
from gainsight_pipelines.settings import DATA_FOLDER


def keep(error: Exception) -> str:
    """Writes the stack of an error into a file that this user alone can read.

    It lies in the data folder of the working directory, or in the folder for temporary files where there is none. It
    holds no argument of the command and no variable, but the error's own text may quote data.

    Returns:
        The sentence to show instead.
    """
    head = f"gainsight_pipelines {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    text = head + "".join(traceback.format_exception(error))
    name = f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    sentence = f"an unforeseen error: {type(error).__name__}{reason}."
    try:
        here = Path(DATA_FOLDER)
        folder = here if here.is_dir() and os.access(here, os.W_OK) else None
        handle, path = tempfile.mkstemp(".log", name, folder)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as refused:
        return f"{sentence} Its details can't be written: {refused.strerror}."
    return f"{sentence} Its details are in {os.path.realpath(path)}: please report it with them."
