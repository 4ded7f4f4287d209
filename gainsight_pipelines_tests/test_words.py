"""The retired words: what the search finds, what it ignores, and that every exception is needed."""

from __future__ import annotations

import pytest

from gainsight_pipelines_tests import words

WORDS = {"anew": "again", "by itself": "alone", "log-in": "login", "what came of": "the result"}


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("a.py", '"""Reads it Anew."""\n', 1),
        ("a.py", "x = 1\n# the keeper goes on by\n# itself\n", 2),
        ("a.py", 'raise ValueError(f"{what}: no log-in")\n', 1),
        ("a.py", "def test_what_came_of_it():\n    pass\n", 1),
        ("a.md", "One.\n\n| It runs **anew** |\n", 3),
        ("a.yaml", "key: value  # read anew\n", 1),
        ("Makefile", "target: ## locks anew\n", 1),
    ],
)
def test_a_retired_word_is_found_where_people_read_it(file: str, text: str, line: int) -> None:
    (found,) = words.search(file, text, WORDS)
    assert (found.file, found.line, found.instead) == (file, line, WORDS[found.word])
    assert str(found) == f"{file}:{line}: '{found.word}' is retired, write: {found.instead}"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.py", "anew = {'anew': anew.anew}\n"),
        ("a.py", "def read_anew():\n    pass\n"),
        ("a.py", '"""A tanew is renewed; a blog-in; log-in-name."""\n'),
        ("a.md", "`anew`\n\n```\nanew\n```\n\n[here](anew.md)\n"),
        ("a.yaml", "anew: by itself\n"),
        ("a.md", "What stands by\n\nitself is left alone.\n"),
    ],
)
def test_code_data_and_longer_words_are_left_alone(file: str, text: str) -> None:
    assert list(words.search(file, text, WORDS)) == []


def test_the_glossary_says_what_to_write_for_each() -> None:
    listed = words.retired((words.ROOT / words.GLOSSARY).read_text("utf-8"))
    assert listed["time-outs"] == listed["time-out"] == "timeout"
    assert len(listed) > 40
    assert all(word == word.lower() and instead for word, instead in listed.items())


def test_the_project_is_clean_and_each_exception_is_needed() -> None:
    assert words.all_found() == []
    found = words.all_found(allowed=[])
    for (file, word), why in words.ALLOWED.items():
        assert why
        assert any(each.file == file and word in ("*", each.word) for each in found), (file, word)
