"""The HTTP client for Gainsight: one session, retries, and limits on the size and duration of responses.

Makes the calls of the "Data Management APIs" (object list, describe) and of the Read API of "Custom Object API" and
"Company API". Paging is in reader.py. Quotas are the caller's: ``before_call`` runs before each request.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import requests
import urllib3.exceptions
from requests.auth import AuthBase, HTTPBasicAuth

from gainsight_pipelines.clock import Clock
from gainsight_pipelines.errors import (
    CredentialsRejected,
    PermanentError,
    PipelineError,
    RateLimited,
    SettingsError,
    TransientError,
)
from gainsight_pipelines.gainsight.credentials import (
    TOKEN_PATH,
    TOKEN_REQUESTS,
    Credential,
    KeyAuth,
    OAuthClient,
    TokenAuth,
)
from gainsight_pipelines.gainsight.deadline import Deadline, DeadlineAdapter
from gainsight_pipelines.gainsight.errors import (
    CLIENT_REJECTED,
    IP_CODE,
    SlowAnswer,
    TooLargeAnswer,
    UnknownField,
    UnknownObject,
    code_of,
    error_of,
    is_no_data,
    text_of,
)
from gainsight_pipelines.gainsight.metadata import (
    ObjectInfo,
    ObjectSchema,
    PicklistOption,
    object_infos,
    object_schema,
    picklist_options,
)
from gainsight_pipelines.gainsight.query import Query, check_object_name
from gainsight_pipelines.gainsight.responses import NotJson, Renamer, decode, looks_like_a_web_page, records_of
from gainsight_pipelines.values import is_loopback

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte; public clients use 15 to 300
MAX_ANSWER_SECONDS = 300.0  # from the request to the last byte, however slowly the bytes come
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # decoded; 5,000 timeline entries of 1.6 KB are 8 MB

MAX_TRIES = 5  # of one call, after transient failures
FIRST_BACKOFF = 1.0  # seconds, doubled with each try
LONGEST_BACKOFF = 30.0  # seconds
MAX_RATE_LIMIT_WAITS = 3  # windows of a minute; after that the daily limit must be used up
WEB_PAGES_TO_DOUBT_THE_HOST = 3  # before any valid response: one may be maintenance, three mean a wrong address
LONGEST_WAIT = 120.0  # seconds; longer waits, such as the daily API quota, are left to a later run

_CHUNK = 256 * 1024
OBJECT_LIST = "/v1/meta/services/objects/list?po=company&em=false"
# ic: no children, cl: no child levels, idd: with details. Public clients send these flags in production.
_DESCRIBE = "/v1/meta/services/objects/{name}/describe?ic=false&cl=0&idd=true&ihc=false&piec=false"
_DROPDOWN = "/v1/meta/services/dropdowns/{category}"
_QUERY = "/v1/data/objects/query/{name}"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query's records.

    Attributes:
        records: keyed by the selected names; keys that the tenant left out are missing.
        server_time: the response's Date header, or else the clock's time; aware, UTC.
        size_bytes: of the decoded body.
        cleaned: number of strings, keys and numbers changed because PostgreSQL would refuse them.
        limit: the limit of the request that succeeded; a retry may have asked for less.
    """

    records: list[dict[str, Any]]
    server_time: datetime
    size_bytes: int
    cleaned: int
    limit: int


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A response as received, successful or not; for probing how a tenant behaves."""

    status: int
    envelope: Mapping[str, Any]

    @property
    def code(self) -> str:
        """Gainsight's error code; "" if there is none."""
        return code_of(self.envelope)

    def records(self) -> list[dict[str, Any]]:
        """The records.

        Raises:
            PermanentError: the response has none.
        """
        try:
            return records_of(self.envelope)
        except NotJson as error:
            raise PermanentError(f"Gainsight's response can't be read: {error}") from None

    def raise_unless_empty(self) -> None:
        """Raises the refusal as an error, unless it means "no data"."""
        if not is_no_data(self.code, text_of(self.envelope)):
            raise error_of(self.status, self.envelope, what="probe")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    server_time: datetime
    retry_after: float | None
    location: str
    body: bytes


