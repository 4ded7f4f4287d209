"""Questions on a terminal: each with a ready answer that Enter takes, checked as soon as it is given.

Questions go to stderr, so that stdout stays free; answers come from the terminal or, line by line, from a pipe.
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
"""The answer that means: there is none."""
SHOWN = 20
"""Names that are listed at once."""

Check = Callable[[str], str]
"""Raises PipelineError for an answer that will not do; else returns what to say about it, or nothing."""


def _no_check(_answer: str) -> str:
    return ""


@dataclass(slots=True)
class Prompter:
    """Asks a person, or takes the ready answers where nobody is there.

    `given` are answers of the command line, by the name of the question.
    """

    is_interactive: bool
    given: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, question: str, ready: str | None, check: Check = _no_check) -> str:
        """A text.

        Args:
            name: of the option that gives the answer (`base-url`).
            question: what to ask.
            ready: the answer that Enter takes; None: there is none.
            check: looks at the answer. One that will not do is asked for again; the same one twice is kept.

        Raises:
            SettingsError: nobody is there to ask, and neither the command line nor the tenant knows the answer.
            PipelineError: nobody is there, and the answer will not do.
        """
        ready = self.given.get(name, ready)
        if not self.is_interactive:
            if ready is None:
                raise SettingsError(f"{question}: that has to be known.", f"Say it with --{name}.")
            _tell(check(ready))
            return ready
        refused: str | None = None
        while True:
            answer = self._line(f"{question}{f' [{ready}]' if ready else ''}: ") or ready
            if not answer:
                output.say("  There is no ready answer to this.")
                continue
            try:
                _tell(check(answer))
                return answer
            except PipelineError as error:
                output.say(f"  ✗ {error}")
                if answer == refused:
                    output.say(f"  Kept all the same: {answer}")
                    return answer
                refused = ready = answer
                output.say("  Another answer, or Enter to keep it all the same.")

    def secret(self, variable: str, ready: str | None, check: Check = _no_check, *, optional: bool = False) -> str:
        """A key or password: never shown, and never taken from the command line.

        Args:
            variable: that holds it.
            ready: the value there is already.
            check: as for `text`.
            optional: whether there may be none: then "-" is an empty one.

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
            answer = self._hidden(f"{variable}{hint}{' [as it is]' if ready else ''}: ") or ready
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
                    output.say("  Kept all the same.")
                    return answer
                refused = ready = answer
                output.say("  Another one, or Enter to keep it all the same.")

    def choice(self, name: str, question: str, choices: Sequence[str], ready: str) -> str:
        """One of a few words."""

        def check(answer: str) -> str:
            if answer not in choices:
                raise SettingsError(f"{answer!r} is none of them.", f"Answer {' or '.join(choices)}.")
            return ""

        while True:
            answer = self.text(name, f"{question} ({' or '.join(choices)})", ready, check)
            if answer in choices:
                return answer

    def yes(self, question: str, *, ready: bool) -> bool:
        """Yes or no."""
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
        """A name out of many, found by a piece of it or of its label.

        Args:
            name: of the option that gives the answer.
            question: what to ask.
            names: pairs of name and label.
            ready: the answer that Enter takes; None: there is none.
            listed_by: the command that lists the names.
            optional: whether "-" may be answered, for None.
        """
        known = dict(names)
        by_key = {one.casefold(): one for one in known}
        given, likely = self.given.get(name), ready
        ready = given if given is not None else ready
        if not self.is_interactive:
            return self._picked_alone(name, question, known, ready, likely, listed_by, optional=optional)
        hint = f"a name, a piece of one to search, ? for all{f', {NONE} for none' if optional else ''}"
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
                output.say(f"  Nothing has {answer!r} in its name or label. {near}".rstrip())
                continue
            if len(found) == 1:
                shown = found[0]
                output.say(f"  One fits: {shown}  {known[shown]}. Enter takes it.")
                continue
            most = len(found) if answer == "?" else SHOWN
            for one in found[:most]:
                output.say(f"  {one}  {known[one]}")
            output.say(f"  {len(found)} fit{', the first are shown' if len(found) > most else ''}: name one.")

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
            raise SettingsError(f"{question}: that has to be known.", f"Say it with --{name}.")
        by_key = {one.casefold(): one for one in labels}
        found = by_key.get(ready.casefold())
        if found is None:
            near = did_you_mean(ready, labels, _by_label(labels)) or (f"Likely is {likely}." if likely else "")
            todo = f"{near} `{PROGRAM} {listed_by}` lists all {len(by_key)}.".strip()
            raise SettingsError(f"--{name}: there is no {ready!r}.", todo)
        return found

    def _line(self, prompt: str, names: Iterable[str] = ()) -> str:
        """A line of the terminal, without blanks around; TAB completes names.

        Raises:
            SettingsError: the input has ended.
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
    """Lets TAB complete names while a line is typed, where this Python can edit lines."""
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
    readline.set_auto_history(False)  # an answer is nobody's history
    try:
        yield
    finally:
        readline.set_completer(before)


def _ended() -> SettingsError:
    return SettingsError("\nThe answers have ended: nothing was written.", "Answer all, or use --non-interactive.")


def _tell(text: str) -> None:
    if text:
        output.say(f"  ✓ {text}")
