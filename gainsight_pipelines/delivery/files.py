"""Files that are written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gainsight_pipelines.errors import PermanentError


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A path to write to, beside the file; at the end it takes the file's place, and on any error it is gone.

    Raises:
        PermanentError: the file is a folder, or can't be written.
    """
    if file.is_dir():
        raise PermanentError(f"{file} is a folder.", "Name a file in it.")
    target = file.resolve()  # of a link, what it points at
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(target)
    except OSError as error:
        # The standard library says `strerror`, pyarrow only that it failed.
        raise PermanentError(f"{file} can't be written: {error.strerror or error}.", "Name another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)
