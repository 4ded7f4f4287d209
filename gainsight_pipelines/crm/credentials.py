"""Creates the configured CRM with the credentials from the environment. Only this module knows the variables' names.

Importing it is cheap: the vendors' libraries are imported with the first connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.fields import AccountFieldMap, GsidFields
from gainsight_pipelines.crm.protocol import CRMKind, PrimaryCRM
from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.headers import fit_for_header
from gainsight_pipelines.values import is_loopback

if TYPE_CHECKING:
    from gainsight_pipelines.crm.salesforce_session import SalesforceCredentials

SALESFORCE_CHOICES = (
    "SALESFORCE_INSTANCE_URL, SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET (client credentials); or "
    "SALESFORCE_JWT_KEY_FILE, SALESFORCE_CLIENT_ID and SALESFORCE_USERNAME (JWT bearer); or "
    "SALESFORCE_USERNAME, SALESFORCE_PASSWORD and SALESFORCE_SECURITY_TOKEN (legacy)"
)


def crm_from_environment(
    kind: CRMKind,
    environ: Mapping[str, str],
    fields: AccountFieldMap,
    gsid_fields: GsidFields,
    clock: Clock,
    *,
    answer_seconds: float | None = None,
) -> PrimaryCRM:
    """Creates the CRM of that kind with the credentials from the environment. Makes no call yet.

    Args:
        kind: which CRM.
        environ: the environment, including .env and the contents of *_FILE files (`Secrets.environment`).
        fields: account fields to read in place of the usual ones.
        gsid_fields: account fields that may hold a GSID: names, or names → the setting that names each.
        clock: the source of time.
        answer_seconds: read timeout of the CRM; None: long enough to read many accounts.

    Raises:
        SettingsError: names the missing or invalid variables.
    """
    variables = Variables(environ)
    if kind == "salesforce":
        from gainsight_pipelines.crm.salesforce import Salesforce

        authorities = variables.get("SALESFORCE_CA_FILE")
        if authorities is not None:
            _readable("SALESFORCE_CA_FILE", authorities)
        login, *others = _salesforce_credentials(variables)
        if isinstance(login, SettingsError):
            raise login
        return Salesforce(login, fields, gsid_fields, clock, authorities, others=others, answer_seconds=answer_seconds)
    from gainsight_pipelines.crm.hubspot import HubSpot
    from gainsight_pipelines.crm.hubspot_calls import DEFAULT_BASE_URL, HubSpotCredentials

    (token,) = variables.all_of("HUBSPOT_ACCESS_TOKEN")
    credentials = HubSpotCredentials(
        fit_for_header(token, "HUBSPOT_ACCESS_TOKEN"), variables.address("HUBSPOT_BASE_URL") or DEFAULT_BASE_URL
    )
    return HubSpot(credentials, fields, gsid_fields, clock, answer_seconds=answer_seconds)


class Variables:
    """Reads variables. A blank value counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        """The value, stripped; None if it isn't set."""
        value = self._environ.get(name, "").strip()
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise SettingsError(f"{name} holds a line break or another control character.", "Correct it.")
        return value or None

    def all_of(self, *names: str) -> tuple[str, ...]:
        """The values of all these variables.

        Raises:
            SettingsError: names those that aren't set.
        """
        values = {name: self.get(name) for name in names}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise _not_set(missing)
        return tuple(value for value in values.values() if value is not None)

    def address(self, name: str, *, plain_loopback: bool = True) -> str | None:
        """The address in this variable, without path: https, or with `plain_loopback` also http on this machine."""
        value = self.get(name)
        return None if value is None else _origin(name, value, plain_loopback)

    def is_given(self, name: str) -> bool:
        """Whether the variable exists, even if empty."""
        return name in self._environ


