"""Unexpected errors: writes the traceback to a file, and gives the user a sentence that names the file."""

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
    """Writes the traceback of an error to a file that only this user can read.

    The file is in the working directory's data folder, or in the temporary folder if there is none. It holds no
    command arguments and no variables, but the error's text may quote data.

    Returns:
        The sentence to show instead.
    """
    head = f"gainsight_pipelines {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    text = head + "".join(traceback.format_exception(error))
    name = f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    sentence = f"unexpected error: {type(error).__name__}{reason}."
    try:
        here = Path(DATA_FOLDER)
        folder = here if here.is_dir() and os.access(here, os.W_OK) else None
        handle, path = tempfile.mkstemp(".log", name, folder)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as refused:
        return f"{sentence} The details can't be written: {refused.strerror}."
    return f"{sentence} Please report it with the details in {os.path.realpath(path)}."
