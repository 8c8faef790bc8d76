"""Remote write 1.0 in, from our own encoder and from a real Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from exporter.access import Access
from exporter.model import Family, Labels, SeriesSet
from exporter.remote_write import WriteRequest, Written, encode
from exporter.web.remote_write import series_sets
from tests.servers import Servers, wait_until
from tests.web.site import site

URL = "/api/prometheus/api/v1/write"
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
ALERTS: Labels = (("__name__", "ALERTS"), ("alertname", "A"), ("alertstate", "firing"))
UP: Labels = (("__name__", "up"),)


class Kept:
    """Keeps everything."""

    def __init__(self) -> None:
        self.samples: dict[tuple[Labels, int], float] = {}

    def __call__(self, sets: Sequence[SeriesSet], families: Iterable[Family]) -> int:
        found = {
            (labels, t): value
            for series in sets
            for labels, row in zip(series.labels, series.values.tolist(), strict=True)
            for t, value in zip(series.t_ms.tolist(), row, strict=True)
        }
        self.samples |= found
        return len(found)


async def test_what_is_written_is_kept() -> None:
    kept = Kept()
    async with site(ingest=kept) as client:
        body = encode([Written(ALERTS, [1000, 2000], [1.0, 0.0]), Written(UP, [1000], [1.0])])
        async with client.post(URL, data=body, headers=HEADERS) as response:
            assert response.status == 204
    assert kept.samples == {(ALERTS, 1000): 1.0, (ALERTS, 2000): 0.0, (UP, 1000): 1.0}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", HEADERS, 400),
        (b"\x05hello", HEADERS, 400),
        (b"\xff" * 100, HEADERS, 400),
        (encode([Written((("a", "b"),), [1], [1.0])]), HEADERS, 400),
        (b"x", {**HEADERS, "Content-Type": "application/json"}, 415),
        (b"x", {**HEADERS, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        (b"x", {**HEADERS, "Content-Encoding": "gzip"}, 415),
        (b"x" * (33 << 20), HEADERS, 413),
    ],
)
async def test_anything_else_is_refused_for_good(body: bytes, headers: dict[str, str], status: int) -> None:
    kept = Kept()
    async with site(ingest=kept) as client, client.post(URL, data=body, headers=headers) as response:
        assert response.status == status
    assert kept.samples == {}


async def test_writing_needs_a_token_when_others_can_reach_it() -> None:
    async with (
        site(ingest=Kept(), local=False, access=Access()) as client,
        client.post(URL, data=encode([]), headers=HEADERS) as response,
    ):
        assert response.status == 403


def test_series_with_the_same_times_go_together_and_times_increase() -> None:
    request = WriteRequest(
        (Written(UP, [3, 1], [3.0, 1.0]), Written(ALERTS, [1, 3], [0.0, 1.0]), Written(UP, [3], [4.0]))
    )
    (series,) = series_sets(request)
    assert (list(series.labels), series.t_ms.tolist(), series.values.tolist()) == (
        [UP, ALERTS],
        [1, 3],
        [[1.0, 4.0], [0.0, 1.0]],
    )
    assert series_sets(WriteRequest((Written(UP, [], []),))) == []


async def test_a_real_prometheus_writes_to_it(servers: Servers) -> None:
    kept = Kept()
    async with site(ingest=kept) as client:
        base = f"127.0.0.1:{client.port}"
        config = f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ["{base}"]}}]}}]
remote_write: [{{url: "http://{base}{URL}", queue_config: {{batch_send_deadline: 100ms}}}}]
"""
        prometheus = await asyncio.to_thread(servers.prometheus, config)

        def names() -> set[Any]:
            return {dict(labels)["__name__"] for labels, _ in kept.samples}

        wanted = {"up", "openmanager_cpu_usage_percent"}
        await asyncio.to_thread(wait_until, lambda: wanted <= names(), "samples from Prometheus", 30)
        assert "non-recoverable" not in prometheus.output()
