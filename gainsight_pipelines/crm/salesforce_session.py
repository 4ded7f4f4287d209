"""Login to Salesforce: three kinds of credentials, the HTTP session with its timeouts, the token.

Requests over the session are made in salesforce.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.failures import Peer, http_date, login_refused, salesforce_code
from gainsight_pipelines.errors import GateClosed, SettingsError
from gainsight_pipelines.text import may_need_cleaning

DEFAULT_LOGIN_URL = "https://login.salesforce.com"
API_VERSION = "59.0"
"""Pinned: SOAP login ends with version 64.0, and a new version may show other fields."""
JWT_LIFE = timedelta(minutes=3)
"""Salesforce accepts no longer lifetime."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2.0 client credentials flow; `instance_url` is the My Domain address."""

    words: ClassVar[str] = "client credentials"
    names: ClassVar[str] = "SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET"

    instance_url: str
    client_id: str
    client_secret: str = field(repr=False)

    @property
    def login_address(self) -> str:
        """The address of the login."""
        return self.instance_url


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """OAuth 2.0 JWT bearer flow with the private key (PEM) of the connected app's certificate.

    `login_url` is the audience; the token is requested at `instance_url` if given, otherwise at `login_url`.
    """

    words: ClassVar[str] = "the JWT key"
    names: ClassVar[str] = "SALESFORCE_JWT_KEY_FILE, SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME"

    key_file: Path
    client_id: str
    username: str
    login_url: str = DEFAULT_LOGIN_URL
    instance_url: str | None = None

    @property
    def login_address(self) -> str:
        """The address of the login."""
        return self.instance_url or self.login_url


@dataclass(frozen=True, slots=True)
class UsernamePassword:
    """SOAP login with password and security token ("" within the organisation's trusted networks).

    Legacy: Salesforce ends SOAP login() with the Summer '27 release, and it is switched off in new organisations
    (https://help.salesforce.com/s/articleView?id=005132110).
    `login_url` may be login.salesforce.com, test.salesforce.com or the My Domain address.
    """

    words: ClassVar[str] = "user name and password"
    names: ClassVar[str] = "SALESFORCE_USERNAME, SALESFORCE_PASSWORD, SALESFORCE_SECURITY_TOKEN"

    username: str
    password: str = field(repr=False)
    security_token: str = field(repr=False)
    login_url: str = DEFAULT_LOGIN_URL

    @property
    def login_address(self) -> str:
        """The address of the login."""
        return self.login_url


SalesforceCredentials = ClientCredentials | JwtBearer | UsernamePassword


class SalesforceSession(requests.Session):
    """A requests session that logs in; every request has timeouts, follows no redirect, and is counted.

    `timeouts` (connect and read, in seconds) may be changed at any time. `answered_at`: the server's time of its last
    response, None if it didn't say. `is_clean`: whether that response can be stored unchanged.
    """

    def __init__(
        self,
        credentials: SalesforceCredentials,
        clock: Clock,
        timeouts: tuple[float, float],
        authorities: str | None = None,
    ) -> None:
        super().__init__()
        self._authorities = authorities
        self.credentials = credentials
        self.timeouts = timeouts
        self.calls = 0
        self.answered_at: datetime | None = None
        self.is_clean = True
        self.peer = Peer("salesforce", urlsplit(credentials.login_address).netloc, credentials.names)
        self._clock = clock
        # Otherwise requests would replace the token with a login for this host from ~/.netrc.
        self.auth = _as_it_is

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Adds timeouts, and follows no redirect: its target would receive the token."""
        kwargs.setdefault("timeout", self.timeouts)
        kwargs["allow_redirects"] = False
        if self._authorities is not None:
            kwargs["verify"] = self._authorities  # REQUESTS_CA_BUNDLE would override the session's own
        self.calls += 1
        response = super().request(*args, **kwargs)
        self.answered_at = http_date(response.headers.get("Date"))
        self.is_clean = not may_need_cleaning(response.content)
        return response

    def log_in(self) -> Any:
        """Returns a new simple_salesforce.Salesforce with a fresh token.

        Raises:
            CredentialsRejected: the login was refused. The libraries' errors are left to `failures.border`.
        """
        from simple_salesforce.api import Salesforce as Client

        match self.credentials:
            case ClientCredentials(client_id=client_id, client_secret=secret):
                form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
                token, address = self._token(form)
            case JwtBearer() as credentials:
                assertion = _signed(credentials, self._clock.now() + JWT_LIFE)
                form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
                token, address = self._token(form)
            case UsernamePassword() as credentials:
                token, address = self._soap_token(credentials)
        if urlsplit(address).scheme != "https":
            raise GateClosed(f"{self.peer} names an instance without https.", "Check SALESFORCE_INSTANCE_URL.")
        return Client(instance_url=address, session_id=token, version=API_VERSION, session=self, parse_float=Decimal)

    def _token(self, form: Mapping[str, str]) -> tuple[str, str]:
        """Requests the token and the instance's address from the token endpoint.

        simple-salesforce's own token login only builds addresses under salesforce.com.
        """
        address = self.credentials.login_address
        answer = self.post(f"{address}/services/oauth2/token", data=form, headers={"Accept": "application/json"})
        try:
            body = answer.json()
        except ValueError:
            body = None
        body = body if isinstance(body, dict) else {}
        if answer.status_code != 200:
            description = str(body.get("error_description") or "")
            raise login_refused(self.peer, answer.status_code, salesforce_code(body), description)
        token = body.get("access_token")
        if not isinstance(token, str) or not token:
            raise GateClosed(f"{self.peer} responds, but not as the API.", "Check SALESFORCE_INSTANCE_URL.")
        return token, str(body.get("instance_url") or address)

    def _soap_token(self, credentials: UsernamePassword) -> tuple[str, str]:
        from simple_salesforce.exceptions import SalesforceAuthenticationFailed
        from simple_salesforce.login import SalesforceLogin

        try:
            # Without a "scratch" address the library only logs in under salesforce.com.
            token, instance = SalesforceLogin(
                username=credentials.username,
                password=credentials.password,
                security_token=credentials.security_token,
                sf_version=API_VERSION,
                scratch_url=credentials.login_url,
                session=self,
            )
        except SalesforceAuthenticationFailed as error:
            # If the response isn't XML, the library passes the HTTP status as the code.
            status, code = (error.code, "") if isinstance(error.code, int) else (401, str(error.code or ""))
            refusal = login_refused(self.peer, status, code)
        else:
            return token, f"https://{instance}"
        raise refusal


def _signed(credentials: JwtBearer, expires_at: datetime) -> str:
    import jwt

    claims = {
        "iss": credentials.client_id,
        "sub": credentials.username,
        "aud": credentials.login_url,
        "exp": int(expires_at.timestamp()),
    }
    try:
        return jwt.encode(claims, credentials.key_file.read_bytes(), algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError, OSError) as error:
        reason = type(error).__name__
    raise SettingsError(
        f"SALESFORCE_JWT_KEY_FILE does not hold a readable RSA private key ({reason}).",
        "Name a PEM file with the private key of the connected app's certificate, without a passphrase.",
    )


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
