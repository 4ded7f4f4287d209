"""The pulls that the settings configure: one per object."""

from __future__ import annotations

from gainsight_pipelines.errors import NotEnabled, SettingsError
from gainsight_pipelines.objects.pull import ObjectPull
from gainsight_pipelines.objects.registry import DEFINITIONS
from gainsight_pipelines.settings.loading import Settings


def configured_pulls(settings: Settings) -> dict[str, ObjectPull | SettingsError]:
    """Each enabled pull by name; if its section is invalid, the error in its place, so that other pulls go on."""
    found: dict[str, ObjectPull | SettingsError] = {}
    for name in settings.object_names():
        error = settings.errors.get(settings.section_of(name))
        found[name] = error if error is not None else find_pull(settings, name)
    return found


def find_pull(settings: Settings, name: str) -> ObjectPull:
    """The pull of that name.

    Raises:
        SettingsError: its section is invalid.
        NotEnabled: the settings have no such object.
    """
    if name in settings.object_names():
        definition = DEFINITIONS[settings.section_of(name)]
        found = next((pull for pull in definition.pulls(settings.of(definition.model)) if pull.name == name), None)
        if found is not None:
            return found
    raise NotEnabled(
        f"There is no configured object {name!r}.",
        f"The settings have: {', '.join(settings.object_names()) or 'none'}.",
    )
