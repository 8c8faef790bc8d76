"""A running exporter over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from exporter.common_settings import host_and_port
from exporter.config import Config
from exporter.settings import secret
from exporter.transfer.errors import Unusable

_TIMEOUT_S = 30.0


class Refused(Exception):
    """The exporter cannot be reached, or does not do what it is asked for. One line."""


def running(config: Config, url: str | None, environ: Mapping[str, str]) -> Exporter:
    """The exporter at a URL, else where it is set to listen. Raises Unusable."""
    host, port = host_and_port(config.web.listen_address)
    shown = f"[{host}]" if ":" in host else host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 (listens there)
    url = url or f"http://{shown}:{port}"
    if not url.startswith(("http://", "https://")):
        raise Unusable(f"--url: {url!r}: must start with http:// or https://")
    return Exporter(url, secret("OPENMANAGER_TOKEN", environ))


class Exporter:
    """Asks the exporter at a URL, with a token where one is needed. Raises Refused."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url, self._token = url.rstrip("/"), token

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._asked("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The JSON that answers a JSON body."""
        return self._asked("POST", path, body)

    def delete(self, path: str) -> None:
        """What is at a path is no more."""
        self._asked("DELETE", path, None)

    def _asked(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method)  # noqa: S310 (checked scheme)
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 (checked scheme)
                text = response.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as err:
            raise Refused(f"{self._url}: {_told(err)}") from None
        except urllib.error.URLError as err:
            raise Refused(f"{self._url}: {getattr(err.reason, 'strerror', None) or err.reason}") from None
        except (OSError, ValueError) as err:
            raise Refused(f"{self._url}: {err}") from None


def _told(err: urllib.error.HTTPError) -> str:
    try:
        error = json.loads(err.read())["error"]
        return str(error if isinstance(error, str) else error["message"])
    except (ValueError, KeyError, TypeError):
        return f"{err.code} {err.reason}"
