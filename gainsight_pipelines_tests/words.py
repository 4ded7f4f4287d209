"""Finds retired words in prose: docs, docstrings, comments, messages, test names. `make check` runs it.

The list is the last table of docs/glossary.md. The search ignores code, other identifiers and data.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLOSSARY = "docs/glossary.md"

PROSE = {".py", ".md", ".yaml", ".yml", ".toml", ".cfg", ".example", ".sh", ""}
"""Suffixes of the files that contain prose. Files without a suffix: Makefile, Dockerfile."""

ALLOWED: dict[tuple[str, str], str] = {
    (GLOSSARY, "*"): "lists the words",
    ("gainsight_pipelines_tests/test_words.py", "*"): "tests them",
    ("gainsight_pipelines/sandbox/gainsight.py", "lie in"): "a response of Gainsight's",
    ("gainsight_pipelines_tests/gainsight/test_client.py", "lie in"): "the same",
    ("gainsight_pipelines_tests/words.py", "lie in"): "the exceptions themselves",
    ("gainsight_pipelines/sandbox/gainsight.py", "time-out"): "the text of status 504 in the gateway's page",
    ("gainsight_pipelines/sandbox/words.py", "log-ins"): "made-up notes of customers",
}
"""Exceptions: (file, word) and the reason why the word is allowed there."""

BREAK = r"(?:[ \t_*]+|[ \t]*\n[ \t#*>]*)"
"""What may separate two words of a phrase; an empty line may not."""


@dataclass(frozen=True)
class Found:
    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.word}' is retired, write: {self.instead}"


def retired(glossary: str) -> dict[str, str]:
    """The retired words in lower case, each with what to write instead."""
    table = glossary.partition("\n## Retired words\n")[2]
    rows = re.findall(r"^\| (?!retired|---)(.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {word: instead for words, instead in rows for word in words.split(", ")}


def pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Matches whole words. A phrase may be split by a new line, a comment sign or, in a test's name, underscores."""
    phrases = (BREAK.join(map(re.escape, word.split())) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![a-z0-9-])(?:{'|'.join(phrases)})(?![a-z0-9]|-[a-z])", re.IGNORECASE)


def prose(file: str, text: str) -> Iterator[tuple[int, str]]:
    """The passages of a file that people read, each with the number of its first line."""
    if file.endswith(".md"):
        without_code = re.sub(r"(?ms)^```.*?^```", lambda block: "\n" * block[0].count("\n"), text)
        yield 1, re.sub(r"`[^`\n]+`|\]\([^)]*\)", "", without_code)
    elif file.endswith(".py"):
        yield from _python(text)
    else:
        yield from ((number, line.partition("#")[2]) for number, line in enumerate(text.splitlines(), 1) if "#" in line)


def _python(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name
    comments: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            if comments and line == comments[-1][0] + comments[-1][1].count("\n") + 1:
                comments[-1] = (comments[-1][0], f"{comments[-1][1]}\n{token.string}")
            else:
                comments.append((line, token.string))
    yield from comments


def search(file: str, text: str, words: dict[str, str]) -> Iterator[Found]:
    """The retired words in the prose of one file."""
    regex = pattern(words)
    if not regex.search(text):
        return
    for first, passage in prose(file, text):
        for hit in regex.finditer(passage):
            word = " ".join(re.split(r"[\s#_*]+", hit[0])).lower()
            yield Found(file, first + passage.count("\n", 0, hit.start()), word, words[word])


def tracked() -> list[str]:
    """The files that git tracks, and new ones that it doesn't ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(file for file in files if file and Path(file).suffix in PROSE and (ROOT / file).is_file())


def all_found(allowed: Collection[tuple[str, str]] = ALLOWED) -> list[Found]:
    """The retired words in the project, except where they are allowed."""
    words = retired((ROOT / GLOSSARY).read_text("utf-8"))
    return [
        found
        for file in tracked()
        for found in search(file, (ROOT / file).read_text("utf-8"), words)
        if not {(file, found.word), (file, "*")} & set(allowed)
    ]


if __name__ == "__main__":
    everything = all_found()
    sys.stdout.writelines(f"{found}\n" for found in everything)
    sys.exit(bool(everything))
