"""The pulls that the settings ask for: one per configured object, each with its cadence."""

from __future__ import annotations

from collections.abc import Iterator

from gainsight_pipelines.errors import NotEnabled, SettingsError
from gainsight_pipelines.objects.activity import ActivityPull
from gainsight_pipelines.objects.company import CompanyPull
from gainsight_pipelines.objects.product_usage import ProductUsagePull
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.objects.survey import SurveyPull
from gainsight_pipelines.settings import Settings, section_of, survey_name


def configured_pulls(settings: Settings) -> dict[str, ObjectPull | SettingsError]:
    """Each enabled pull by its name; the error in its place where its section is broken, so that the others go on."""
    found: dict[str, ObjectPull | SettingsError] = {}
    for name in settings.object_names():
        error = settings.errors.get(section_of(name))
        found[name] = error if error is not None else find_pull(settings, name)
    return found


def find_pull(settings: Settings, name: str) -> ObjectPull:
    """The pull of that name.

    Raises:
        SettingsError: its section is broken.
        NotEnabled: the settings have no such object.
    """
    found = next((pull for pull in _pulls(settings, section_of(name)) if pull.name == name), None)
    if found is None or name not in settings.object_names():
        raise NotEnabled(
            f"There is no configured object {name!r}.",
            f"The settings have: {', '.join(settings.object_names()) or 'none'}.",
        )
    return found


def _pulls(settings: Settings, section: str) -> Iterator[ObjectPull]:
    if section == "company" and (company := settings.company) is not None:
        yield CompanyPull(company)
    elif section == "activity" and (activity := settings.activity) is not None:
        yield ActivityPull(activity)
    elif section == "surveys" and (surveys := settings.surveys) is not None:
        for row in surveys.objects:
            yield SurveyPull(surveys, row, survey_name(row.object))
    elif section == "product_usage" and (usage := settings.product_usage) is not None:
        yield ProductUsagePull(usage)
