"""The HTTP side of Gainsight: one session, one place for retries, limits on everything that comes back.

Speaks the calls of Gainsight's "Data Management APIs" (object list, describe) and of the Read API of "Custom Object
API" and "Company API". Knows nothing of paging (reader.py) and of quotas: ``before_call`` is asked before each request.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
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

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte; public clients use 15 to 300
MAX_ANSWER_SECONDS = 300.0  # from sending to the last byte, however steadily it drips
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # decoded; 5,000 timeline entries of 1.6 KB are 8 MB

MAX_TRIES = 5  # of one call, after transient failures
FIRST_BACKOFF = 1.0  # seconds, doubled with each try
LONGEST_BACKOFF = 30.0  # seconds
MAX_RATE_LIMIT_WAITS = 3  # windows of a minute; after that it is the day's limit that is gone
WEB_PAGES_TO_DOUBT_THE_HOST = 3  # before any answer: a page once may be maintenance, always it is the wrong address
LONGEST_WAIT = 120.0  # seconds that an answer may ask to wait before it is handed on as an error

_CHUNK = 256 * 1024
OBJECT_LIST = "/v1/meta/services/objects/list?po=company&em=false"
# ic: no children, cl: no child levels, idd: with details; the flags that public clients send in production.
_DESCRIBE = "/v1/meta/services/objects/{name}/describe?ic=false&cl=0&idd=true&ihc=false&piec=false"
_DROPDOWN = "/v1/meta/services/dropdowns/{category}"
_QUERY = "/v1/data/objects/query/{name}"


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to one query.

    ``records`` are keyed by the names as selected; keys that the tenant left out are missing. ``server_time`` is the
    answer's Date header (else the clock's time), aware, UTC. ``cleaned`` counts strings, keys and numbers that
    PostgreSQL would not have taken. ``limit`` is the limit that was sent in the end (a retry may ask for less).
    """

    records: list[dict[str, Any]]
    server_time: datetime
    size_bytes: int
    cleaned: int
    limit: int


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as it came, good or not, for finding out how a tenant answers."""

    status: int
    envelope: Mapping[str, Any]

    @property
    def code(self) -> str:
        """Gainsight's error code; "" if there is none."""
        return code_of(self.envelope)

    def records(self) -> list[dict[str, Any]]:
        """Its records.

        Raises:
            PermanentError: it holds none.
        """
        try:
            return records_of(self.envelope)
        except NotJson as error:
            raise PermanentError(f"Gainsight's answer can't be read: {error}") from None

    def raise_unless_empty(self) -> None:
        """Raises what a refusal means, unless that is "no data"."""
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
    """The base URL without a slash at its end: https, or http on a loopback address, a host and nothing behind it.

    Raises:
        SettingsError: with what would do.
    """
    parts = urlsplit(url.strip())
    host = parts.hostname
    try:
        port = parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("https", "http"):
        raise SettingsError(
            "gainsight.base_url is no web address", "Write it like https://your-tenant.gainsightcloud.com."
        )
    if parts.username or parts.password:
        raise SettingsError("gainsight.base_url holds a user name or password", "Leave out everything before the host.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError("gainsight.base_url goes on after the host", f"Write only {parts.scheme}://{host}.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError("gainsight.base_url is http, over which the key would be readable", "Write https://.")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port}" if port else f"{parts.scheme}://{shown}"


class GainsightClient:
    """One connection to one tenant. Not for two threads at once; any single thread may use it.

    Args:
        base_url: see :func:`checked_base_url`.
        credential: an API key goes into the ``accesskey`` header; an OAuth client is exchanged for a token first.
        clock: for waits and durations.
        before_call: called with the kind of call before each request (retries too); may wait, may raise RateLimited.
        on_refusal: called with the seconds that Gainsight wants no call for, when it has refused one by rate.
        connect_timeout: seconds.
        read_timeout: seconds without a byte.
        max_response_bytes: of a decoded body.
        max_answer_seconds: from sending to the last byte.
        max_tries: of one call after transient failures. With 1 nothing is ever waited for: a person is looking.
        user_agent: how we introduce ourselves.

    Raises:
        SettingsError: a base URL that can't be used.
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
        """Gives the connection back, and ends a call that another thread has under way: it makes no further one."""
        self._is_closed = True
        self._deadline.cut()
        self._session.close()

    def list_objects(self) -> list[ObjectInfo]:
        """The objects that the key can see, readable or not.

        Raises:
            PipelineError: as the tree in gainsight/errors.py.
        """
        envelope = self._ask("metadata", "list of objects", "GET", OBJECT_LIST)
        return object_infos(envelope.get("data"))

    def describe(self, object_name: str) -> ObjectSchema:
        """One object with its fields.

        Raises:
            UnknownObject: the tenant has none of that name.
            PipelineError: as the tree in gainsight/errors.py.
        """
        path = _DESCRIBE.format(name=check_object_name(object_name))
        envelope = self._ask("metadata", f"describe of {object_name}", "GET", path)
        schema = object_schema(envelope.get("data"), object_name)
        if schema is None:
            raise UnknownObject(
                f"Gainsight's describe of {object_name} doesn't hold that object",
                "Pick a name from `gainsight-pipelines objects`.",
            )
        return schema

    def picklist_options(self, category_id: str) -> tuple[PicklistOption, ...]:
        """The items of a picklist's category (:attr:`Field.picklist_category`), inactive ones included.

        Raises:
            PipelineError: as the tree in gainsight/errors.py.
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
        """The records that answer a query; "no data" is an empty page.

        Args:
            object_name: which object.
            query: what to ask.
            kind: under which the call is counted: query, links, sweep, probe, ….
            shrink: after a timeout, a 5xx or an answer over a limit: gives a smaller query for the next try, or None
                if it can't be made smaller.

        Raises:
            UnknownObject, UnknownField, PipelineError: as the tree in gainsight/errors.py.
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
                # As long as it can be made smaller, the question isn't the same one again.
                tries.wait_or_raise(error, is_another=smaller is not None)
                query = smaller or query
            except TransientError as error:
                tries.wait_or_raise(error)

    def ask_raw(self, object_name: str, body: Mapping[str, Any]) -> RawAnswer:
        """One query as it stands, and the answer as it came: refusals too. Asked once.

        Raises:
            PipelineError: what came isn't Gainsight's at all, or nothing came.
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
            raise PermanentError(f"Gainsight's answer to the {what} can't be read: {error}") from None
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
        """One request and its whole body, one at a time: a reader in a thread of its own shares the client.

        Raises TransientError for what the network does.
        """
        with self._one_at_a_time:
            if self._oauth is None:
                return self._send_now(kind, what, method, path, body)
            is_new = self._token.is_due(self._clock.monotonic())
            if is_new:
                self._renew_token(self._oauth)
            answer = self._send_now(kind, what, method, path, body)
            if answer.status == 401 and not is_new:
                # It may have been revoked, or expired earlier than it said.
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
        self._raise_if_closed()  # that may have waited
        self.calls[kind] += 1
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            with self._deadline.exchange():
                # A redirect would carry the key to another host: it is an error with the address to set instead.
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
            # The connection may hold the rest of a broken answer: the next try gets a new one.
            self._session.close()
            if self._deadline.has_passed:
                raise self._too_slow(what) from None
            raise network_error(error, what, self.base_url) from None

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise PermanentError("The run that this call to Gainsight was for has ended.")

    def _too_slow(self, what: str) -> SlowAnswer:
        return SlowAnswer(
            f"Gainsight's answer to the {what} takes longer than {self._deadline.seconds:g} seconds",
            "It is worth another try later.",
        )

    def _read(self, response: requests.Response, what: str) -> _Answer:
        chunks, size = [], 0
        with response:
            # read1 gives what has arrived: so what comes is counted at once.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                chunks.append(chunk)
                size += len(chunk)
                self.bytes_received += len(chunk)
                if size > self._max_bytes:
                    raise TooLargeAnswer(
                        f"Gainsight's answer to the {what} is larger than {self._max_bytes:,} bytes",
                        "Ask for fewer fields or records.",
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
        """The JSON object of a good answer, and what was cleaned in it. Raises the error that another one means."""
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
            # Fixed windows by the wall clock, theirs rather than ours.
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
            message = f"a web page came in place of Gainsight's answer to the {what}"
            self._web_pages += 1
            if self._has_answered or self._web_pages < min(WEB_PAGES_TO_DOUBT_THE_HOST, self._max_tries):
                return TransientError(message, "A gateway is in the way; it is worth another try later.")
            return PermanentError(
                message, "Check gainsight.base_url (the tenant's own host) and proxies or logins on the way."
            )
        return TransientError(f"Gainsight's answer to the {what} is damaged: {error}", "It is worth another try later.")

    def _server_time(self, header: str | None) -> datetime:
        if header:
            try:
                moment = parsedate_to_datetime(header)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        return self._clock.now()


class _Tries:
    """How often one call has failed, and how long to wait before it is tried again."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._failures = 0
        self._waits = 0

    def wait_or_raise(self, error: TransientError, *, is_another: bool = False) -> None:
        """Waits before the next try; one with another question doesn't count among those of this one.

        Raises:
            TransientError: the error itself, when it has been tried often enough or is asked to wait too long.
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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _retry_after(header: str | None, server_time: datetime) -> float | None:
    """Seconds out of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
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
    """What a redirect of the base URL means; it is never followed with the key."""
    parts = urlsplit(location)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    own = urlsplit(base_url)
    if not host or (host == own.hostname and port == own.port):
        return PermanentError(
            "the base URL redirects, as a login page or a wrong address does",
            "Check gainsight.base_url: it has to be the tenant's own host.",
        )
    target = f"{host}:{port}" if port else host
    return PermanentError(
        f"the base URL redirects to host {target}: set that as gainsight.base_url",
        "The key was not sent there; make sure that the host is your tenant's.",
    )


def network_error(error: Exception, what: str, base_url: str) -> PipelineError:
    """What a failure of the network means, at the question that `what` names."""
    host = urlsplit(base_url).netloc
    if isinstance(error, requests.exceptions.SSLError):
        return PermanentError(
            f"the certificate of {host} isn't trusted",
            "Check gainsight.base_url, or point REQUESTS_CA_BUNDLE to your company's certificate authority.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout | urllib3.exceptions.ConnectTimeoutError):
        return TransientError(f"{host} takes no connection", "Check the network; it is worth another try later.")
    if _is_read_timeout(error):
        return SlowAnswer(f"Gainsight didn't answer the {what} in time", "It is worth another try later.")
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientError(f"the proxy on the way to {host} fails", "Check HTTPS_PROXY.")
    if _is_unknown_host(error):
        return TransientError(f"the host {host} isn't known", "Check gainsight.base_url and the network.")
    if isinstance(error, requests.exceptions.ConnectionError) and "refused" in str(error).casefold():
        return TransientError(f"{host} refuses connections", "Check gainsight.base_url and the network.")
    return TransientError(
        f"the connection to {host} was lost in the middle of the {what}", "It is worth another try later."
    )


def _is_read_timeout(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ReadTimeout | urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, urllib3.exceptions.ReadTimeoutError)


def _is_unknown_host(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, urllib3.exceptions.NameResolutionError)
