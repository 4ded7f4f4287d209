"""Prompts on the terminal, with suggested answers that Enter accepts and checks of each answer.

Prompts go to stderr. Answers come from the terminal or, line by line, from a pipe.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.invocation import PROGRAM
from gainsight_pipelines.errors import PipelineError, SettingsError
from gainsight_pipelines.near_matches import did_you_mean

NONE = "-"
"""The answer for "none"."""
SHOWN = 20
"""Number of names that a search lists."""

Check = Callable[[str], str]
"""Checks an answer: raises PipelineError if it is not valid, else returns a remark on it, or ""."""


def _no_check(_answer: str) -> str:
    return ""


@dataclass(slots=True)
class Prompter:
    """Asks the user, or takes the suggested answers if it is not interactive.

    `given`: answers from the command line, by option name.
    """

    is_interactive: bool
    given: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, question: str, ready: str | None, check: Check = _no_check) -> str:
        """Asks for a text.

        Args:
            name: option that gives the answer (`base-url`).
            question: the prompt.
            ready: suggested answer, or None.
            check: checks the answer. An invalid one is asked for again, and kept if it is given twice.

        Raises:
            SettingsError: not interactive, and there is no answer.
            PipelineError: not interactive, and the answer is not valid.
        """
        ready = self.given.get(name, ready)
        if not self.is_interactive:
            if ready is None:
                raise SettingsError(f"{question}: required.", f"Use --{name}.")
            _tell(check(ready))
            return ready
        refused: str | None = None
        while True:
            answer = self._line(f"{question}{f' [{ready}]' if ready else ''}: ") or ready
            if not answer:
                output.say("  An answer is required.")
                continue
            try:
                _tell(check(answer))
                return answer
            except PipelineError as error:
                output.say(f"  ✗ {error}")
                if answer == refused:
                    output.say(f"  Kept anyway: {answer}")
                    return answer
                refused = ready = answer
                output.say("  Enter another answer, or press Enter to keep it anyway.")

    def secret(self, variable: str, ready: str | None, check: Check = _no_check, *, optional: bool = False) -> str:
        """Asks for a secret: never shown, and never taken from the command line.

        Args:
            variable: environment variable that holds it.
            ready: its current value, or None.
            check: as for `text`.
            optional: whether "-" may be answered, for an empty secret.

        Raises:
            SettingsError, PipelineError: as for `text`.
        """
        if not self.is_interactive:
            if ready is None:
                raise SettingsError(f"{variable} is not set.", "Set it in the environment or in .env, then run again.")
            _tell(check(ready))
            return ready
        refused: str | None = None
        while True:
            hint = f" ({NONE} for none)" if optional else ""
            answer = self._hidden(f"{variable}{hint}{' [unchanged]' if ready else ''}: ") or ready
            if answer == NONE and optional:
                answer = ""
            elif not answer:
                continue
            try:
                _tell(check(answer))
                return answer
            except PipelineError as error:
                output.say(f"  ✗ {error}")
                if answer == refused:
                    output.say("  Kept anyway.")
                    return answer
                refused = ready = answer
                output.say("  Enter another one, or press Enter to keep it anyway.")

    def choice(self, name: str, question: str, choices: Sequence[str], ready: str) -> str:
        """Asks for one of a few words."""

        def check(answer: str) -> str:
            if answer not in choices:
                raise SettingsError(f"{answer!r} is not a choice.", f"Answer {' or '.join(choices)}.")
            return ""

        while True:
            answer = self.text(name, f"{question} ({' or '.join(choices)})", ready, check)
            if answer in choices:
                return answer

    def yes(self, question: str, *, ready: bool) -> bool:
        """Asks for yes or no."""
        if not self.is_interactive:
            return ready
        while True:
            answer = self._line(f"{question} [{'Y/n' if ready else 'y/N'}]: ").casefold()
            if not answer:
                return ready
            if answer in {"y", "yes", "n", "no"}:
                return answer.startswith("y")
            output.say("  Answer y or n.")

    def pick(
        self,
        name: str,
        question: str,
        names: Iterable[tuple[str, str]],
        ready: str | None,
        *,
        listed_by: str,
        optional: bool = True,
    ) -> str | None:
        """Asks for one of many names, which can be searched by part of a name or label.

        Args:
            name: option that gives the answer.
            question: the prompt.
            names: pairs of name and label.
            ready: suggested answer, or None.
            listed_by: the command that lists the names.
            optional: whether "-" may be answered, for None.
        """
        known = dict(names)
        by_key = {one.casefold(): one for one in known}
        given, likely = self.given.get(name), ready
        ready = given if given is not None else ready
        if not self.is_interactive:
            return self._picked_alone(name, question, known, ready, likely, listed_by, optional=optional)
        hint = f"a name or part of one, ? for all{f', {NONE} for none' if optional else ''}"
        shown = ready or (NONE if optional else None)
        while True:
            answer = self._line(f"{question} ({hint}){f' [{shown}]' if shown else ''}: ", known) or shown or ""
            if answer == NONE and optional:
                return None
            if answer.casefold() in by_key:
                return by_key[answer.casefold()]
            found = [one for one in known if answer == "?" or answer.casefold() in f"{one} {known[one]}".casefold()]
            if not found:
                near = did_you_mean(answer, known, _by_label(known))
                output.say(f"  No name or label contains {answer!r}. {near}".rstrip())
                continue
            if len(found) == 1:
                shown = found[0]
                output.say(f"  One match: {shown}  {known[shown]}. Press Enter to accept it.")
                continue
            most = len(found) if answer == "?" else SHOWN
            for one in found[:most]:
                output.say(f"  {one}  {known[one]}")
            output.say(f"  {len(found)} matches{f', {most} shown' if len(found) > most else ''}: enter one of them.")

    def _picked_alone(
        self,
        name: str,
        question: str,
        labels: Mapping[str, str],
        ready: str | None,
        likely: str | None,
        listed_by: str,
        *,
        optional: bool,
    ) -> str | None:
        if ready is None or (ready == NONE and optional):
            if optional:
                return None
            raise SettingsError(f"{question}: required.", f"Use --{name}.")
        by_key = {one.casefold(): one for one in labels}
        found = by_key.get(ready.casefold())
        if found is None:
            near = did_you_mean(ready, labels, _by_label(labels)) or (f"Try {likely}." if likely else "")
            todo = f"{near} `{PROGRAM} {listed_by}` lists all {len(by_key)}.".strip()
            raise SettingsError(f"--{name}: there is no {ready!r}.", todo)
        return found

    def _line(self, prompt: str, names: Iterable[str] = ()) -> str:
        """Reads a line and strips it. TAB completes names.

        Raises:
            SettingsError: end of input.
        """
        prompt = output.clean(prompt)
        if sys.stdin.isatty() and sys.stdout.isatty():
            with _completing(list(names)):
                try:
                    return input(prompt).strip()
                except EOFError:
                    raise _ended() from None
        sys.stderr.write(prompt)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise _ended()
        if not sys.stdin.isatty():
            sys.stderr.write("\n")
        return line.strip()

    def _hidden(self, prompt: str) -> str:
        if not sys.stdin.isatty():
            return self._line(prompt)
        return getpass.getpass(prompt).strip()


def _by_label(labels: Mapping[str, str]) -> dict[str, str]:
    return {label: name for name, label in labels.items()}


@contextmanager
def _completing(names: Sequence[str]) -> Iterator[None]:
    """Makes TAB complete names, if Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return

    def complete(text: str, number: int) -> str | None:
        fitting = [name for name in names if name.casefold().startswith(text.casefold())]
        return fitting[number] if number < len(fitting) else None

    before = readline.get_completer()
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    readline.set_auto_history(False)  # answers do not belong in the history
    try:
        yield
    finally:
        readline.set_completer(before)


def _ended() -> SettingsError:
    return SettingsError("\nEnd of input: nothing was written.", "Answer all questions, or use --non-interactive.")


def _tell(text: str) -> None:
    if text:
        output.say(f"  ✓ {text}")
