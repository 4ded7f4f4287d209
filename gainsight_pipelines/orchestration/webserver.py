"""A client for a running Dagster webserver's GraphQL API: starts pulls, reloads settings. No definitions here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError
from gainsight_pipelines.orchestration.identity import PULL_TAG
from gainsight_pipelines.orchestration.instance import LOCATION
from gainsight_pipelines.orchestration.tenant import DIGEST, SETTINGS, TENANT, settings_digest
from gainsight_pipelines.settings import Settings

ANSWER_SECONDS = 30.0  # a reload starts a process and imports everything

_FIND = """query {
  workspaceOrError { ... on Workspace { locationEntries { name } } ... on PythonError { message } }
  repositoriesOrError {
    ... on RepositoryConnection { nodes {
      name
      location { name }
      sensors { metadataEntries { label ... on TextMetadataEntry { text } } }
      jobs { name tags { key value } metadataEntries { label ... on TextMetadataEntry { text } } }
    } }
    ... on PythonError { message }
  }
}"""

_LAUNCH = """mutation ($location: String!, $repository: String!, $job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: $repository, jobName: $job},
    mode: "default", runConfigData: {}
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""

_RELOAD = """mutation ($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message causes { message } } }
    }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}"""


@dataclass(frozen=True, slots=True)
class Home:
    """A code location that has the definitions of some settings.

    Attributes:
        location: the code location's name.
        repository: the name of its repository.
        settings: the path of the settings file that they were loaded from.
        digest: of the settings' content then; None: none of our definitions were loaded.
        jobs: the job of each pull.
    """

    location: str
    repository: str = "__repository__"
    settings: str | None = None
    digest: str | None = None
    jobs: Mapping[str, str] | None = None


class Webserver:
    """One Dagster webserver. It may have several code locations, ours and others.

    Args:
        url: its address, without a path of the UI.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def start(self, name: str, settings: Settings) -> str:
        """Starts a run of a pull of these settings.

        Returns:
            The run's id.

        Raises:
            TransientError: the webserver doesn't respond.
            PermanentError: it refuses; says why.
        """
        home = self._home(settings)
        job = (home.jobs or {}).get(name)
        if job is None:
            raise PermanentError(
                f"Dagster's code location {home.location} has no pull `{name}`.",
                "Save the settings, so that it reloads them.",
            )
        answer = self._ask(_LAUNCH, location=home.location, repository=home.repository, job=job)["launchRun"]
        if answer["__typename"] == "LaunchRunSuccess":
            return str(answer["run"]["runId"])
        raise PermanentError(f"Dagster didn't start {job}: {_reason(answer)}.")

    def reload(self, settings: Settings) -> None:
        """Reloads the code location of these settings, and checks that it has them.

        Raises:
            TransientError: the webserver doesn't respond.
            PermanentError: the location can't be loaded, or has loaded other settings; says why.
        """
        home = self._home(settings)
        answer = self._ask(_RELOAD, location=home.location)["reloadRepositoryLocation"]
        # It reports success even if the load failed; the error is inside.
        inner = answer.get("locationOrLoadError") or answer
        if inner["__typename"] != "RepositoryLocation":
            raise PermanentError(f"Dagster could not load the settings: {_reason(inner)}.", "See its log.")
        loaded = self._home(settings)
        if loaded.settings not in (None, str(settings.path)):
            raise PermanentError(
                f"The code location {loaded.location} uses other settings: {loaded.settings}.",
                "Change those, or have the location load this file.",
            )
        if loaded.digest != settings_digest(settings):
            raise PermanentError(
                f"The settings are written, but Dagster's code location {loaded.location} still has the former ones:"
                " its code server (like `dagster api grpc`) doesn't reload them on request.",
                "Restart that code server. Runs that start from now on read the new settings anyway.",
            )

    def _home(self, settings: Settings) -> Home:
        """The code location with the definitions of these settings.

        Raises:
            PermanentError: none has them, or more than one.
        """
        answer = self._ask(_FIND)
        homes = list(_homes(answer["repositoriesOrError"].get("nodes", ())))
        own = [home for home in homes if home.settings == str(settings.path)] or homes
        if len(own) == 1:
            return own[0]
        entries = [entry["name"] for entry in answer["workspaceOrError"].get("locationEntries", ())]
        if not own and LOCATION in entries:
            return Home(LOCATION)  # it failed to load; it can once the settings are corrected
        if not own:
            raise PermanentError(
                f"No code location of {self.url} has these settings. It has: {', '.join(entries) or 'none'}.",
                "Add `gainsight_pipelines.definitions`, or a GainsightComponent, to one of them.",
            )
        raise PermanentError(
            f"Several code locations of {self.url} match ({', '.join(home.location for home in own)}), and none has"
            f" loaded {settings.path}.",
            "Reload the right one in the Dagster UI.",
        )

    def run_page(self, run_id: str) -> str:
        """The URL of a run's page."""
        return f"{self.url}/runs/{run_id}"

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        try:
            response = requests.post(f"{self.url}/graphql", json=body, timeout=ANSWER_SECONDS)
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            what = "doesn't answer" if isinstance(error, requests.ConnectionError) else "gives no usable answer"
            raise TransientError(
                f"The Dagster webserver at {self.url} {what}.", "Is `gainsight-pipelines dev` running?"
            ) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
            raise _unusable(self.url)
        return dict(answer["data"])


def _homes(repositories: Any) -> Iterator[Home]:
    """Each tenant on the webserver, found by its gate sensor."""
    for repository in repositories:
        for sensor in repository["sensors"]:
            told = _metadata(sensor)
            if SETTINGS in told:
                jobs = {
                    tag["value"]: job["name"]
                    for job in repository["jobs"]
                    if _metadata(job).get(TENANT) == told[TENANT]
                    for tag in job["tags"]
                    if tag["key"] == PULL_TAG
                }
                location, name = repository["location"]["name"], repository["name"]
                yield Home(location, name, told[SETTINGS], told.get(DIGEST), jobs)


def _metadata(definition: Any) -> dict[str, str]:
    return {entry["label"]: entry["text"] for entry in definition["metadataEntries"] if "text" in entry}


def _unusable(url: str) -> PipelineError:
    return PermanentError(f"{url} isn't a Dagster webserver of this version.", "Check the address.")


def _reason(answer: dict[str, Any]) -> str:
    """The first line of the error, and of its cause if one is named; the rest is a traceback."""
    told = [*reversed(answer.get("causes", ())), answer, *answer.get("errors", ())]
    messages = [str(one.get("message") or "") for one in told]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else str(answer["__typename"])
