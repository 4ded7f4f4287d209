"""The source of the docs site: README, docs/, changelog and contributing guide, an API page, and llms.txt.

`make docs` runs it, then Zensical. Links to files outside docs/ lead to the page Files, which quotes them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gainsight_pipelines import _HOMES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "build" / "docs-source"
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages from the root of the project, by their name on the site."""
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]*)(#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and Python-Markdown make it."""
    return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower())


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    without_code = re.sub(r"(?ms)^```.*?^```", "", text)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)}


def pages() -> dict[str, Path]:
    """The written pages, by their name on the site."""
    docs = {path.name: path for path in sorted((ROOT / "docs").glob("*.md"))}
    return {target: ROOT / name for name, target in PAGES.items()} | docs


class Files:
    """The files outside docs/ that pages link to."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()

    def link(self, path: Path) -> str:
        """The link to a file or folder on the page Files."""
        self.paths.add(path)
        return f"files.md#{slug(path.relative_to(ROOT).as_posix())}"

    def page(self) -> str:
        """The page: every file in a block of code, and the files of each folder."""
        parts = ["# Files\n\nFiles of the project that these pages mention.\n"]
        listed = set(self.paths)
        for folder in sorted(path for path in self.paths if path.is_dir()):
            listed |= set(tracked(folder))
            parts.append(f"## {folder.relative_to(ROOT).as_posix()}\n")
            parts.append("\n".join(f"- `{each.relative_to(ROOT).as_posix()}`" for each in tracked(folder)) + "\n")
        parts += [quoted(path) for path in sorted(listed) if path.is_file()]
        return "\n".join(parts)


def quoted(path: Path) -> str:
    """A file with its heading. JSON is for machines, so it isn't quoted."""
    heading = f"## {path.relative_to(ROOT).as_posix()}\n"
    if path.suffix == ".json":
        return f"{heading}\nA file to import.\n"
    return f"{heading}\n````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text('utf-8').rstrip()}\n````\n"


def tracked(folder: Path) -> list[Path]:
    """The files of a folder that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=folder, check=True, capture_output=True, text=True)
    return sorted(folder / name for name in listed.stdout.split("\0") if name)


def with_links(path: Path, text: str, files: Files) -> str:
    """A page's text, with its links changed to those of the site."""
    names = {source: name for name, source in pages().items()}

    def link(match: re.Match[str]) -> str:
        target, anchor = path.parent / match[1], match[2] or ""
        found = Path(*target.resolve().parts)
        if found in names:
            return f"{names[found]}{anchor}"
        if found.is_relative_to(ROOT / "docs"):
            return f"{found.relative_to(ROOT / 'docs').as_posix()}{anchor}"
        return files.link(found)

    return LINK.sub(link, text)


def api_page() -> str:
    """The reference of the public API, which mkdocstrings fills in."""
    names = "\n\n".join(f"::: gainsight_pipelines.orchestration.{home}.{name}" for name, home in _HOMES.items())
    return (
        "# Python API\n\nImport these names from `gainsight_pipelines`. They follow SemVer; everything else in the"
        f" package may change in any version. [Dagster projects](dagster.md) shows how to use them.\n\n{names}\n"
    )


def navigation() -> Iterator[tuple[str, str, str]]:
    """The pages of mkdocs.yml: section, title and file."""
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text("utf-8"))
    entries: list[dict[str, Any]] = yaml.safe_load(text)["nav"]
    for entry in entries:
        ((title, inside),) = entry.items()
        if isinstance(inside, str):
            yield "", title, inside
        else:
            yield from ((title, name, file) for each in inside for name, file in each.items())


def summary(text: str) -> str:
    """The first sentence of a page."""
    body = re.sub(r"(?s)<!--.*?-->|```.*?```", "", text).partition("\n")[2].strip()
    paragraph = " ".join(body.partition("\n\n")[0].split())
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
    return plain.partition(". ")[0].rstrip(".") + "."


def index(texts: dict[str, str]) -> str:
    """llms.txt: the pages by section, each with its first sentence."""
    lines = ["# gainsight_pipelines", "", f"> {summary(texts['index.md'])}"]
    section = None
    for heading, title, file in navigation():
        if heading != section:
            lines += ["", f"## {heading or 'Overview'}", ""]
            section = heading
        lines.append(f"- [{title}]({Path(file).with_suffix('.html')}): {summary(texts[file])}")
    return "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    """Empties a folder and writes the source of the site into it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, folder)
    files = Files()
    texts = {name: with_links(path, path.read_text("utf-8"), files) for name, path in pages().items()}
    texts |= {"api.md": api_page(), "files.md": files.page()}
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "llms.txt").write_text(index(texts), "utf-8")
    everything = "\n\n".join(texts[file] for _, _, file in navigation())
    (folder / "llms-full.txt").write_text(everything, "utf-8")


if __name__ == "__main__":
    write(SOURCE)
    sys.stdout.write(f"{SOURCE.relative_to(ROOT)}: {len(list(navigation()))} pages\n")
