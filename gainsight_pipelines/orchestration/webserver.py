"""A running Dagster webserver, asked through its GraphQL: start a pull, load the settings anew. No definitions here."""

from typing import Any

import requests

from gainsight_pipelines.errors import PermanentError, PipelineError, TransientError
from gainsight_pipelines.orchestration.instance import LOCATION

ANSWER_SECONDS = 30.0  # a reload starts a process and imports everything

_LAUNCH = """mutation ($location: String!, $job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: $job},
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


class Webserver:
    """One Dagster webserver.

    Args:
        url: its address, without a path of the UI.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def start(self, job: str) -> str:
        """Starts a run of a job.

        Returns:
            The run's id.

        Raises:
            TransientError: the webserver doesn't answer.
            PermanentError: it refuses, and why.
        """
        answer = self._ask(_LAUNCH, job=job)["launchRun"]
        if answer["__typename"] == "LaunchRunSuccess":
            return str(answer["run"]["runId"])
        if answer["__typename"] == "PipelineNotFoundError":
            raise PermanentError(f"Dagster doesn't know {job}.", "Save the settings, so that it loads them anew.")
        raise PermanentError(f"Dagster didn't start {job}: {_reason(answer)}.")

    def reload(self) -> None:
        """Has the code location loaded anew, so that changed settings hold.

        Raises:
            TransientError: the webserver doesn't answer.
            PermanentError: the location can't be loaded, and why.
        """
        answer = self._ask(_RELOAD)["reloadRepositoryLocation"]
        # It says that it was reloaded even where the load has failed: that stands inside.
        inner = answer.get("locationOrLoadError") or answer
        if inner["__typename"] != "RepositoryLocation":
            raise PermanentError(f"Dagster could not load the settings: {_reason(inner)}.", "See its log.")

    def run_page(self, run_id: str) -> str:
        """The address of a run's page."""
        return f"{self.url}/runs/{run_id}"

    def _ask(self, query: str, **variables: str) -> dict[str, Any]:
        body = {"query": query, "variables": {"location": LOCATION, **variables}}
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


def _unusable(url: str) -> PipelineError:
    return PermanentError(f"{url} isn't a Dagster webserver of this version.", "Check the address.")


def _reason(answer: dict[str, Any]) -> str:
    """The first line of what went wrong, and of its cause where one is named; the rest is a traceback."""
    told = [*reversed(answer.get("causes", ())), answer, *answer.get("errors", ())]
    messages = [str(one.get("message") or "") for one in told]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else str(answer["__typename"])
