"""Output: texts aren't parsed as markup, fit any width and encoding; no error shows a stack trace."""

from __future__ import annotations

import ast
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from gainsight_pipelines.cli import output
from gainsight_pipelines_tests.cli.terminals import in_terminal

ROOT = Path(__file__).parents[2]
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("GAINSIGHT", "DAGSTER", "COLUMNS"))}
HOSTILE = ["Call [internal]", "Acme [/old]", "[bold]x[/bold]", "[link=https://x]y", ":smile:", "\\[a]", "a\x1b[31mb"]


def imports_of_rich(tree: ast.Module) -> list[ast.AST]:
    """The imports of rich at run time: those for type checking don't count."""
    checked = {id(inner) for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    return [node for node in ast.walk(tree) if id(node) not in checked and names_rich(node)]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def names_rich(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == "rich"
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "rich" for alias in node.names)


def test_one_module_prints_and_it_parses_no_markup() -> None:
    """Only `output` prints texts of tenants, CRMs and files, and its consoles don't parse markup."""
    package = ROOT / "gainsight_pipelines"
    importing = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if imports_of_rich(ast.parse(path.read_text("utf-8")))
    }
    assert importing == {"cli/output.py"}
    tree = ast.parse((package / "cli" / "output.py").read_text("utf-8"))
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    consoles = [node for node in called if isinstance(node.func, ast.Name) and node.func.id == "Console"]
    assert consoles
    for console in consoles:
        given = {word.arg: word.value for word in console.keywords}
        for word in ("markup", "emoji", "highlight"):
            value = given[word]
            assert isinstance(value, ast.Constant) and value.value is False
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"from_markup", "render_markup", "from_ansi"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = text.replace("\x1b", "\\x1b")
    output.print_table(output.table_of(text, [text], [(text,)]), output.styled(text, "red"), text)
    output.print_line(output.joined(text, output.styled(text, "green")))
    output.say(text)
    output.say(output.styled(text, "yellow"))
    out, err = capsys.readouterr()
    assert out.count(shown) == 7
    assert err == f"{shown}\n{shown}\n"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), min_size=1, max_size=30))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    console = Console(file=io.StringIO(), markup=False, emoji=False, highlight=False, width=200)
    console.print(output.table_of("", ["a"], [(f"<{text}>",)]))
    assert f"<{text}>" in console.file.getvalue()  # type: ignore[attr-defined]


IDS = ("1P02" + "A" * 24, "1I00" + "B" * 32)
ROWS = [(IDS[0], "Some company with quite a long name and more of it", "12,345", IDS[1])] * 2


@pytest.mark.parametrize("width", [200, 80, 60, 45])
def test_ids_stay_whole_in_any_width(width: int) -> None:
    console = Console(file=io.StringIO(), markup=False, emoji=False, highlight=False, width=width)
    columns = ("id", "name", "rows", "other")
    console.print(output.table_of("Title", columns, ROWS, right=("rows",), whole=("id", "other"), less=("other",)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(cell_len(line.rstrip()) for line in shown.splitlines()) <= width
    assert shown.count(IDS[0]) == 2
    assert "12,345" in shown
    assert shown.count(IDS[1]) == 2 or "Widen the terminal to see other." in shown


@pytest.mark.parametrize("width", [140, 80])
def test_what_does_not_fit_beside_each_other_stands_below(width: int) -> None:
    rows = [("GsCompanyId", IDS[0], "company_gsid", IDS[0]), ("Id", IDS[1], "id", IDS[1])]
    left, right = (output.table_of("", ("a", "b"), [row[at : at + 2] for row in rows]) for at in (0, 2))
    console = Console(file=io.StringIO(), markup=False, emoji=False, highlight=False, width=width)
    console.print(output.SideBySide(output.table_of("", ("a", "b", "c", "d"), rows), [left, right]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count(IDS[0]) == shown.count(IDS[1]) == 2
    assert ("GsCompanyId" in next(line for line in shown.splitlines() if "company_gsid" in line)) == (width == 140)


def test_piped_output_has_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(output.table_of("Title", ("a", "b"), [("1", "x" * 300), ("2", "")]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title"
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line for line in lines if "x" * 300 in line], "nothing is wrapped"


def run(*arguments: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gainsight_pipelines.cli", *arguments],
        cwd=folder,
        env={**ENV, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gainsight.yaml").write_text((ROOT / "gainsight.example.yaml").read_text("utf-8"), "utf-8")
    return tmp_path


ASCII = {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}


def test_a_terminal_with_ascii_alone_is_enough(folder: Path) -> None:
    done = run("settings", "set", "activity.reporting_categories.Rückruf", "MEETING", folder=folder, **ASCII)
    assert done.returncode == 0, done.stderr
    assert "+    R\\xfcckruf: MEETING" in done.stdout
    assert "Rückruf: MEETING" in (folder / "gainsight.yaml").read_text("utf-8")
    for language in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, ASCII):
        shown = run("validate", folder=folder, **language)
        assert shown.returncode == 1 and "Traceback" not in shown.stderr
        assert "gainsight: " in shown.stdout
        assert run("--help", folder=folder, **language).returncode == 0
        assert run("rnu", folder=folder, **language).returncode == 2


def test_json_is_unicode_as_it_is_or_ascii_where_there_is_no_more(folder: Path) -> None:
    assert run("settings", "set", "activity.reporting_categories.Rückruf", "MEETING", folder=folder).returncode == 0
    assert '"Rückruf": "MEETING"' in run("settings", "show", "activity", folder=folder).stdout
    assert '"R\\u00fcckruf": "MEETING"' in run("settings", "show", "activity", folder=folder, **ASCII).stdout


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gainsight_pipelines.cli", "schema"],
            cwd=folder, env=ENV, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_unexpected_error_names_a_log_file_and_shows_no_stack(folder: Path) -> None:
    """Writing to stdout fails as if the disk were full: an error that no command handles."""
    (folder / ".gainsight_pipelines").mkdir()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gainsight_pipelines.cli", "schema"],
            cwd=folder, env=ENV, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "unexpected error: OSError (No space left on device)." in done.stderr
    (log,) = (folder / ".gainsight_pipelines").glob("error-*.log")
    assert str(log) in done.stderr
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "Traceback" in log.read_text() and "gainsight_pipelines" in log.read_text()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m gainsight_pipelines.cli settings history'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), sys.executable],
        env={**ENV, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "unexpected" in done.stderr and list(tmp_path.glob("error-*.log"))


def test_in_a_terminal_of_80_columns_nothing_is_wider(folder: Path) -> None:
    for arguments in (["--help"], ["run", "--help"], ["settings", "set", "--help"], ["settings", "history"]):
        status, shown = in_terminal(*arguments, folder=folder, env=ENV)
        assert status == 0
        assert max(map(cell_len, shown.splitlines())) <= 80
        assert [line for line in shown.splitlines() if line != line.rstrip()] == []
