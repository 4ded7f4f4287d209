"""`validate`: prints each check of the settings when it is done, and writes the tenant report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gainsight_pipelines import __version__
from gainsight_pipelines.cli import output
from gainsight_pipelines.cli.pickers import catalog_for
from gainsight_pipelines.cli.workspace import open_workspace
from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.discovery.validation import Check, Outcome, passed, validate
from gainsight_pipelines.errors import PermanentError
from gainsight_pipelines.settings import load_settings
from gainsight_pipelines.store.connection import Store

MARKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.PASSED: ("✓", "green"),
    Outcome.WARNING: ("!", "yellow"),
    Outcome.FAILED: ("✗", "red"),
    Outcome.SKIPPED: ("-", "dim"),
}
WITH_DATA = ("notes", "largest_page")
"""Fields of the tenant profile that may hold the tenant's names or record counts."""
REPORT, REPORT_VERSION = "gainsight-tenant-profile", 1
"""Type and version of the report, which the sandbox's tenant_report.py reads."""


def validate_command(*, report: Path | None, path: Path | None, as_json: bool) -> int:
    """Prints the checks. Returns 1 if one failed."""
    catalog = catalog_for(load_settings(path), path)

    @contextmanager
    def store() -> Iterator[Store]:
        with open_workspace(path, is_looking=True) as workspace:
            yield workspace.store

    checks: list[Check] = []
    for check in validate(catalog, store, say=output.say):
        checks.append(check)
        if not as_json:
            _print(check)
    if as_json:
        output.print_json({"passed": passed(checks), "checks": [asdict(check) for check in checks]})
    if report is not None:
        _write_report(report, checks)
    if not as_json:
        failed = sum(check.outcome is Outcome.FAILED for check in checks)
        output.say(f"{failed} of {len(checks)} checks failed." if failed else "All checks passed.")
    return 0 if passed(checks) else 1


def _print(check: Check) -> None:
    output.print_line(output.joined(output.styled(*MARKS[check.outcome]), f" {check.section}: {check.text}"))
    if check.todo:
        output.print_line(f"  → {check.todo}")


def _write_report(file: Path, checks: list[Check]) -> None:
    """Writes the tenant profile, without names of objects or fields, values or addresses.

    Raises:
        PermanentError: the profile is not known, or the file can't be written.
    """
    facts = {(check.section, check.name): check.facts for check in checks if check.outcome is not Outcome.FAILED}
    profile = facts.get(("tenant_profile", "probed"))
    if not profile:
        raise PermanentError("No report was written: the tenant's API behaviour is not known.", "See above.")
    document: dict[str, Any] = {
        "report": REPORT,
        "version": REPORT_VERSION,
        "product": __version__,
        "made_at": SystemClock().now().isoformat(timespec="seconds"),
        "objects": facts["gainsight", "key"]["types"],
        "without_key": facts["gainsight", "address"]["without_key"],
        "profile": {name: value for name, value in profile.items() if name not in WITH_DATA},
    }
    try:
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise PermanentError(f"The report {file} can't be written: {error.strerror}.", "Name another file.") from None
    output.say(f"Wrote the tenant's API behaviour to {file}. `gainsight-pipelines sandbox --like {file}` copies it.")
