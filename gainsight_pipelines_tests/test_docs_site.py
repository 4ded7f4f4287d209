"""The docs site: no link is broken, every page is in the navigation, and llms.txt names every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gainsight_pipelines import _HOMES
from gainsight_pipelines_tests import docs_site
from gainsight_pipelines_tests.docs_site import ROOT, anchors

LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the site."""
    folder = tmp_path_factory.mktemp("docs") / "source"
    docs_site.write(folder)
    return folder


def broken_links(path: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading."""
    broken = []
    for match in LINK.finditer(re.sub(r"(?ms)^```.*?^```|`[^`\n]+`", "", path.read_text("utf-8"))):
        address = match[1] or match[2]
        if re.match(r"[a-z]+:", address):
            continue
        name, _, anchor = address.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(address)
    return broken


@pytest.mark.parametrize("page", docs_site.pages().values(), ids=lambda path: path.name)
def test_links_in_the_project_lead_to_files_and_headings(page: Path) -> None:
    assert broken_links(page) == []


def test_links_on_the_site_lead_to_files_and_headings(source: Path) -> None:
    assert {path.name: broken for path in source.glob("*.md") if (broken := broken_links(path))} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# One\n\n[a](#one) [b](#two) [c](b.md) [d](https://example.com) `[e](f.md)`\n")
    assert broken_links(page) == ["#two", "b.md"]


def test_every_page_is_in_the_navigation_and_in_llms_txt(source: Path) -> None:
    listed = [file for _, _, file in docs_site.navigation()]
    assert sorted(listed) == sorted(path.name for path in source.glob("*.md"))
    named = re.findall(r"^- \[[^\]]+\]\((\S+)\.html\): \S.*\.$", (source / "llms.txt").read_text(), re.MULTILINE)
    assert [f"{name}.md" for name in named] == listed


def test_the_api_page_has_each_public_name(source: Path) -> None:
    page = (source / "api.md").read_text()
    for name, home in _HOMES.items():
        assert f"::: gainsight_pipelines.orchestration.{home}.{name}\n" in page


def test_the_site_is_not_in_the_repository() -> None:
    assert docs_site.SOURCE.is_relative_to(ROOT / "build")
    assert "build/" in (ROOT / ".gitignore").read_text().splitlines()
