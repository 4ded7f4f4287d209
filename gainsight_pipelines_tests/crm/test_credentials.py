from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gainsight_pipelines.crm.credentials import Variables, crm_from_environment
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.crm.hubspot import HubSpot
from gainsight_pipelines.crm.hubspot_calls import HubSpotCredentials
from gainsight_pipelines.crm.salesforce import Salesforce
from gainsight_pipelines.crm.salesforce_session import ClientCredentials, JwtBearer, UsernamePassword
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.credentials import AccessKey
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines_tests.crm.conftest import TestClock

CLIENT = {
    "SALESFORCE_INSTANCE_URL": "https://acme.my.salesforce.com/",
    "SALESFORCE_CLIENT_ID": "client",
    "SALESFORCE_CLIENT_SECRET": "secret",
}
LEGACY = {"SALESFORCE_USERNAME": "ada@acme.com", "SALESFORCE_PASSWORD": "pass", "SALESFORCE_SECURITY_TOKEN": "token"}
HOST = "https://acme.my.salesforce.com"


def credentials(kind: Any, environ: Mapping[str, str]) -> Any:
    crm = crm_from_environment(kind, environ, AccountFieldMap(), ["Gainsight_GSID__c"], TestClock())
    crm.close()
    assert crm.calls == 0
    if isinstance(crm, HubSpot):
        return crm._calls._credentials
    assert isinstance(crm, Salesforce)
    return crm._session.credentials


def refusal(kind: Any, environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        credentials(kind, environ)
    assert "s3cr3t" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (CLIENT, ClientCredentials(HOST, "client", "secret")),
        (CLIENT | LEGACY, ClientCredentials(HOST, "client", "secret")),
        (LEGACY, UsernamePassword("ada@acme.com", "pass", "token", "https://login.salesforce.com")),
        (LEGACY | {"SALESFORCE_SECURITY_TOKEN": ""}, UsernamePassword("ada@acme.com", "pass", "")),
        (
            LEGACY | {"SALESFORCE_LOGIN_URL": "https://test.salesforce.com"},
            UsernamePassword("ada@acme.com", "pass", "token", "https://test.salesforce.com"),
        ),
        (LEGACY | {"SALESFORCE_INSTANCE_URL": HOST}, UsernamePassword("ada@acme.com", "pass", "token", HOST)),
    ],
)
def test_salesforce(environ: Mapping[str, str], expected: object) -> None:
    assert credentials("salesforce", environ) == expected


