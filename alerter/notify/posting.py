"""One POST of JSON by requests: bounded in time and size, no redirects, no secret in any error."""

from __future__ import annotations

import email.utils
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from alerter.model import DeliveryError
from alerter.notify.deadline import Deadline, obey_deadlines

CONNECT_S = 5.0
LIMIT_S = 15.0
"""How long one exchange may take in all."""
_MOST_BYTES = 64 * 1024
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `complete` is False where the body broke off. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str
    complete: bool

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} if it is none."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or _UNPRINTABLE.search(url) or " " in url:
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
            answer, problem = self._try(body)
        if answer is None:
            reason = f"no answer within {self._limit_s:g} s" if deadline.passed else problem
            raise DeliveryError(reason, retryable=True)
        return answer

    def _try(self, body: bytes) -> tuple[Answer | None, str]:
        """The answer, or what kept it away: the errors themselves quote the URL, so their names must do."""
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
            )
        except (requests.RequestException, HTTPError, OSError, ValueError) as err:
            return None, _named(err)
        with response:
            text, complete = _read(response)
            names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, names, text, complete), ""


def _session() -> requests.Session:
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines hold the path, which is the secret
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
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


class Scrubber:
    """Takes secrets out of texts that others wrote."""

    def __init__(self, *secrets: str) -> None:
        pieces = set(secrets)
        for secret in secrets:
            parts = urlsplit(secret) if "://" in secret else None
            if parts is not None:
                pieces |= {parts.path, parts.query, *parts.path.split("/"), parts.password or "", parts.username or ""}
        pieces |= {unquote(piece) for piece in pieces}
        self._pieces = sorted((piece for piece in pieces if len(piece) >= 8), key=len, reverse=True)

    def __call__(self, text: str, most: int = 200) -> str:
        """The text in one printable line without the secrets."""
        for piece in self._pieces:
            text = text.replace(piece, "***")
        return _UNPRINTABLE.sub(" ", text).strip()[:most]


def retry_after_s(answer: Answer, now_s: float) -> float | None:
    """How long the receiver asks to be left alone: its Retry-After in seconds or as a date, else `retry_after`."""
    header = answer.headers.get("retry-after", "")
    wait = _number(header)
    if wait is None and header:
        date = email.utils.parsedate_tz(header)
        wait = email.utils.mktime_tz(date) - now_s if date else None
    if wait is None:
        wait = _number(answer.json().get("retry_after"))
    return None if wait is None else min(max(wait, 0.0), 3600.0)


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None
    return number if number == number else None


def is_temporary(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in (408, 425, 429) or 500 <= status < 600