def _salesforce_credentials(variables: Variables) -> list[SalesforceCredentials | SettingsError]:
    """All credentials that are set; the first is used. Incomplete ones appear as the error that says what is missing.

    Raises:
        SettingsError: none are set.
    """
    has_key = variables.get("SALESFORCE_JWT_KEY_FILE") is not None
    has_secret = variables.get("SALESFORCE_CLIENT_SECRET") is not None
    has_password = variables.get("SALESFORCE_PASSWORD") is not None
    # The client id and the user name each belong to two kinds: alone, they count for the kind with nothing else set.
    is_client = has_secret or (variables.get("SALESFORCE_CLIENT_ID") is not None and not has_key)
    is_user = has_password or (variables.get("SALESFORCE_USERNAME") is not None and not has_key and not is_client)
    kinds = ((has_key, _jwt_bearer), (is_client, _client_credentials), (is_user, _username_password))
    found: list[SalesforceCredentials | SettingsError] = []
    for is_set, read in kinds:
        if is_set:
            try:
                found.append(read(variables))
            except SettingsError as error:
                found.append(error)
    if not found:
        raise SettingsError("No credentials for Salesforce are set.", f"Set {SALESFORCE_CHOICES}.")
    return found


def _jwt_bearer(variables: Variables) -> SalesforceCredentials:
    from gainsight_pipelines.crm.salesforce_session import DEFAULT_LOGIN_URL, JwtBearer

    key_file, client_id, username = variables.all_of(
        "SALESFORCE_JWT_KEY_FILE", "SALESFORCE_CLIENT_ID", "SALESFORCE_USERNAME"
    )
    login = variables.address("SALESFORCE_LOGIN_URL", plain_loopback=False)
    instance = variables.address("SALESFORCE_INSTANCE_URL", plain_loopback=False)
    key = _readable("SALESFORCE_JWT_KEY_FILE", key_file)
    return JwtBearer(key, client_id, username, login or DEFAULT_LOGIN_URL, instance)


def _client_credentials(variables: Variables) -> SalesforceCredentials:
    from gainsight_pipelines.crm.salesforce_session import ClientCredentials

    address, client_id, secret = variables.all_of(
        "SALESFORCE_INSTANCE_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"
    )
    instance = variables.address("SALESFORCE_INSTANCE_URL", plain_loopback=False)
    client_id = fit_for_header(client_id, "SALESFORCE_CLIENT_ID")
    return ClientCredentials(instance or address, client_id, fit_for_header(secret, "SALESFORCE_CLIENT_SECRET"))


def _username_password(variables: Variables) -> SalesforceCredentials:
    from gainsight_pipelines.crm.salesforce_session import DEFAULT_LOGIN_URL, UsernamePassword

    needed = ["SALESFORCE_USERNAME", "SALESFORCE_PASSWORD"]
    # Within the organisation's trusted networks there is no token: the variable is set, but empty.
    if not variables.is_given("SALESFORCE_SECURITY_TOKEN"):
        needed.append("SALESFORCE_SECURITY_TOKEN")
    username, password, *_ = variables.all_of(*needed)
    token = variables.get("SALESFORCE_SECURITY_TOKEN") or ""
    login = variables.address("SALESFORCE_LOGIN_URL", plain_loopback=False)
    instance = variables.address("SALESFORCE_INSTANCE_URL", plain_loopback=False)
    return UsernamePassword(username, password, token, login or instance or DEFAULT_LOGIN_URL)


def _not_set(names: Iterable[str]) -> SettingsError:
    names = list(names)
    return SettingsError(
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not set.",
        "Set it in the environment or in .env, or name a file that holds it in NAME_FILE."
        if len(names) == 1
        else "Set them in the environment or in .env, or name files that hold them in NAME_FILE.",
    )


def _readable(name: str, file: str) -> Path:
    path = Path(file)
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingsError(
            f"The file {path} named by {name} can't be read: {error.strerror}.",
            "Correct the path or the permissions.",
        ) from None
    return path


def _origin(name: str, value: str, plain_loopback: bool) -> str:
    try:
        parts = urlsplit(value if "://" in value else f"https://{value}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or any(character.isspace() for character in value):
        raise SettingsError(f"{name} is not an address.", "Write it like https://yours.example.com.")
    if parts.username or parts.password:
        raise SettingsError(f"{name} holds a user name or password.", "Write the address without them.")
    if parts.scheme != "https" and not (parts.scheme == "http" and plain_loopback and is_loopback(host)):
        allowed = "https, or http on a loopback address" if plain_loopback else "https"
        raise SettingsError(f"{name} begins with {parts.scheme}://; it must be {allowed}.", "Correct it.")
    if host.endswith(".lightning.force.com"):
        good = host.removesuffix(".lightning.force.com")
        raise SettingsError(f"{name} is the address of a web page.", f"Set it to https://{good}.my.salesforce.com.")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"
