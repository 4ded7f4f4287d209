"""Reads a report from `validate --report` and sets the switches that make the sandbox behave like that tenant.

Switches that the report does not mention keep their defaults.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPORT = "gainsight-tenant-profile"
VERSION = 1
IGNORED, REFUSED = "ignored", "refused"


class NoReport(ValueError):
    """The file is not a tenant report."""


def switches_like(path: Path) -> dict[str, Any]:
    """The switches for a report.

    Raises:
        NoReport: the file can't be read, or is not a report of this version.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        is_report = (document["report"], document["version"]) == (REPORT, VERSION)
        profile = document["profile"]
    except (OSError, ValueError, KeyError, TypeError):
        raise NoReport(f"{path} can't be read as a report of `validate --report`") from None
    if not is_report or not isinstance(profile, dict):
        raise NoReport(f"{path} is no report of version {VERSION}")
    refusals = {name: [each["status"], each["code"]] for name, each in profile.get("refusals", {}).items()}
    switches = {
        "empty_dates": bool(profile.get("empty_dates")),
        "case_drift": bool(profile.get("case_drift") or profile.get("missing_keys")),
        "where_ignored": profile.get("where") == IGNORED,
        "order_by_ignored": profile.get("order_by") == IGNORED,
        "offset_ignored": profile.get("offset") == IGNORED,
        "or_refused": profile.get("or_conditions") == REFUSED,
        "parentheses_refused": profile.get("parentheses") == REFUSED,
        "page_cap": profile.get("page_cap"),
        "delete_log": bool(profile.get("delete_log")),
        # The report lacks the zone: any zone other than UTC reproduces the problem.
        "timezone": "America/New_York" if profile.get("dates") == IGNORED else "UTC",
        "refusals": refusals,
    }
    for name, key in (("data_shape", "data_shape"), ("date_format", "date_style"), ("no_data", "no_data")):
        if profile.get(key) not in (None, "unknown"):
            switches[name] = profile[key]
    return switches
