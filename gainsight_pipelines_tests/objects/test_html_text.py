"""HTML to plain text: one line per block element, inline markup removed, in linear time."""

from __future__ import annotations

import random
import re
import time
from html import escape, unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.objects.html_text import BLOCKS, html_text

WORD = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
LINES = st.lists(st.lists(WORD, min_size=1, max_size=4), max_size=4)
INLINE = ["b", "i", "span", "a", "font", "strong", "EM", "o:p", "custom-element"]
ATTRIBUTES = ["", " class=x", ' style="color: rgb(0, 0, 0); a>b"', " title='it\"s > that'", " hidden", '\n id = "a\'b"']


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Met with <b>Ann</b> and <i>Bob</i>.</p>", "Met with Ann and Bob."),
        ("re<b>new</b>al", "renewal"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("one<br>two<BR/>three<hr>four", "one\ntwo\nthree\nfour"),
        ("<div>a<div>b</div>c</div>", "a\nb\nc"),
        ("<ul><li>a<li>b</ul>c", "a\nb\nc"),
        ("<table><tr><th>Name<th>ARR<tr><td>Acme</td><td>12</td></tr></table>", "Name ARR\nAcme 12"),
        ("<p>  a \n\t b&nbsp;&nbsp;c </p>", "a b c"),
        ("R&amp;D &lt;b&gt; &eacute; &#8364; &unknown; AT&T", "R&D <b> é € &unknown; AT&T"),
        ("a < b and 3 <4, x<!>y", "a < b and 3 <4, xy"),
        ("<p title='a > b'>x</p><p title=\"it's > this\">y</p>", "x\ny"),
        ("<p don't>text</p>isn't", "text\nisn't"),
        ("a<!-- <p>b</p> -- > c -->d<!-->e<!--->f", "adef"),
        ("<!--[if mso]><p>x</p><![endif]-->y", "y"),
        ('<style>p > a {}</style>x<script>if (a < b) { c = "<p>"; }</script  >y', "xy"),
        ("<html><head><title>T</title><STYLE>x</STYLE></head><body>a</body></html>", "a"),
        ("a<script>never ends <p>b", "a"),
        ("a<p title='never ends>b</p>", "a"),
        ("a</>b<?php x ?>c</ x>d", "abcd"),
        ("<![CDATA[x]]>y", "y"),
        ("plain\n  text &amp; lines\n\nstay", "plain\ntext & lines\nstay"),
        ("<p> </p><br>", None),
        ("", None),
        (None, None),
    ],
)
def test_text_of_html(html: str | None, text: str | None) -> None:
    assert html_text(html) == text


@given(LINES, st.randoms(use_true_random=False))
def test_each_block_is_a_line(lines: list[list[str]], draw: random.Random) -> None:
    def tag(name: str, content: str) -> str:
        return f"<{name}{draw.choice(ATTRIBUTES)}>{content}</{name}{draw.choice(['', ' '])}>"

    html = ""
    for words in lines:
        shown = [draw.choice([escape(word), tag(draw.choice(INLINE), escape(word))]) for word in words]
        content = draw.choice(["<!-- > -->", ""]) + draw.choice([" ", "\n", "&nbsp;"]).join(shown)
        for _ in range(draw.randint(1, 3)):
            block = draw.choice([name for name in BLOCKS if name not in ("br", "hr")])
            content = tag(draw.choice([block, block.upper()]), content)
        html += content
    assert html_text(html) == ("\n".join(" ".join(words) for words in lines) or None)


@given(st.lists(st.sampled_from([*"<>/!-='\"ab &;#x\n", "<script", "<p", "</p>", "<!--", "-->", "</script>"])))
def test_any_input_gives_text(pieces: list[str]) -> None:
    text = html_text("".join(pieces))
    assert text is None or (text == text.strip() and "\n\n" not in text)


@given(st.lists(st.sampled_from(["&", "amp;", "&amp;", "&lt;", "lt;", "&nbsp;", "x", "&amp", "#38;"])))
def test_references_become_characters_once_however_many_there_are(pieces: list[str]) -> None:
    text = "".join(pieces)
    shown = re.sub(" +", " ", unescape(text).replace("\xa0", " ")).strip()
    assert html_text(text) == (shown or None)


@pytest.mark.parametrize(
    "piece",
    ["<div>", "<b>", "<p>", "<span>", "<i><b>", "<table><td>", "<a href='", "<div a=\"", "<", "<a", "</", "<!--", "<!",
     "<script>", "<style a='", "<p =", "&", "&#", "=", "<title", "<a b='c'"],
)  # fmt: skip
def test_time_is_linear_in_the_length(piece: str) -> None:
    began = time.process_time()
    html_text(piece * 200_000)
    html_text("<p>" + piece * 200_000 + "x")
    assert time.process_time() - began < 5
