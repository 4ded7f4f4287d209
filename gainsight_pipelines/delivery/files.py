"""Files that are written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gainsight_pipelines.errors import PermanentError


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yields a path beside the file to write to. It replaces the file at the end, and is deleted after an error.

    Raises:
        PermanentError: the file is a folder, or can't be written.
    """
    if file.is_dir():
        raise PermanentError(f"{file} is a folder.", "Name a file in it.")
    target = file.resolve()  # the file that a link points to
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(target)
    except OSError as error:
        # pyarrow's errors have no `strerror`.
        raise PermanentError(f"{file} can't be written: {error.strerror or error}.", "Name another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)
