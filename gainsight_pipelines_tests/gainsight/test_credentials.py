"""The credentials: an API key, or an M2M OAuth client that is exchanged for tokens."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from gainsight_pipelines.errors import CredentialsRejected, SettingsError, TransientError
from gainsight_pipelines.gainsight.client import GainsightClient
from gainsight_pipelines.gainsight.credentials import AccessKey, OAuthClient, credential_from
from gainsight_pipelines.gainsight.query import Query
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines_tests.gainsight.clocks import RecordingClock
from gainsight_pipelines_tests.gainsight.scripted import Scripted, answer, scripted
from gainsight_pipelines_tests.sandbox_process import RunningSandbox

NAMES = Query(("Name",))
CLIENT = OAuthClient("an-id", "a-secret-of-a-client")
GOOD = {"result": True, "data": {"records": [{"Name": "one"}]}}
UNAUTHORISED = {"result": False, "errorCode": "GS_APIG_2401", "errorDesc": "Unauthorized"}


def token(value: str, expires_in: object = 86_400) -> dict[str, object]:
    return {"access_token": value, "token_type": "Bearer", "expires_in": expires_in}


def ask(server: Scripted, times: int = 1) -> None:
    with GainsightClient(server.url, CLIENT, clock=RecordingClock(), max_tries=1) as client:
        for _ in range(times):
            assert client.query("company", NAMES).records == [{"Name": "one"}]


class MovedClock(RecordingClock):
    """A clock that advances by the seconds it was asked to wait."""

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.sleeps)


def paths(server: Scripted) -> list[str]:
    return [first.split()[1] for first, _, _ in server.requests]


def test_one_token_serves_many_calls():
    with scripted(answer(token("t-1")), answer(GOOD)) as server:
        ask(server, times=3)
    first, headers, body = server.requests[0]
    assert first == "POST /v1/users/m2m/oauth/token HTTP/1.1"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"an-id:a-secret-of-a-client"
    assert body == b"grant_type=client_credentials"
    assert [headers["authorization"] for _, headers, _ in server.requests[1:]] == ["Bearer t-1"] * 3
    assert all("accesskey" not in headers for _, headers, _ in server.requests)


def test_if_the_form_is_refused_an_empty_json_request_is_sent():
    refusal = answer({"result": False, "errorCode": "GSOBJ_1024"}, 400)
    with scripted(refusal, answer({"result": True, "data": token("t-1")}), answer(GOOD)) as server:
        ask(server)
    assert server.requests[1][1]["content-type"] == "application/json" and server.requests[1][2] == b""


@pytest.mark.parametrize(
    ("lifetime", "is_renewed"), [(1000, True), ("1000", True), (3_600, False), (86_400, False), (None, False)]
)
def test_a_token_is_renewed_before_it_expires(lifetime, is_renewed):
    clock = MovedClock()
    answers = [answer(token("t-1", lifetime)), answer(GOOD), answer(token("t-2")), answer(GOOD)]
    with scripted(*answers) as server, GainsightClient(server.url, CLIENT, clock=clock, max_tries=1) as client:
        client.query("company", NAMES)
        clock.sleep(800)
        if is_renewed:
            client.query("company", NAMES)
    assert len(paths(server)) == (4 if is_renewed else 2)


def test_a_refused_token_is_renewed_once():
    answers = [answer(token("t-1")), answer(GOOD), answer(UNAUTHORISED, 401), answer(token("t-2")), answer(GOOD)]
    with scripted(*answers) as server:
        ask(server, times=2)
    assert server.requests[-1][1]["authorization"] == "Bearer t-2"


def test_a_refused_new_token_is_not_renewed_again():
    with (
        scripted(answer(token("t-1")), answer(UNAUTHORISED, 401)) as server,
        pytest.raises(CredentialsRejected, match="M2M OAuth client was rejected"),
    ):
        ask(server)
    assert len(server.requests) == 2


def test_a_refused_oauth_client_is_reported():
    with scripted(answer(UNAUTHORISED, 401)) as server, pytest.raises(CredentialsRejected) as caught:
        ask(server)
    assert "GAINSIGHT_CLIENT_SECRET" in str(caught.value) and "a-secret" not in str(caught.value)
    assert paths(server) == ["/v1/users/m2m/oauth/token"] * 2


def test_an_unavailable_token_service_is_retried():
    with scripted(answer({"result": False, "errorCode": "GU_1101"}, 503)) as server, pytest.raises(TransientError):
        ask(server)
    assert len(server.requests) == 1


def test_each_request_for_a_token_is_counted():
    counted: list[str] = []
    with (
        scripted(answer(token("t-1")), answer(GOOD)) as server,
        GainsightClient(server.url, CLIENT, clock=RecordingClock(), before_call=counted.append) as client,
    ):
        client.query("company", NAMES)
    assert counted == ["token", "query"]


def test_no_part_of_a_secret_is_shown():
    assert "a-secret" not in repr(CLIENT) and "some-key" not in repr(AccessKey("some-key"))


@pytest.fixture
def sandbox(small_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    small_sandbox.reset()
    yield small_sandbox
    small_sandbox.reset()


@pytest.mark.parametrize("request_kind", ["form", "json"])
def test_the_sandbox_accepts_an_oauth_client(sandbox: RunningSandbox, request_kind: str):
    sandbox.switch(token_request=request_kind)
    variables = sandbox.env_of("m2m")
    client = OAuthClient(variables["GAINSIGHT_CLIENT_ID"], variables["GAINSIGHT_CLIENT_SECRET"])
    with GainsightClient(sandbox.urls["gainsight"], client, clock=RecordingClock()) as gainsight:
        before = len(gainsight.list_objects())
        sandbox.switch(now_offset_seconds=90_000)  # a day later the token has expired
        assert len(gainsight.list_objects()) == before > 0


def secrets(folder: Path, **variables: str) -> Secrets:
    return Secrets.read(folder / "gainsight.yaml", variables)


def test_the_oauth_client_wins_over_the_api_key(tmp_path: Path):
    both = {"GAINSIGHT_CLIENT_ID": "i", "GAINSIGHT_CLIENT_SECRET": "s", "GAINSIGHT_API_KEY": "k"}
    assert credential_from(secrets(tmp_path, **both)) == OAuthClient("i", "s")
    assert credential_from(secrets(tmp_path, GAINSIGHT_API_KEY="k")) == AccessKey("k")
    (tmp_path / "secret").write_text("from-a-file\n")
    of_file = {"GAINSIGHT_CLIENT_ID": "i", "GAINSIGHT_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    assert credential_from(secrets(tmp_path, **of_file)) == OAuthClient("i", "from-a-file")


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "GAINSIGHT_API_KEY"),
        ({"GAINSIGHT_CLIENT_ID": "i", "GAINSIGHT_API_KEY": "k"}, "GAINSIGHT_CLIENT_SECRET"),
        ({"GAINSIGHT_CLIENT_SECRET": "s"}, "GAINSIGHT_CLIENT_ID"),
    ],
)
def test_a_missing_variable_is_named(tmp_path: Path, variables: dict[str, str], missing: str):
    with pytest.raises(SettingsError, match=f"{missing} is not"):
        credential_from(secrets(tmp_path, **variables))
