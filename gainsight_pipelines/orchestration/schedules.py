"""The cadences: companies daily, activities every four hours, surveys daily, product usage weekly.

Each run asks for the primary CRM itself before anything else, so that a tick without it pulls nothing.
"""

from collections.abc import Mapping

import dagster as dg

from gainsight_pipelines.orchestration.assets import job_name
from gainsight_pipelines.settings import SchedulesSettings, Settings, section_of

CADENCES: Mapping[str, str] = {
    "company": "5 5 * * *",
    "activity": "20 */4 * * *",
    "surveys": "35 5 * * *",
    "product_usage": "50 5 * * 1",
}
"""Cron by section of the settings, apart from each other within the hour."""


def pull_schedule(settings: Settings, name: str) -> dg.ScheduleDefinition:
    """The schedule of one pull, on by default; its cron and time zone as set, else the documented cadence in UTC.

    A broken `schedules` section leaves the documented cadences: the settings' errors say so, and the pulls go on.
    """
    schedules = SchedulesSettings() if "schedules" in settings.errors else settings.schedules
    section = section_of(name)
    return dg.ScheduleDefinition(
        name=f"{job_name(name)}_schedule",
        job_name=job_name(name),
        cron_schedule=getattr(schedules, section) or CADENCES[section],
        execution_timezone=schedules.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
