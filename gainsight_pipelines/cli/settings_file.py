"""`settings set`, `unset`, `edit`, `diff`, `history` and `restore`: change the settings file from a terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.workspace import say_mistakes
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.settings import DATA_FOLDER, load_settings, settings_path
from gainsight_pipelines.settings.editing import SettingsFile, difference
from gainsight_pipelines.settings.files import check_writable, why_read_only
from gainsight_pipelines.settings.history import BY_HAND, Version

UNTIL_RELOADED = (
    "The next runs use these settings. To update assets and schedules, reload the code location in the Dagster UI"
    " (Deployment, Reload), or give the UI's URL with --dagster."
)
HISTORY_COLUMNS = ("version", "when (UTC)", "who", "how", "lines")


def _read(path: Path | None, *, is_dry: bool) -> SettingsFile:
    """Reads the file and prints its errors, which do not prevent changes of other sections.

    Raises:
        SettingsError: the file can't be read; or can't be written, and this is not a dry run.
    """
    file = SettingsFile.read(settings_path(path))
    if not is_dry:
        check_writable(file.path)
    say_mistakes(file.settings)
    return file


def set_command(place: str, value: str, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Changes one setting."""
    file = _read(path, is_dry=is_dry)
    return _loaded(
        write_file(file, file.with_value(place, value), f"settings set {place}", is_dry=is_dry), dagster, file.path
    )


def unset_command(place: str, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Removes one setting."""
    file = _read(path, is_dry=is_dry)
    return _loaded(
        write_file(file, file.without_value(place), f"settings unset {place}", is_dry=is_dry), dagster, file.path
    )


def edit_command(section: str, *, as_json: bool, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Edits a section in the editor, or reads it from standard input."""
    file = _read(path, is_dry=is_dry)
    shown = json.dumps(file.data(section), indent=2, ensure_ascii=False)
    before = f"{shown}\n" if as_json else file.written(section)

    def changed(text: str) -> str:
        return file.with_json(section, text) if as_json else file.with_written(section, text)

    how = f"settings edit {section}"
    if not sys.stdin.isatty():
        return _loaded(write_file(file, changed(sys.stdin.read()), how, is_dry=is_dry), dagster, file.path)
    folder = file.path.parent / DATA_FOLDER
    if why_read_only(folder / "draft") is not None:  # a dry run, to look at what a change would do
        folder = Path(tempfile.gettempdir())
    with _draft(folder, section, before, "json" if as_json else "yaml") as draft:
        text = _edited(draft, changed)
        is_written = write_file(file, text, how, is_dry=is_dry)
    return _loaded(is_written, dagster, file.path)


@contextmanager
def _draft(folder: Path, section: str, before: str, suffix: str) -> Iterator[Path]:
    """A file for one edit. It is deleted when the edit is complete, and kept if it is interrupted after changes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    as_json = " --json" if suffix == "json" else ""
    hint = f"To apply it, run `gainsight-pipelines settings edit {section}{as_json} < FILE`"
    for kept in sorted(folder.glob(f"edit-{section}-*.{suffix}"), key=lambda file: file.stat().st_mtime):
        output.say(f"An interrupted edit is in {kept}. {hint}, or delete the file.")
    handle, name = tempfile.mkstemp(f".{suffix}", f"edit-{section}-", folder)
    draft = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(before)
    try:
        yield draft
    except BaseException:
        if draft.read_bytes() == before.encode():
            draft.unlink()
        else:
            output.say(f"Your changes are in {draft}. {hint}.")
        raise
    draft.unlink()


def _edited(draft: Path, changed: Callable[[str], str]) -> str:
    """The edited text. The editor opens again while the text is not valid."""
    while True:
        _open_editor(draft)
        try:
            return changed(draft.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            problem = "The text is not UTF-8."
        except PipelineError as error:
            problem = str(error)
        output.say(f"{problem}\nPress Enter to edit again, or Ctrl-C to stop.")
        try:
            input()
        except EOFError:
            raise KeyboardInterrupt from None


def _open_editor(draft: Path) -> None:
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        status = subprocess.run([*command, str(draft)], check=False).returncode
    except OSError as error:
        raise SettingsError(f"The editor {command[0]} can't be started: {error.strerror}.", "Set EDITOR.") from None
    if status:
        raise SettingsError(f"The editor failed with exit status {status}: nothing was written.")


def diff_command(number: int | None, *, path: Path | None, as_json: bool) -> int:
    """Prints the changes since a version; by default, the last one that differs."""
    file = SettingsFile.read(settings_path(path))
    former = file.history.version(number) if number is not None else _last_different(file)
    if former is None:
        output.say(f"{file.path.name} has no earlier versions yet. Each write keeps one.")
        return 0
    text = difference(former.text, file.text, file.path.name)
    if as_json:
        output.print_json({"since": _document(former), "diff": text})
    elif text:
        _print_diff(text)
    else:
        output.say(f"{file.path.name} is the same as version {former.number}.")
    return 0


def history_command(*, path: Path | None, as_json: bool) -> int:
    """Lists the versions, newest first."""
    file = SettingsFile.read(settings_path(path))
    versions = file.history.versions()
    if as_json:
        output.print_json({"versions": [_document(version) for version in versions]})
        return 0
    if not versions:
        output.say(f"{file.path.name} has no earlier versions yet. Each write keeps one.")
        return 0
    rows, before = [], ""
    for version in versions:
        lines = difference(before, version.text, "").splitlines()[2:]
        added, gone = (sum(line.startswith(mark) for line in lines) for mark in "+-")
        when = f"{version.at:%Y-%m-%d %H:%M:%S}"
        rows.append((str(version.number), when, version.who, version.how, f"+{added} -{gone}"))
        before = version.text
    title = f"Versions of {file.path.name}"
    output.print_table(output.table_of(title, HISTORY_COLUMNS, reversed(rows), right=("version", "lines")))
    if versions[-1].text != file.text:
        output.say(f"The file was changed {BY_HAND} since. Run `settings diff` to see the changes.")
    return 0


def restore_command(number: int, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Restores an earlier version, as a new version."""
    file = _read(path, is_dry=is_dry)
    text = file.restore(file.history.version(number))
    return _loaded(write_file(file, text, f"settings restore {number}", is_dry=is_dry), dagster, file.path)


def write_file(file: SettingsFile, text: str, how: str, *, is_dry: bool) -> bool:
    """Prints the changes, and writes them unless this is a dry run. Returns whether they were written."""
    changes = file.difference(text)
    if not changes:
        output.say("Nothing to change.")
        return False
    _print_diff(changes)
    if is_dry:
        file.check(text)
        output.say("Dry run: nothing was written.")
        return False
    file.write(text, SystemClock(), how)
    output.say(f"Written to {file.path}.")
    return True


def _loaded(is_written: bool, dagster: str | None, path: Path) -> int:
    """Reloads the settings in the Dagster UI, or says how to if its URL is not known."""
    if not is_written:
        return 0
    if dagster is None:
        output.say(UNTIL_RELOADED)
        return 0
    from gainsight_pipelines.orchestration.webserver import Webserver

    Webserver(dagster).reload(load_settings(path))
    output.say("Dagster has loaded the new settings.")
    return 0


def _last_different(file: SettingsFile) -> Version | None:
    different = [version for version in file.history.versions() if version.text != file.text]
    return different[-1] if different else None


def _document(version: Version) -> dict[str, Any]:
    return {"version": version.number, "at": version.at, "who": version.who, "how": version.how, "text": version.text}


def _print_diff(text: str) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        output.print_line(output.styled(line, styles.get(line[:1], "")))