def checked_base_url(url: str) -> str:
    """The base URL without a trailing slash: https (or http on a loopback address) and a host, without a path.

    Raises:
        SettingsError: another URL; says what is expected.
    """
    parts = urlsplit(url.strip())
    host = parts.hostname
    try:
        port = parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("https", "http"):
        raise SettingsError(
            "gainsight.base_url is not a web address", "Write it like https://your-tenant.gainsightcloud.com."
        )
    if parts.username or parts.password:
        raise SettingsError("gainsight.base_url holds a user name or password", "Remove everything before the host.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError("gainsight.base_url has a path after the host", f"Write only {parts.scheme}://{host}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError("gainsight.base_url is http, which sends the key unencrypted", "Write https://.")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}" if port else f"{parts.scheme}://{shown}"


class GainsightClient:
    """A client for one tenant. Serves one thread at a time.

    Args:
        base_url: see :func:`checked_base_url`.
        credential: an API key goes into the ``accesskey`` header; an OAuth client is exchanged for a token first.
        clock: for waits and durations.
        before_call: runs before each request, retries included, with the kind of call; may wait or raise RateLimited.
        on_refusal: runs when Gainsight refuses a call by rate, with the seconds until the next one is allowed.
        connect_timeout: seconds.
        read_timeout: seconds without a byte.
        max_response_bytes: of a decoded body.
        max_answer_seconds: from the request to the last byte.
        max_tries: attempts per call after transient failures. 1: never wait; for interactive use.
        user_agent: of the requests.

    Raises:
        SettingsError: an invalid base URL.
    """

    def __init__(  # noqa: PLR0913 - plain values in place of a settings object
        self,
        base_url: str,
        credential: Credential,
        *,
        clock: Clock,
        before_call: Callable[[str], None] = lambda kind: None,
        on_refusal: Callable[[float], None] = lambda seconds: None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        max_answer_seconds: float = MAX_ANSWER_SECONDS,
        max_tries: int = MAX_TRIES,
        user_agent: str = "gainsight-pipelines",
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.calls: Counter[str] = Counter()
        self.bytes_received = 0
        self._clock = clock
        self._before_call = before_call
        self._on_refusal = on_refusal
        self._timeout = (connect_timeout, read_timeout)
        self._max_bytes = max_response_bytes
        self._deadline = Deadline(max_answer_seconds)
        self._is_closed = False
        self._max_tries = max_tries
        self._has_answered = False
        self._web_pages = 0
        self._one_at_a_time = Lock()
        self._session = requests.Session()
        self._oauth = credential if isinstance(credential, OAuthClient) else None
        self._token = TokenAuth()
        self._token_requests = list(TOKEN_REQUESTS)
        self._session.auth = self._token if isinstance(credential, OAuthClient) else KeyAuth(credential)
        self._session.headers.update(
            {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        )
        adapter = DeadlineAdapter(self._deadline)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and ends a call that another thread is making. No further calls are made."""
        self._is_closed = True
        self._deadline.cut()
        self._session.close()

    def list_objects(self) -> list[ObjectInfo]:
        """The objects that the credentials can see, readable or not.

        Raises:
            PipelineError: see the tree in gainsight/errors.py.
        """
        envelope = self._ask("metadata", "list of objects", "GET", OBJECT_LIST)
        return object_infos(envelope.get("data"))

    def describe(self, object_name: str) -> ObjectSchema:
        """One object with its fields.

        Raises:
            UnknownObject: the tenant has no object of that name.
            PipelineError: see the tree in gainsight/errors.py.
        """
        path = _DESCRIBE.format(name=check_object_name(object_name))
        envelope = self._ask("metadata", f"describe of {object_name}", "GET", path)
        schema = object_schema(envelope.get("data"), object_name)
        if schema is None:
            raise UnknownObject(
                f"Gainsight's describe of {object_name} doesn't contain that object",
                "Pick a name from `gainsight-pipelines objects`.",
            )
        return schema

    def picklist_options(self, category_id: str) -> tuple[PicklistOption, ...]:
        """The options of a picklist category (:attr:`Field.picklist_category`), inactive ones included.

        Raises:
            PipelineError: see the tree in gainsight/errors.py.
        """
        path = _DROPDOWN.format(category=check_object_name(category_id))
        return picklist_options(self._ask("metadata", "picklist", "GET", path).get("data"))

    def query(
        self,
        object_name: str,
        query: Query,
        *,
        kind: str = "query",
        shrink: Callable[[Query, SlowAnswer], Query | None] | None = None,
    ) -> Page:
        """The records that a query matches; "no data" is an empty page.

        Args:
            object_name: the object to query.
            query: what to ask for.
            kind: the kind under which the call is counted: query, links, sweep, probe, ….
            shrink: called after a timeout, a 5xx or an oversized response; returns a smaller query for the next try,
                or None if there is none.

        Raises:
            UnknownObject, UnknownField, PipelineError: see the tree in gainsight/errors.py.
        """
        path = _QUERY.format(name=check_object_name(object_name))
        what = f"query of {object_name}"
        tries = _Tries(self._clock, self._max_tries)
        while True:
            try:
                answer = self._send(kind, what, "POST", path, orjson.dumps(query.body()))
                return self._page(answer, object_name, what, query)
            except SlowAnswer as error:
                smaller = shrink(query, error) if shrink is not None else None
                if smaller is None and isinstance(error, TooLargeAnswer):
                    raise PermanentError(error.message, error.todo) from None
                # A smaller query is a new question, so it doesn't count as a retry of this one.
                tries.wait_or_raise(error, is_another=smaller is not None)
                query = smaller or query
            except TransientError as error:
                tries.wait_or_raise(error)

    def ask_raw(self, object_name: str, body: Mapping[str, Any]) -> RawAnswer:
        """Sends one query unchanged and returns the response as received, refusals included. No retries.

        Raises:
            PermanentError, PipelineError: no response, or not one of Gainsight's.
        """
        what = f"query of {object_name}"
        path = _QUERY.format(name=check_object_name(object_name))
        answer = self._send("probe", what, "POST", path, orjson.dumps(body))
        if 300 <= answer.status < 400:
            raise redirected(answer.location, self.base_url)
        try:
            return RawAnswer(answer.status, decode(answer.body)[0])
        except NotJson as error:
            raise self._no_json(answer, what, error) from None

    def _page(self, answer: _Answer, object_name: str, what: str, query: Query) -> Page:
        try:
            envelope, cleaned = self._envelope(answer, what, may_be_empty=True)
        except UnknownField as refused:
            refused.names(object_name, query.select)
            raise
        try:
            records = records_of(envelope)
        except NotJson as error:
            raise PermanentError(f"Gainsight's response to the {what} can't be read: {error}") from None
        return Page(
            records=Renamer(query.select).rename(records),
            server_time=answer.server_time,
            size_bytes=len(answer.body),
            cleaned=cleaned,
            limit=query.limit,
        )

    def _ask(self, kind: str, what: str, method: str, path: str) -> Mapping[str, Any]:
        tries = _Tries(self._clock, self._max_tries)
        while True:
            try:
                envelope, _ = self._envelope(self._send(kind, what, method, path, None), what)
                return envelope
            except TransientError as error:
                tries.wait_or_raise(error)

    def _send(self, kind: str, what: str, method: str, path: str, body: bytes | None) -> _Answer:
        """Sends one request and reads the whole body. Locked: a reader thread shares the client.

        Raises:
            TransientError: a network failure.
        """
        with self._one_at_a_time:
            if self._oauth is None:
                return self._send_now(kind, what, method, path, body)
            is_new = self._token.is_due(self._clock.monotonic())
            if is_new:
                self._renew_token(self._oauth)
            answer = self._send_now(kind, what, method, path, body)
            if answer.status == 401 and not is_new:
                # The token may have been revoked, or have expired early.
                self._renew_token(self._oauth)
                answer = self._send_now(kind, what, method, path, body)
            return answer

    def _renew_token(self, client: OAuthClient) -> None:
        """Exchanges the OAuth client for an access token.

        Raises:
            CredentialsRejected: Gainsight refuses the client.
            PipelineError: as for any other call.
        """
        auth = HTTPBasicAuth(client.client_id, client.client_secret)
        what = "request for an access token"
        for request in tuple(self._token_requests):
            content_type, body = request
            answer = self._send_now("token", what, "POST", TOKEN_PATH, body, content_type=content_type, auth=auth)
            if 300 <= answer.status < 400:
                raise redirected(answer.location, self.base_url)
            try:
                document = decode(answer.body)[0]
            except NotJson as error:
                raise self._no_json(answer, what, error) from None
            if answer.status < 300 and self._token.take(document, self._clock.monotonic()):
                self._token_requests = [request]
                return
            refusal = error_of(answer.status, document, what=what, retry_after=answer.retry_after)
            if isinstance(refusal, TransientError):
                raise self._refusal(answer, document, what)
            if code_of(document) == IP_CODE:
                raise refusal
        raise CredentialsRejected(*CLIENT_REJECTED)

    def _send_now(
        self,
        kind: str,
        what: str,
        method: str,
        path: str,
        body: bytes | None,
        *,
        content_type: str = "application/json",
        auth: AuthBase | None = None,
    ) -> _Answer:
        self._raise_if_closed()
        self._before_call(kind)
        self._raise_if_closed()  # before_call may have waited
        self.calls[kind] += 1
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            with self._deadline.exchange():
                # A redirect would carry the key to another host, so it is an error that names the address to set.
                response = self._session.request(
                    method,
                    self.base_url + path,
                    data=body,
                    headers=headers,
                    auth=auth,
                    timeout=self._timeout,
                    stream=True,
                    allow_redirects=False,
                )
                answer = self._read(response, what)
            if self._deadline.has_passed:
                raise self._too_slow(what)
            return answer
        except PipelineError:
            self._session.close()
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # The connection may still hold the rest of a broken response; the next attempt gets a new one.
            self._session.close()
            if self._deadline.has_passed:
                raise self._too_slow(what) from None
            raise network_error(error, what, self.base_url) from None

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise PermanentError("The run has ended, so Gainsight was not called.")

    def _too_slow(self, what: str) -> SlowAnswer:
        return SlowAnswer(
            f"Gainsight's response to the {what} takes longer than {self._deadline.seconds:g} seconds",
            "Try again later.",
        )

    def _read(self, response: requests.Response, what: str) -> _Answer:
        chunks, size = [], 0
        with response:
            # read1 returns what has arrived, so the size is checked as the body comes in.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                chunks.append(chunk)
                size += len(chunk)
                self.bytes_received += len(chunk)
                if size > self._max_bytes:
                    raise TooLargeAnswer(
                        f"Gainsight's response to the {what} is larger than {self._max_bytes:,} bytes",
                        "Request fewer fields or records.",
                    )
        server_time = self._server_time(response.headers.get("Date"))
        return _Answer(
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            server_time=server_time,
            retry_after=_retry_after(response.headers.get("Retry-After"), server_time),
            location=response.headers.get("Location", ""),
            body=b"".join(chunks),
        )

    def _envelope(self, answer: _Answer, what: str, *, may_be_empty: bool = False) -> tuple[dict[str, Any], int]:
        """The JSON object of a successful response, and how many values were cleaned. Raises refusals as errors."""
        if 300 <= answer.status < 400:
            raise redirected(answer.location, self.base_url)
        try:
            envelope, cleaned = decode(answer.body)
        except NotJson as error:
            raise self._no_json(answer, what, error) from None
        if answer.status < 300 and envelope.get("result") is True:
            self._has_answered = True
            return envelope, cleaned
        if may_be_empty and answer.status < 500 and is_no_data(code_of(envelope), text_of(envelope)):
            return {"data": []}, 0
        raise self._refusal(answer, envelope, what)

    def _refusal(self, answer: _Answer, envelope: Mapping[str, Any], what: str) -> PipelineError:
        error = error_of(answer.status, envelope, what=what, retry_after=answer.retry_after)
        if isinstance(error, RateLimited) and error.retry_after is None:
            # Rate limit windows are fixed, by Gainsight's clock rather than ours.
            error.retry_after = 60.0 - answer.server_time.second + random.uniform(0.1, 1.5)  # noqa: S311 - jitter
        if isinstance(error, RateLimited) and error.retry_after is not None:
            self._on_refusal(error.retry_after)
        if self._oauth is not None and isinstance(error, CredentialsRejected) and answer.status == 401:
            return CredentialsRejected(*CLIENT_REJECTED)
        return error

    def _no_json(self, answer: _Answer, what: str, error: NotJson) -> PipelineError:
        self._session.close()
        if answer.status >= 400:
            return self._refusal(answer, {}, what)
        if looks_like_a_web_page(answer.content_type, answer.body):
            message = f"a web page came instead of Gainsight's response to the {what}"
            self._web_pages += 1
            if self._has_answered or self._web_pages < min(WEB_PAGES_TO_DOUBT_THE_HOST, self._max_tries):
                return TransientError(message, "A gateway is in between; try again later.")
            return PermanentError(
                message, "Check gainsight.base_url (the tenant's own host) and any proxy or login in between."
            )
        return TransientError(f"Gainsight's response to the {what} is damaged: {error}", "Try again later.")

    def _server_time(self, header: str | None) -> datetime:
        if header:
            try:
                moment = parsedate_to_datetime(header)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        return self._clock.now()


class _Tries:
    """Counts the failed attempts of one call, and waits before the next."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._failures = 0
        self._waits = 0

    def wait_or_raise(self, error: TransientError, *, is_another: bool = False) -> None:
        """Waits before the next attempt. An attempt with another query doesn't count as a retry.

        Raises:
            TransientError: `error` itself, after the last attempt or if the wait would be too long.
        """
        if isinstance(error, RateLimited):
            self._waits += 1
            is_over = self._waits > MAX_RATE_LIMIT_WAITS or self._most == 1
        else:
            self._failures += not is_another
            is_over = self._failures >= self._most or self._most == 1
        seconds = error.retry_after
        if seconds is None:
            longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** max(self._failures - 1, 0))
            seconds = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if is_over or seconds > LONGEST_WAIT:
            raise error
        self._clock.sleep(max(seconds, 0.0))


def _retry_after(header: str | None, server_time: datetime) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - server_time).total_seconds(), 0.0)


