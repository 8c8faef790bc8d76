"""Log lines on standard error: logfmt or JSON, one line each, a fixed sentence and key=value."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")
_HIDDEN = "<secret>"


class _Line(logging.Formatter):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return {name: self._redacted(text) for name, text in fields.items()}

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


class LogfmtLine(_Line):
    """`time=… level=info logger=… msg="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_quoted(text)}" for name, text in self._fields(record).items())


class JsonLine(_Line):
    """The same fields as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self._fields(record), ensure_ascii=False)


def configure(level: str, line_format: str, secrets: Sequence[str] = ()) -> None:
    """Send every log line to standard error. `secrets` never appear in one, wherever they come from."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine(secrets) if line_format == "json" else LogfmtLine(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _quoted(text: str) -> str:
    plain = text and not any(char.isspace() or char in '"=' for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
