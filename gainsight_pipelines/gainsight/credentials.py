"""Credentials for Gainsight: the tenant's API key, or an M2M OAuth client.

A tenant has one API key, shared by every tool that calls Gainsight, and up to 15 M2M OAuth clients, which the IP
allow-list doesn't apply to (Gainsight's page "Generate REST API Key"). `client.py` requests the OAuth tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import requests
from requests.auth import AuthBase

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.headers import fit_for_header

API_KEY_VARIABLE = "GAINSIGHT_API_KEY"
CLIENT_ID_VARIABLE = "GAINSIGHT_CLIENT_ID"
CLIENT_SECRET_VARIABLE = "GAINSIGHT_CLIENT_SECRET"  # noqa: S105 - the name of the variable

TOKEN_PATH = "/v1/users/m2m/oauth/token"  # noqa: S105 - a path
TOKEN_REQUESTS: tuple[tuple[str, bytes], ...] = (
    ("application/x-www-form-urlencoded", b"grant_type=client_credentials"),
    ("application/json", b""),
)
"""Content type and body of a token request. Public clients use either; if the first fails, the second is tried."""

RENEW_BEFORE_SECONDS = 300.0
SHORTEST_LIFETIME_SECONDS = 60.0
UNSTATED_LIFETIME_SECONDS = 3600.0


class SecretSource(Protocol):
    """Where credentials are read from, such as `settings.Secrets`."""

    def get(self, name: str) -> str | None:
        """The value of a variable, or None."""
        ...

    def require(self, name: str) -> str:
        """The value of a variable; raises SettingsError if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class AccessKey:
    """The tenant's API key.

    Raises:
        SettingsError: it is empty or has invalid characters.
    """

    words: ClassVar[str] = "API key"

    key: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", fit_for_header(self.key, API_KEY_VARIABLE))


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An M2M OAuth client; its access tokens last 24 hours, by the documentation.

    Raises:
        SettingsError: a part is empty or has invalid characters.
    """

    words: ClassVar[str] = "M2M OAuth client"

    client_id: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_id", fit_for_header(self.client_id, CLIENT_ID_VARIABLE))
        object.__setattr__(self, "client_secret", fit_for_header(self.client_secret, CLIENT_SECRET_VARIABLE))


Credential = AccessKey | OAuthClient


def credential_from(secrets: SecretSource) -> Credential:
    """The configured credential. The OAuth client wins over the API key, so that a team can migrate to it.

    Raises:
        SettingsError: neither is set, or only half of the OAuth client.
    """
    client_id, client_secret = secrets.get(CLIENT_ID_VARIABLE), secrets.get(CLIENT_SECRET_VARIABLE)
    if client_id and client_secret:
        return OAuthClient(client_id, client_secret)
    if client_id or client_secret:
        missing = CLIENT_SECRET_VARIABLE if client_id else CLIENT_ID_VARIABLE
        present = CLIENT_ID_VARIABLE if client_id else CLIENT_SECRET_VARIABLE
        raise SettingsError(
            f"{present} is set, but {missing} is not.",
            f"Set {missing} as well, or unset {present} to use {API_KEY_VARIABLE}.",
        )
    return AccessKey(secrets.require(API_KEY_VARIABLE))


class KeyAuth(AuthBase):
    """Adds the API key to requests. As the session's auth, it also keeps requests from reading ``~/.netrc``."""

    __slots__ = ("_key",)

    def __init__(self, credential: AccessKey) -> None:
        self._key = credential.key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["accesskey"] = self._key
        return request


class TokenAuth(AuthBase):
    """Adds the current access token to requests, and knows when to renew it."""

    __slots__ = ("_renew_at", "_token")

    def __init__(self) -> None:
        self._token = ""
        self._renew_at: float | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def is_due(self, monotonic: float) -> bool:
        """Whether there is no token yet, or it expires within minutes."""
        return self._renew_at is None or monotonic >= self._renew_at

    def take(self, answer: Mapping[str, Any], monotonic: float) -> bool:
        """Stores the token of a response; False if it has none."""
        data = answer.get("data")
        found = answer if "access_token" in answer or not isinstance(data, Mapping) else data
        token = found.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            return False
        self._token = token
        lifetime = _seconds(found.get("expires_in"))
        self._renew_at = monotonic + max(lifetime - RENEW_BEFORE_SECONDS, min(lifetime, SHORTEST_LIFETIME_SECONDS))
        return True


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        return UNSTATED_LIFETIME_SECONDS
    return seconds if 0 < seconds < float("inf") else UNSTATED_LIFETIME_SECONDS
