"""One POST of JSON by requests: bounded in time and size, no redirects, no secret in any error."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from alerter.model import DeliveryError
from alerter.notify.answers import CONNECT_S, LIMIT_S, UNPRINTABLE, Answer, Scrubber
from alerter.notify.deadline import Deadline, never_left, obey_deadlines
from alerter.notify.lean_requests import requests

_MOST_BYTES = 64 * 1024


class Poster:
    """Posts JSON to one URL, which is a secret. Use it from one thread at a time."""

    def __init__(
        self,
        url: str,
        *,
        limit_s: float = LIMIT_S,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        """`secrets` are those beside the URL. Raises ValueError, without the URL, if it is none."""
        if not _is_url(url):
            raise ValueError("not an http or https URL")
        self._url = url
        self._headers = dict(headers or {})
        self._limit_s = limit_s
        self._session: requests.Session | None = None
        self.scrub = Scrubber(url, *secrets)

    def __repr__(self) -> str:
        return f"Poster({urlsplit(self._url).hostname})"

    def post(self, body: bytes) -> Answer:
        """The answer, whatever its status. Raises DeliveryError, retryable, if there was none."""
        with Deadline(self._limit_s) as deadline:
            answer, problem, left = self._try(body)
        if answer is None:
            reason = f"no answer within {self._limit_s:g} s" if deadline.passed else problem
            raise DeliveryError(reason, retryable=True, answered=not left)
        return answer

    def _try(self, body: bytes) -> tuple[Answer | None, str, bool]:
        """The answer, or what kept it away and whether the request may have left.

        The errors themselves quote the URL, so their names must do.
        """
        if self._session is None:
            self._session = _session()
        headers = {"Content-Type": "application/json; charset=utf-8", **self._headers}
        try:
            response = self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=(CONNECT_S, self._limit_s),
                allow_redirects=False,
                stream=True,
                auth=_as_it_is,
            )
        except (requests.RequestException, HTTPError, OSError, ValueError) as err:
            return None, _named(err), not never_left(err)
        with response:
            text, complete = _read(response)
            names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, names, text, complete), "", True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https") and not UNPRINTABLE.search(text) and " " not in text


def _session() -> requests.Session:
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines hold the path, which is the secret
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
    obey_deadlines(adapter.poolmanager)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _read(response: requests.Response) -> tuple[str, bool]:
    """The start of the body, and whether all of what was wanted came."""
    parts: list[bytes] = []
    size, complete = 0, False
    try:
        while size < _MOST_BYTES and (part := response.raw.read1(_MOST_BYTES, decode_content=True)):
            parts.append(part)
            size += len(part)
        complete = True
    except (HTTPError, OSError, ValueError, AttributeError):
        pass  # a connection that was cut loses its file object too
    return b"".join(parts).decode("utf-8", "replace"), complete


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No login from the user's .netrc, which would replace a token."""
    return request


_NAMES = (
    (requests.exceptions.SSLError, "TLS failed"),
    (requests.exceptions.ProxyError, "the proxy cannot be reached"),
    (requests.exceptions.ConnectTimeout, "connecting timed out"),
    (requests.exceptions.Timeout, "no answer in time"),
    (requests.exceptions.ConnectionError, "connection failed"),
)


def _named(err: Exception) -> str:
    name = next((text for kind, text in _NAMES if isinstance(err, kind)), type(err).__name__)
    cause = _system_error(err)
    return f"{name}: {cause}" if cause else name


def _system_error(err: BaseException | None) -> str:
    """The operating system's words beneath an error, which hold no address."""
    for _ in range(8):
        if err is None:
            return ""
        if isinstance(err, OSError) and err.strerror and isinstance(err.errno, int):
            return err.strerror
        inner = next((arg for arg in (*err.args, getattr(err, "reason", None)) if isinstance(arg, BaseException)), None)
        err = err.__cause__ or inner or err.__context__
    return ""
