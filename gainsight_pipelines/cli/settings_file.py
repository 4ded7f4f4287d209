"""`settings set`, `edit`, `diff`, `history`, `restore`: the settings file changed from a terminal, as on the page."""

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
    "Runs read it anew. Dagster shows objects that are new or gone, and follows other schedules, once its code location"
    " is reloaded: in the UI (Deployment, Reload), or by --dagster with its address."
)
HISTORY_COLUMNS = ("version", "when (UTC)", "who", "how", "lines")


def _read(path: Path | None, *, is_dry: bool) -> SettingsFile:
    """The file, about to be changed; what is wrong in it already is told, as it stops no change of other sections.

    Raises:
        SettingsError: it can't be read; it can't be written either, and this is no dry run.
    """
    file = SettingsFile.read(settings_path(path))
    if not is_dry:
        check_writable(file.path)
    say_mistakes(file.settings)
    return file


def set_command(place: str, value: str, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Changes one value."""
    file = _read(path, is_dry=is_dry)
    return _loaded(
        write_file(file, file.with_value(place, value), f"settings set {place}", is_dry=is_dry), dagster, file.path
    )


def unset_command(place: str, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Takes one value out."""
    file = _read(path, is_dry=is_dry)
    return _loaded(
        write_file(file, file.without_value(place), f"settings unset {place}", is_dry=is_dry), dagster, file.path
    )


def edit_command(section: str, *, as_json: bool, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Changes a section in the editor, or takes it from standard input."""
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
    """A file of its own for one edit. It goes once the edit has come to its end; else it stays, if it says anything."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken_up = f"`gainsight-pipelines settings edit {section}{' --json' if suffix == 'json' else ''} < FILE` takes it"
    for kept in sorted(folder.glob(f"edit-{section}-*.{suffix}"), key=lambda file: file.stat().st_mtime):
        output.say(f"A text of an earlier edit is in {kept}: {taken_up}; or delete it.")
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
            output.say(f"Your text is in {draft}: {taken_up}.")
        raise
    draft.unlink()


def _edited(draft: Path, changed: Callable[[str], str]) -> str:
    """What somebody makes of the draft; with a mistake in it the editor opens again."""
    while True:
        _open_editor(draft)
        try:
            return changed(draft.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            problem = "The text isn't UTF-8."
        except PipelineError as error:
            problem = str(error)
        output.say(f"{problem}\nEnter opens the editor again, Ctrl-C leaves everything as it was.")
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
        raise SettingsError(f"The editor ended with {status}: nothing was written.")


def diff_command(number: int | None, *, path: Path | None, as_json: bool) -> int:
    """What has changed since a former version; without a number, since the last one that was different."""
    file = SettingsFile.read(settings_path(path))
    former = file.history.version(number) if number is not None else _last_different(file)
    if former is None:
        output.say(f"{file.path.name} has no former version yet: the first is kept when it is written.")
        return 0
    text = difference(former.text, file.text, file.path.name)
    if as_json:
        output.print_json({"since": _document(former), "diff": text})
    elif text:
        _print_diff(text)
    else:
        output.say(f"{file.path.name} says the same as version {former.number}.")
    return 0


def history_command(*, path: Path | None, as_json: bool) -> int:
    """Lists the versions, newest first."""
    file = SettingsFile.read(settings_path(path))
    versions = file.history.versions()
    if as_json:
        output.print_json({"versions": [_document(version) for version in versions]})
        return 0
    if not versions:
        output.say(f"{file.path.name} has no former version yet: the first is kept when it is written.")
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
        output.say(f"The file was changed {BY_HAND} since: `settings diff` shows what.")
    return 0


def restore_command(number: int, *, is_dry: bool, dagster: str | None, path: Path | None) -> int:
    """Writes a former version, as a new one."""
    file = _read(path, is_dry=is_dry)
    text = file.restore(file.history.version(number))
    return _loaded(write_file(file, text, f"settings restore {number}", is_dry=is_dry), dagster, file.path)


def write_file(file: SettingsFile, text: str, how: str, *, is_dry: bool) -> bool:
    """Shows what changes, and writes it unless this is a dry run. Whether it was written."""
    changes = file.difference(text)
    if not changes:
        output.say("Nothing changes: the settings say so already.")
        return False
    _print_diff(changes)
    if is_dry:
        file.check(text)
        output.say("Nothing was written: this was a dry run.")
        return False
    file.write(text, SystemClock(), how)
    output.say(f"Written to {file.path}.")
    return True


def _loaded(is_written: bool, dagster: str | None, path: Path) -> int:
    """Has a Dagster that is named load what was written; else says what holds only once it has."""
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