def test_salesforce_jwt(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----")
    environ = {"SALESFORCE_JWT_KEY_FILE": str(key), "SALESFORCE_CLIENT_ID": "c", "SALESFORCE_USERNAME": "ada@acme.com"}
    assert credentials("salesforce", environ) == JwtBearer(key, "c", "ada@acme.com")
    environ |= {"SALESFORCE_LOGIN_URL": "test.salesforce.com", "SALESFORCE_INSTANCE_URL": f"{HOST}/path"}
    assert credentials("salesforce", environ) == JwtBearer(
        key, "c", "ada@acme.com", "https://test.salesforce.com", HOST
    )
    key.unlink()
    assert "SALESFORCE_JWT_KEY_FILE" in refusal("salesforce", environ)


def test_hubspot() -> None:
    token = {"HUBSPOT_ACCESS_TOKEN": " pat \n"}
    assert credentials("hubspot", token) == HubSpotCredentials("pat", "https://api.hubapi.com")
    local = token | {"HUBSPOT_BASE_URL": "http://127.0.0.1:8000/"}
    assert credentials("hubspot", local) == HubSpotCredentials("pat", "http://127.0.0.1:8000")


def test_secrets_from_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("pat\n")
    environ = Secrets.read(tmp_path / "gainsight.yaml", {"HUBSPOT_ACCESS_TOKEN_FILE": str(file)}).environment()
    assert credentials("hubspot", environ) == HubSpotCredentials("pat")
    file.unlink()
    assert "HUBSPOT_ACCESS_TOKEN_FILE" in refusal("hubspot", environ)


@pytest.mark.parametrize(
    ("kind", "environ", "text"),
    [
        ("hubspot", {}, "HUBSPOT_ACCESS_TOKEN is not set."),
        ("hubspot", {"HUBSPOT_ACCESS_TOKEN": " "}, "HUBSPOT_ACCESS_TOKEN is not set."),
        ("hubspot", {"HUBSPOT_ACCESS_TOKEN": "s3cr3t\nx"}, "line break"),
        ("hubspot", {"HUBSPOT_ACCESS_TOKEN": "t", "HUBSPOT_BASE_URL": "http://hub.example"}, "must be https"),
        ("hubspot", {"HUBSPOT_ACCESS_TOKEN": "t", "HUBSPOT_BASE_URL": "ftp://127.0.0.1"}, "must be https"),
        ("salesforce", {}, "No credentials for Salesforce are set. Set SALESFORCE_INSTANCE_URL"),
        (
            "salesforce",
            {"SALESFORCE_CLIENT_ID": "c"},
            "SALESFORCE_INSTANCE_URL, SALESFORCE_CLIENT_SECRET are not set.",
        ),
        ("salesforce", CLIENT | {"SALESFORCE_CLIENT_SECRET": ""}, "SALESFORCE_CLIENT_SECRET is not set."),
        ("salesforce", {"SALESFORCE_USERNAME": "a"}, "SALESFORCE_PASSWORD, SALESFORCE_SECURITY_TOKEN are not set."),
        ("salesforce", {"SALESFORCE_JWT_KEY_FILE": "k"}, "SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME are not set."),
        ("salesforce", CLIENT | {"SALESFORCE_INSTANCE_URL": "http://127.0.0.1"}, "it must be https."),
        ("salesforce", CLIENT | {"SALESFORCE_INSTANCE_URL": "https://u:s3cr3t@x.com"}, "user name or password"),
        ("salesforce", CLIENT | {"SALESFORCE_INSTANCE_URL": "https://"}, "is not an address"),
        ("salesforce", CLIENT | {"SALESFORCE_INSTANCE_URL": "https://x:port"}, "is not an address"),
        (
            "salesforce",
            CLIENT | {"SALESFORCE_INSTANCE_URL": "https://acme.lightning.force.com/lightning/page/home"},
            "https://acme.my.salesforce.com",
        ),
    ],
)
def test_missing_and_wrong_variables_are_named(kind: str, environ: Mapping[str, str], text: str) -> None:
    assert text in refusal(kind, environ)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "crm.localhost"])
def test_http_is_allowed_on_this_machine(host: str) -> None:
    assert Variables({"A": f"http://{host}/x"}).address("A") == f"http://{host}"


def test_importing_loads_no_vendor_library() -> None:
    heavy = "('requests', 'simple_salesforce', 'hubspot', 'urllib3', 'jwt')"
    code = f"import sys, gainsight_pipelines.crm.credentials; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("pat\u2013na1-s3cr3t", "en dash (U+2013) as character 4 of 14"),
        ("\u201cpat-s3cr3t\u201d", "left double quotation mark (U+201C) as character 1 of 12"),
        ("pat-s3cr3t\u200b", "zero width space (U+200B) as character 11 of 11"),
        ("pat s3cr3t", "space (U+0020) as character 4 of 10"),
        ('"pat-s3cr3t"', "quotes around it"),
    ],
)
def test_an_unusable_character_in_a_secret_is_reported_with_its_variable(token: str, found: str) -> None:
    """Otherwise the character would cause a UnicodeEncodeError or a rejected login."""
    text = refusal("hubspot", {"HUBSPOT_ACCESS_TOKEN": token})
    assert text.startswith(f"HUBSPOT_ACCESS_TOKEN holds {found}, which no key or token has.")
    text = refusal("salesforce", CLIENT | {"SALESFORCE_CLIENT_SECRET": token})
    assert text.startswith(f"SALESFORCE_CLIENT_SECRET holds {found},")
    with pytest.raises(SettingsError) as caught:
        AccessKey(token)
    assert str(caught.value).startswith(f"GAINSIGHT_API_KEY holds {found},")
    assert "s3cr3t" not in str(caught.value)
