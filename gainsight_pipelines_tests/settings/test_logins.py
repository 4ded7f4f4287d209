"""Which login the variables select, and which variables must be unset to use another one."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pytest

from gainsight_pipelines.clock import SystemClock
from gainsight_pipelines.crm.credentials import crm_from_environment
from gainsight_pipelines.crm.fields import AccountFieldMap
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.settings.logins import LOGINS, in_the_way, login_in_use, usual_login


@pytest.mark.parametrize(
    ("service", "names", "login"),
    [
        ("gainsight", {"GAINSIGHT_API_KEY"}, "api-key"),
        ("gainsight", {"GAINSIGHT_API_KEY", "GAINSIGHT_CLIENT_ID"}, "oauth-client"),
        ("salesforce", {"SALESFORCE_CLIENT_SECRET", "SALESFORCE_JWT_KEY_FILE"}, "jwt"),
        ("salesforce", {"SALESFORCE_CLIENT_ID", "SALESFORCE_PASSWORD"}, "client-credentials"),
        ("salesforce", {"SALESFORCE_USERNAME"}, "password"),
        ("hubspot", {"HUBSPOT_ACCESS_TOKEN"}, "token"),
        ("hubspot", set(), None),
    ],
)
def test_the_login_in_use_is_the_first_that_is_set(service: str, names: AbstractSet[str], login: str | None) -> None:
    found = login_in_use(service, names.__contains__)
    assert (found.key if found else None) == login


def test_another_login_requires_unsetting_those_before_it() -> None:
    password = next(login for login in LOGINS["salesforce"] if login.key == "password")
    assert in_the_way("salesforce", password) == (
        "SALESFORCE_JWT_KEY_FILE",
        "SALESFORCE_CLIENT_ID",
        "SALESFORCE_CLIENT_SECRET",
    )
    assert in_the_way("salesforce", usual_login("salesforce")) == ("SALESFORCE_JWT_KEY_FILE",)
    assert in_the_way("gainsight", usual_login("gainsight")) == ("GAINSIGHT_CLIENT_ID", "GAINSIGHT_CLIENT_SECRET")


@pytest.mark.parametrize("login", LOGINS["salesforce"], ids=lambda login: login.key)
def test_each_login_has_the_variables_that_the_client_reads(login, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """With all its variables the client is created; if a required one is missing, the error names it."""
    key = tmp_path / "key.pem"
    key.write_text("a key")
    values = {variable.name: "https://acme.my.salesforce.com" for variable in login.variables}
    if "SALESFORCE_JWT_KEY_FILE" in values:
        values["SALESFORCE_JWT_KEY_FILE"] = str(key)
    crm_from_environment("salesforce", values, AccountFieldMap(), (), SystemClock()).close()
    for variable in login.variables:
        rest = {name: value for name, value in values.items() if name != variable.name}
        if not variable.is_optional and login_in_use("salesforce", rest.__contains__) is login:
            with pytest.raises(SettingsError, match=variable.name):
                crm_from_environment("salesforce", rest, AccountFieldMap(), (), SystemClock())
