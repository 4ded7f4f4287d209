"""The ways to log in to Gainsight, Salesforce and HubSpot: their variables, with labels and hints for forms.

Data only. ``crm.credentials`` and ``gainsight`` read the variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment or of `.env`.

    `hint`: its content, as a sentence; "" if the label says enough. `is_secret`: never shown. `is_optional`: the login
    works without it. `may_be_empty`: it must be set, but may be empty.
    """

    name: str
    label: str
    hint: str = ""
    is_secret: bool = True
    is_optional: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """One way to log in. In use if any of `marks` is set and no login before it is in use."""

    key: str
    title: str
    variables: tuple[Variable, ...]
    marks: tuple[str, ...]


_INSTANCE = Variable("SALESFORCE_INSTANCE_URL", "Instance URL", "Like https://acme.my.salesforce.com.", is_secret=False)
_CLIENT_ID = Variable("SALESFORCE_CLIENT_ID", "Client ID", "The consumer key of the connected app.", is_secret=False)
_USERNAME = Variable("SALESFORCE_USERNAME", "Username", is_secret=False)
_LOGIN_URL = Variable(
    "SALESFORCE_LOGIN_URL",
    "Login URL",
    "https://login.salesforce.com if empty; https://test.salesforce.com for a Salesforce sandbox.",
    is_secret=False,
    is_optional=True,
)

LOGINS: Mapping[str, tuple[Login, ...]] = {
    "gainsight": (
        Login(
            "oauth-client",
            "M2M OAuth client",
            (
                Variable("GAINSIGHT_CLIENT_ID", "Client ID", is_secret=False),
                Variable("GAINSIGHT_CLIENT_SECRET", "Client secret"),
            ),
            ("GAINSIGHT_CLIENT_ID", "GAINSIGHT_CLIENT_SECRET"),
        ),
        Login(
            "api-key",
            "API key",
            (
                Variable(
                    "GAINSIGHT_API_KEY", "API key", "In Gainsight: Administration > Connectors 2.0 > Gainsight API."
                ),
            ),
            ("GAINSIGHT_API_KEY",),
        ),
    ),
    "salesforce": (
        Login(
            "jwt",
            "JWT bearer",
            (
                Variable(
                    "SALESFORCE_JWT_KEY_FILE",
                    "Private key file",
                    "Path of the PEM file on the machine that runs the pulls.",
                    is_secret=False,
                ),
                _CLIENT_ID,
                _USERNAME,
                _LOGIN_URL,
            ),
            ("SALESFORCE_JWT_KEY_FILE",),
        ),
        Login(
            "client-credentials",
            "Client credentials",
            (_INSTANCE, _CLIENT_ID, Variable("SALESFORCE_CLIENT_SECRET", "Client secret")),
            ("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"),
        ),
        Login(
            "password",
            "Username and password",
            (
                _USERNAME,
                Variable("SALESFORCE_PASSWORD", "Password"),
                Variable(
                    "SALESFORCE_SECURITY_TOKEN",
                    "Security token",
                    "Empty within the trusted networks of the organization.",
                    may_be_empty=True,
                ),
                _LOGIN_URL,
            ),
            ("SALESFORCE_USERNAME", "SALESFORCE_PASSWORD"),
        ),
    ),
    "hubspot": (
        Login(
            "token",
            "Private app",
            (Variable("HUBSPOT_ACCESS_TOKEN", "Access token", "Of a private app that can read companies and owners."),),
            ("HUBSPOT_ACCESS_TOKEN",),
        ),
    ),
}
"""By service. If several logins are set, the first is used."""

USUAL = {"gainsight": "api-key", "salesforce": "client-credentials"}
"""The login to offer first if nothing is set, where that isn't the first one."""


def login_in_use(service: str, is_set: Callable[[str], bool]) -> Login | None:
    """The login that the variables select; None if none is set."""
    return next((login for login in LOGINS[service] if any(map(is_set, login.marks))), None)


def usual_login(service: str) -> Login:
    """The login to offer if none is set."""
    usual = USUAL.get(service)
    return next((login for login in LOGINS[service] if login.key == usual), LOGINS[service][0])


def in_the_way(service: str, login: Login) -> tuple[str, ...]:
    """Variables that would select a login of higher precedence than this one."""
    before = LOGINS[service][: LOGINS[service].index(login)]
    own = {variable.name for variable in login.variables}
    return tuple(dict.fromkeys(name for each in before for name in each.marks if name not in own))
