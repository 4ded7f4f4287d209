"""The registry: every `ObjectDefinition`, in display order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainsight_pipelines.objects import activity, company, product_usage, record, survey
from gainsight_pipelines.objects.definition import ObjectDefinition

DEFINITIONS: Mapping[str, ObjectDefinition[Any]] = {
    each.section: each
    for each in (
        company.DEFINITION,
        activity.DEFINITION,
        survey.DEFINITION,
        product_usage.DEFINITION,
        record.DEFINITION,
    )
}
"""By section of the settings."""

TABLES = tuple({each.table.name: each.table for each in DEFINITIONS.values()}.values())
"""The data tables."""

COMPANIES = company.DEFINITION
"""The object that records refer to: matching uses the companies' CRM ids."""