def redirected(location: str, base_url: str) -> PermanentError:
    """The error for a redirect of the base URL. The key is never sent along."""
    parts = urlsplit(location)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    own = urlsplit(base_url)
    if not host or (host == own.hostname and port == own.port):
        return PermanentError(
            "the base URL redirects, as a login page or a wrong address does",
            "Check gainsight.base_url: it must be the tenant's own host.",
        )
    target = f"{host}:{port}" if port else host
    return PermanentError(
        f"the base URL redirects to host {target}: set that as gainsight.base_url",
        "The key was not sent there; make sure that the host is your tenant's.",
    )


def network_error(error: Exception, what: str, base_url: str) -> PipelineError:
    """The error for a network failure; `what` names the request."""
    host = urlsplit(base_url).netloc
    if isinstance(error, requests.exceptions.SSLError):
        return PermanentError(
            f"the certificate of {host} isn't trusted",
            "Check gainsight.base_url, or point REQUESTS_CA_BUNDLE to your company's certificate authority.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout | urllib3.exceptions.ConnectTimeoutError):
        return TransientError(f"{host} does not accept connections", "Check the network, and try again later.")
    if _is_read_timeout(error):
        return SlowAnswer(f"Gainsight didn't respond to the {what} in time", "Try again later.")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientError(f"the proxy for {host} failed", "Check HTTPS_PROXY.")
    if _is_unknown_host(error):
        return TransientError(f"the host {host} is unknown", "Check gainsight.base_url and the network.")
    if isinstance(error, requests.exceptions.ConnectionError) and "refused" in str(error).casefold():
        return TransientError(f"{host} refuses connections", "Check gainsight.base_url and the network.")
    return TransientError(f"the connection to {host} was lost during the {what}", "Try again later.")


def _is_read_timeout(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ReadTimeout | urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, urllib3.exceptions.ReadTimeoutError)


def _is_unknown_host(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, urllib3.exceptions.NameResolutionError)
