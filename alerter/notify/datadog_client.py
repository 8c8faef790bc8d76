"""The Datadog client, made safe: one try, no redirects, an end to every call, and errors without the key."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from alerter.model import DeliveryError
from alerter.notify.answers import CONNECT_S, LIMIT_S, Answer, Scrubber, is_temporary, retry_after_s

_SITE = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?")
_KEY = re.compile(r"[\x21-\x7e]+")


def api_url(site: str | None, url: str = "") -> str:
    """Where the API is: another endpoint if one is given, else that of the site (DD_SITE). Raises ValueError."""
    if url:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"datadog.api_url: {url!r}: not an http or https URL")
        return url.rstrip("/")
    site = site or "datadoghq.com"
    if not _SITE.fullmatch(site):
        raise ValueError("DD_SITE: not the name of a site, such as datadoghq.eu")
    return f"https://api.{site}"


class DatadogClient:
    """Calls v1 endpoints, from any thread. The libraries are imported at the first call.

    Raises ValueError for a key that cannot be one.
    """

    def __init__(self, api_key: str, url: str, now: Callable[[], float], limit_s: float = LIMIT_S) -> None:
        if not _KEY.fullmatch(api_key):
            raise ValueError("DATADOG_API_KEY: it holds characters that no key has")
        self._key = api_key
        self._url = url
        self._now = now
        self._limit_s = limit_s
        self._scrub = Scrubber(api_key)
        self._client: Any = None
        self._making = threading.Lock()

    def __repr__(self) -> str:
        return f"DatadogClient({self._url})"

    def create_event(self, request: Any) -> None:
        """Returns once the event is accepted. Raises DeliveryError."""
        from datadog_api_client.v1.api.events_api import EventsApi

        self._call(partial(EventsApi(self._api()).create_event, body=request))  # type: ignore[no-untyped-call]  # the client is untyped

    def submit_metrics(self, payload: Any) -> None:
        """Returns once the series are accepted. Raises DeliveryError."""
        from datadog_api_client.v1.api.metrics_api import MetricsApi
        from datadog_api_client.v1.model.metric_content_encoding import MetricContentEncoding

        submit = MetricsApi(self._api()).submit_metrics  # type: ignore[no-untyped-call]  # the client is untyped
        deflate = MetricContentEncoding("deflate")  # type: ignore[no-untyped-call]  # the client is untyped
        self._call(partial(submit, body=payload, content_encoding=deflate))

    def submit_checks(self, checks: Any) -> None:
        """Returns once the service checks are accepted. Raises DeliveryError."""
        from datadog_api_client.v1.api.service_checks_api import ServiceChecksApi

        submit = ServiceChecksApi(self._api()).submit_service_check  # type: ignore[no-untyped-call]  # the client is untyped
        self._call(partial(submit, body=checks))

    def _api(self) -> Any:
        with self._making:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        from datadog_api_client.api_client import ApiClient
        from datadog_api_client.configuration import Configuration
        from urllib3 import Retry

        from alerter.notify.deadline import obey_deadlines

        configuration = Configuration(  # type: ignore[no-untyped-call]  # the client is untyped
            host=self._url,
            api_key={"apiKeyAuth": self._key},
            request_timeout=(CONNECT_S, self._limit_s),
            enable_retry=False,
            retry_policy=Retry(total=False),
            preload_content=False,  # an accepted request must not fail for what its answer looks like
        )
        made = ApiClient(configuration)
        obey_deadlines(made.rest_client.pool_manager)
        return made

    def _call(self, request: Callable[[], Any]) -> None:
        from alerter.notify.deadline import Deadline

        with Deadline(self._limit_s) as deadline:
            error = self._try(request)
        if error is not None and deadline.passed and error.retryable:
            error = DeliveryError(f"no answer within {self._limit_s:g} s", retryable=True, answered=False)
        if error is not None:
            raise error

    def _try(self, request: Callable[[], Any]) -> DeliveryError | None:
        from datadog_api_client.exceptions import ApiException, OpenApiException
        from urllib3.exceptions import HTTPError

        from alerter.notify.deadline import never_left

        try:
            response = request()
        except ApiException as err:
            return self._refusal(err)
        except (HTTPError, OSError) as err:
            return DeliveryError(f"no connection: {type(err).__name__}", retryable=True, answered=never_left(err))
        except (OpenApiException, ValueError) as err:
            return DeliveryError(self._scrub(f"not sendable: {err}"), retryable=False)
        _drain(response)
        return None

    def _refusal(self, err: Any) -> DeliveryError:
        status = int(err.status or 0)
        if not status:
            return DeliveryError("TLS failed", retryable=True)
        headers = {name.lower(): value for name, value in (err.headers or {}).items()}
        if status == 429 and "retry-after" not in headers:
            headers["retry-after"] = headers.get("x-ratelimit-reset", "")
        wait = retry_after_s(Answer(status, headers, "", True), self._now()) if is_temporary(status) else None
        reason = self._scrub(f"{status} {_words(err.body) or err.reason or ''}")
        return DatadogRefusal(reason, status, retryable=is_temporary(status), retry_after_s=wait)


class DatadogRefusal(DeliveryError):
    """Datadog answered, with this status."""

    def __init__(self, reason: str, status: int, *, retryable: bool, retry_after_s: float | None) -> None:
        super().__init__(reason, retryable=retryable, retry_after_s=retry_after_s)
        self.status = status


def _words(body: object) -> str:
    """What `{"errors": [...]}` says; "" for pages of proxies."""
    if isinstance(body, dict) and isinstance(body.get("errors"), list):
        return "; ".join(map(str, body["errors"]))
    return "" if not isinstance(body, str) or body.lstrip().startswith("<") else body


def _drain(response: Any) -> None:
    """Read the rest of an accepted request's answer, so that the connection can be used again."""
    from urllib3.exceptions import HTTPError

    try:
        response.read(64 * 1024)
        response.release_conn()
    except (HTTPError, OSError, ValueError, AttributeError):
        response.close()
