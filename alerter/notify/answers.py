"""What receivers answer, and what is made of it: whether to try again, when, and a reason without secrets."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

CONNECT_S = 5.0
LIMIT_S = 15.0
"""How long one exchange may take in all."""

UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")


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
        except (ValueError, RecursionError):
            return {}
        return parsed if isinstance(parsed, dict) else {}


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
        return UNPRINTABLE.sub(" ", text).strip()[:most]


def retry_after_s(answer: Answer, now_s: float) -> float | None:
    """How long the receiver asks to be left alone: its Retry-After in seconds or as a date, else `retry_after`."""
    header = answer.headers.get("retry-after", "")
    wait = _number(header)
    if wait is None and header:
        wait = _until(header, now_s)
    if wait is None:
        wait = _number(answer.json().get("retry_after"))
    return None if wait is None else min(max(wait, 0.0), 3600.0)


def _until(date: str, now_s: float) -> float | None:
    """Seconds from now to an HTTP date, None if it is none."""
    parsed = email.utils.parsedate_tz(date)
    try:
        return email.utils.mktime_tz(parsed) - now_s if parsed else None
    except (ValueError, OverflowError):
        return None


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
