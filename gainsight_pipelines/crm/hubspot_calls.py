"""HTTP calls to HubSpot: connection pool, timeouts, certificates, rate limits.

What is requested, and what responses mean, is in hubspot.py.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.crm.failures import Peer, border, http_date, patiently, through_blips
from gainsight_pipelines.errors import GateClosed, RateLimited
from gainsight_pipelines.text import clean_value, may_need_cleaning

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.hubapi.com"

TIMEOUTS = (5.0, 60.0)
"""Connect and read timeout, in seconds."""
PROBE_TIMEOUTS = (3.0, 10.0)

SEARCH_INTERVAL = 0.2
"""Seconds between searches: HubSpot allows five per second for the whole portal."""
RATE_LIMIT_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds to wait after a 429 without a Retry-After; after the last one the call fails."""
LONGEST_WAIT = 30.0
"""Seconds. Longer waits are left to the next run. (The daily limit resets at midnight.)"""
OWNER_PAGE = 100


@dataclass(frozen=True, slots=True)
class HubSpotCredentials:
    """A private app's access token, and the address to send it to."""

    access_token: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL


class HubSpotCalls:
    """Wraps hubspot-api-client: responses as parsed JSON, errors as the package's.

    Bypasses the library's models (`_preload_content=False`): they refuse responses that lack a field, and the library's
    error handling fails on some responses and prints others.

    `answered_at` is the server's time of its last response, None if it didn't say.

    Args:
        credentials: the token and the address.
        clock: the source of time.
        answer_seconds: read timeout for interactive use; nothing is waited for then.
    """

    def __init__(self, credentials: HubSpotCredentials, clock: Clock, answer_seconds: float | None = None) -> None:
        self._timeouts = TIMEOUTS if answer_seconds is None else (TIMEOUTS[0], answer_seconds)
        self._is_patient = answer_seconds is None
        self.peer = Peer("hubspot", urlsplit(credentials.base_url).netloc)
        self.count = 0
        self.answered_at: datetime | None = None
        self._credentials = credentials
        self._clock = clock
        self._searched_at: float | None = None

    def close(self) -> None:
        """Closes the connections."""
        if "_search_api" in self.__dict__:
            self._pool.clear()

    def account_details(self) -> Mapping[str, Any]:
        """The portal's account details. The library has no method for this call."""
        return self._ask(
            self._search_api.api_client.call_api, "/account-info/v3/details", "GET", auth_settings=["oauth2"]
        )

    def search(self, request: Mapping[str, Any], *, probe: bool = False) -> Mapping[str, Any]:
        """Searches companies; a probe has short timeouts and never waits."""
        if not probe:
            self._space_searches()
        return self._ask(self._search_api.do_search, public_object_search_request=dict(request), probe=probe)

    def list_companies(self, limit: int, after: str | None, properties: Sequence[str]) -> Mapping[str, Any]:
        """One page of the companies that aren't archived."""
        from hubspot.crm.companies import BasicApi

        api = BasicApi(self._search_api.api_client)
        return self._ask(api.get_page, limit=limit, after=after, properties=list(properties), archived="false")

    def read_companies(self, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Any]:
        """Up to 100 companies by id; missing ones are left out."""
        from hubspot.crm.companies import BatchApi

        api = BatchApi(self._search_api.api_client)
        asked = {"inputs": [{"id": each} for each in ids], "properties": list(properties), "propertiesWithHistory": []}
        return self._ask(api.read, batch_read_input_simple_public_object_id=asked)

    def properties(self) -> Mapping[str, Any]:
        """The properties of companies."""
        from hubspot.crm.properties import CoreApi

        return self._ask(CoreApi(self._search_api.api_client).get_all, object_type="companies")

    def owners(self, *, archived: bool) -> Iterator[Mapping[str, Any]]:
        """All owners, active or archived."""
        from hubspot.crm.owners import OwnersApi

        api = OwnersApi(self._search_api.api_client)
        after: str | None = None
        while True:
            page = patiently(partial(self._owner_page, api, after, archived), self._clock)
            yield from page.get("results") or []
            following = ((page.get("paging") or {}).get("next") or {}).get("after")
            if following is None or str(following) == after:
                return
            after = str(following)

    def first_owner(self) -> Mapping[str, Any]:
        """One owner, to check that owners may be read."""
        from hubspot.crm.owners import OwnersApi

        return self._ask(OwnersApi(self._search_api.api_client).get_page, limit=1, archived="false")

    def _owner_page(self, api: Any, after: str | None, archived: bool) -> Mapping[str, Any]:
        return self._ask(api.get_page, limit=OWNER_PAGE, after=after, archived=str(archived).lower())

    def _ask(self, method: Callable[..., Any], *args: Any, probe: bool = False, **kwargs: Any) -> Mapping[str, Any]:
        """Makes one call; repeats it while HubSpot asks for short waits, or if the response is lost."""
        timeouts = PROBE_TIMEOUTS if probe else self._timeouts
        once = partial(through_blips, partial(self._ask_once, method, *args, timeouts=timeouts, **kwargs), self._clock)
        for wait in () if probe or not self._is_patient else RATE_LIMIT_WAITS:
            try:
                return once()
            except RateLimited as error:
                asked = error.retry_after if error.retry_after is not None else wait
                if "DAILY" in error.message or asked > LONGEST_WAIT:
                    raise
                logger.info("%s Waiting %g s.", error.message, asked)
            self._clock.sleep(max(asked, SEARCH_INTERVAL))
        return once()

    def _ask_once(
        self, method: Callable[..., Any], *args: Any, timeouts: tuple[float, float], **kwargs: Any
    ) -> Mapping[str, Any]:
        with border(self.peer):
            self.count += 1
            response = method(*args, **kwargs, _preload_content=False, _request_timeout=timeouts)
            self.answered_at = http_date(response.headers.get("Date"))
            answer = json.loads(response.data.decode("utf-8", "replace"))
            if may_need_cleaning(response.data):
                answer, _ = clean_value(answer)
        if not isinstance(answer, dict):
            raise GateClosed(f"{self.peer} responds, but not as the API.", "Check HUBSPOT_BASE_URL.")
        return answer

    def _space_searches(self) -> None:
        if self._searched_at is not None:
            rest = self._searched_at + SEARCH_INTERVAL - self._clock.monotonic()
            if rest > 0:
                self._clock.sleep(rest)
        self._searched_at = self._clock.monotonic()

    @cached_property
    def _search_api(self) -> Any:
        """The companies' search API; its ApiClient, with the one connection pool, serves the other calls too."""
        from hubspot import HubSpot as Client
        from requests.utils import get_environ_proxies, select_proxy

        address = self._credentials.base_url
        authorities = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
        directory = authorities is not None and Path(authorities).is_dir()
        api = Client(
            access_token=self._credentials.access_token,
            host=address,
            # urllib3 reads neither this variable nor the proxy's; requests and the rest of the package do.
            ssl_ca_cert=None if directory else authorities,
            proxy=select_proxy(address, get_environ_proxies(address)),
            retry=False,  # no hidden retries or redirects
        ).crm.companies.search_api
        if directory:
            api.api_client.rest_client.pool_manager.connection_pool_kw["ca_cert_dir"] = authorities
        return api

    @property
    def _pool(self) -> Any:
        return self._search_api.api_client.rest_client.pool_manager
