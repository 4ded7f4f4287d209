"""The sandbox's switches for faults and variants, its call counters, and its random credentials. No HTTP, no data.

The three servers and the control endpoint share them in one event loop, so they need no locks.
"""

from __future__ import annotations

import secrets as random_secrets
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CHOICES: dict[str, tuple[object, ...]] = {
    "rate_limit_status": (429, 200),
    "server_error_kind": ("500", "502", "503", "504", "html"),
    "data_shape": ("records", "list"),
    "date_format": ("iso", "epoch_ms", "iso_ms"),
    "no_data": ("records", "legacy", "http400"),
    "token_request": ("form", "json"),
    "front": (
        "gainsight",
        "login_page",
        "login_redirect",
        "other_host",
        "proxy_page",
        "proxy_login",
        "web_site",
        "other_api",
    ),
}
"""Switches that take one of a few values."""


@dataclass(slots=True)
class Switches:
    """Faults and variants that the servers simulate. The defaults are a healthy tenant without delays."""

    gainsight_down: bool = False
    """Every Gainsight call is answered with the load balancer's 503 page."""
    front: str = "gainsight"
    """What answers at Gainsight's address in its place: see sandbox/fronts.py."""
    gainsight_delay: float = 0.0
    """Seconds that each Gainsight call takes longer."""
    slow_above: int | None = None
    """Queries that ask for more records than this are answered only after `slow_seconds`."""
    slow_seconds: float = 60.0
    reject_key: bool = False
    token_request: str = "form"
    """How a client has to ask for an access token: by OAuth's form, or by an empty body of type JSON."""
    ip_refused: bool = False
    rate_limit_next: int = 0
    """The next n Gainsight calls are refused with GS_APIG_2404."""
    rate_limit_status: int = 429
    """Status of a refusal by rate: 429, or 200 with the code in the body only."""
    rate_limit_retry_after: str | None = None
    """Retry-After of a rate-limit response, sent unchanged; None sends none, as the real service seems to."""
    limit_per_minute: int | None = None
    """Calls per wall-clock minute; None: no limit. The real tenant: 100."""
    limit_per_day: int | None = None
    """Calls per UTC day; None: no limit. The real tenant: 50,000."""
    server_errors_next: int = 0
    server_error_kind: str = "500"
    result_false_next: int = 0
    """The next n query calls answer HTTP 200 with result:false."""
    truncate_next: int = 0
    """The next n query replies break off in the middle of the body."""
    broken_objects: list[str] = field(default_factory=list)
    """Objects whose queries answer HTTP 500, as survey_response does on some tenants."""
    unreadable_fields: list[str] = field(default_factory=list)
    """`object.Field` names that a query may not select (P_5005), though describe lists them."""
    nameless_refusals: bool = False
    """Refusals of fields don't say which field it is, whatever their code."""
    data_shape: str = "records"
    date_format: str = "iso"
    empty_dates: bool = False
    """Null dates are shown as empty strings."""
    no_data: str = "records"
    """How an empty result looks: {"records": []}, or result:false GSOBJ_1XXX on 200, or GSOBJ_1011 on HTTP 400."""
    edit_while_reading: int = 0
    """After each query page, this many random records of the object get the server's time as modification date."""
    order_by_ignored: bool = False
    where_ignored: bool = False
    offset_ignored: bool = False
    parentheses_refused: bool = False
    or_refused: bool = False
    date_fraction_hidden: bool = False
    """Times are kept, compared and sorted with milliseconds, and shown in whole seconds."""
    page_cap: int | None = None
    """No page is longer than this, whatever limit is asked for."""
    case_drift: bool = False
    """activity_timeline rows come with keys in other case, without null keys and without `missing_keys`."""
    missing_keys: list[str] = field(default_factory=lambda: ["CreatedDate"])
    dirty_text: bool = False
    r"""Some strings hold \u0000 or a lone surrogate, Gainsight's and the CRM's."""
    timezone: str = "UTC"
    """The tenant's time zone: that of date literals without an offset."""
    refusals: dict[str, list[Any]] = field(default_factory=dict)
    """[HTTP status, error code] of the refusal of an `unknown_field`, an `unknown_object` or a `limit` above 5,000,
    where they are to differ from the documented ones."""
    delete_log: bool = True
    """Whether record_delete_log exists."""
    now_offset_seconds: float = 0.0
    """What the servers' clock is ahead of the real one."""

    crm_down: bool = False
    crm_down_after: int | None = None
    """After this many more CRM calls the CRM is down; None: not."""
    crm_down_calls: int | None = None
    """For how many calls `crm_down_after` lets it be down; None: until the switches are put back."""
    crm_page_cap: int | None = None
    """No page of Salesforce's is longer than this; the real one's smallest is 200."""
    crm_reject: bool = False
    """The CRM refuses the credentials."""
    crm_login_error: list[str] = field(default_factory=list)
    """Error and description with which Salesforce refuses every login."""
    crm_delay: float = 0.0
    crm_empty: bool = False
    """The CRM answers and has no accounts."""
    crm_count_off: int = 0
    """By so many the CRM's counts of accounts are off."""
    crm_formulas: list[str] = field(default_factory=list)
    """Salesforce account fields that describe shows as formulas."""
    crm_long_texts: list[str] = field(default_factory=list)
    """Salesforce account fields that are long text areas: a query can't filter by them."""
    crm_currencies: bool = False
    """The organisation has several currencies: accounts have CurrencyIsoCode, in HubSpot arr has its own property."""
    hubspot_owners_scope: bool = True
    """Whether the private app has the scope crm.objects.owners.read."""
    token_lifetime_calls: int | None = None
    """A CRM access token is refused as expired after this many calls; None: never."""

    def now(self) -> datetime:
        """The servers' time (aware, UTC)."""
        return datetime.now(UTC) + timedelta(seconds=self.now_offset_seconds)

    def is_crm_down(self) -> bool:
        """Whether the CRM is down for this call. Counts the call."""
        if self.crm_down or self.crm_down_after is None:
            return self.crm_down
        if self.crm_down_after > 0:
            self.crm_down_after -= 1
            return False
        if self.crm_down_calls is not None:
            if self.crm_down_calls == 0:
                self.crm_down_after = None
                return False
            self.crm_down_calls -= 1
        return True

    def update(self, values: dict[str, Any]) -> None:
        """Sets switches by name.

        Raises:
            ValueError: a name or value does not exist; nothing is set.
        """
        checked = {name: self._checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Resets all switches."""
        fresh = Switches()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))

    def _checked(self, name: str, value: Any) -> Any:
        if name not in {each.name for each in fields(self)}:
            raise ValueError(f"there is no switch {name!r}")
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"switch {name!r} takes one of {CHOICES[name]}, not {value!r}")
        if name == "timezone":
            ZoneInfo(str(value))
        is_flag = isinstance(getattr(Switches(), name), bool)
        if is_flag and value not in (True, False):
            raise ValueError(f"switch {name!r} takes true or false, not {value!r}")
        return value


@dataclass(slots=True)
class Counters:
    """Numbers of calls to the servers, successful or not."""

    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """service ("gainsight", "salesforce", "hubspot") → kind (such as "query", "query:company", "token") → calls."""
    totals: dict[str, int] = field(default_factory=dict)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=2000))
    """The last Gainsight requests: method, path, body, status, never headers."""

    def count(self, service: str, kind: str, detail: str | None = None) -> None:
        """Counts a call of `service` under `kind`, and also under `kind:detail` if there is a detail."""
        self.totals[service] = self.totals.get(service, 0) + 1
        kinds = self.calls.setdefault(service, {})
        for name in (kind, f"{kind}:{detail}") if detail else (kind,):
            kinds[name] = kinds.get(name, 0) + 1

    def reset(self) -> None:
        """Resets all counters."""
        self.calls.clear()
        self.totals.clear()
        self.requests.clear()


@dataclass(slots=True, repr=False)
class SandboxSecrets:
    """The credentials of one start, all random. Never printed; files that hold them are 0600."""

    gainsight_api_key: str
    gainsight_m2m_id: str
    gainsight_m2m_secret: str
    salesforce_client_id: str
    salesforce_client_secret: str
    salesforce_username: str
    salesforce_password: str
    salesforce_security_token: str
    salesforce_private_key_pem: str
    """RSA private key (PKCS 8, PEM) of the JWT bearer flow; the server needs only its public half."""
    salesforce_public_key_pem: str
    hubspot_access_token: str

    @classmethod
    def random(cls) -> SandboxSecrets:
        """New credentials in the format of real ones."""
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private_pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public_pem = private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        token = random_secrets.token_urlsafe
        return cls(
            gainsight_api_key=f"E-{random_secrets.token_hex(24)}",
            gainsight_m2m_id=f"m2m-{random_secrets.token_hex(8)}",
            gainsight_m2m_secret=token(32),
            salesforce_client_id=f"3MVG9{token(40)}",
            salesforce_client_secret=random_secrets.token_hex(32).upper(),
            salesforce_username="integration@sandbox.example",
            salesforce_password=token(12),
            salesforce_security_token=token(18),
            salesforce_private_key_pem=private_pem.decode(),
            salesforce_public_key_pem=public_pem.decode(),
            hubspot_access_token=f"pat-na1-{random_secrets.token_hex(16)}",
        )
