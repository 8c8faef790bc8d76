"""The same data in a real Prometheus: every answer over HTTP equals ours to 1e-9.

Debian's Prometheus is 2.42, so the queries keep off what changed with 3: windows that begin exactly at
a sample (the grid is off the 15 s beat, subqueries are not nested), how counters near 0 are stretched,
the order of equal values, names after atan2.
"""

from __future__ import annotations

import json
import math
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.model import METRIC_NAME, Labels, make_labels
from exporter.promql.answer import Matrix
from exporter.promql.engine import Engine
from exporter.promql.errors import ExecutionError
from exporter.promql.question import RangeQuery
from tests.promql.memory import Memory
from tests.servers import Servers, answers, binary, free_port

START_S = 1_700_000_000
SAMPLES = 600
FROM_S, TO_S = START_S + 3_607.1, START_S + 8_986.7

QUERIES = """
temp{host=~"h[0-3]", dc!="b"}
requests_total offset 3m
temp @ 1700005000.7
rate(requests_total[5m])
rate(requests_total[47s])
rate(requests_total[5m] offset -2m)
increase(requests_total[7m])
irate(requests_total[5m])
idelta(temp[5m])
delta(temp[11m])
deriv(temp[13m])
deriv(memory[31m])
predict_linear(memory[29m], 3600)
avg_over_time(temp[7m])
sum_over_time(temp[7m])
sum_over_time((temp - 50)[10m:30s])
min_over_time(temp[23m])
max_over_time(temp[23m])
count_over_time(late[23m])
stddev_over_time(temp[23m])
stdvar_over_time(temp[23m])
quantile_over_time(0.37, temp[13m])
last_over_time(temp[2m])
present_over_time(late[3m])
absent_over_time(late{x="y"}[3m])
absent(late{host="h0"})
changes(up[17m])
resets(requests_total[1h])
sum by (dc) (temp)
avg without (host) (temp)
max by (dc) (memory) - min by (dc) (memory)
count(late)
group by (dc) (up)
stddev by (dc) (temp)
stdvar(temp)
quantile by (dc) (0.2, temp)
topk(3, temp)
bottomk by (dc) (2, temp)
count_values by (dc) ("v", up)
histogram_quantile(0.9, rate(latency_bucket[5m]))
histogram_quantile(0.5, sum by (le, dc) (rate(latency_bucket[5m])))
histogram_quantile(1.5, latency_bucket)
temp > 50
50 < bool temp
temp * on (dc) group_left (version) info
info * on (dc) group_right temp
temp / on (host, dc) up
temp and up == 1
(temp > 50) * 2 or temp < 20
temp unless on (host) late
-temp ^ 2 % 7
abs(temp - 60)
round(temp, 5)
clamp(temp, 40, 60)
clamp_max(temp, 45)
ln(temp) + exp(temp / 100) - sqrt(abs(temp))
sin(temp) + cos(temp) * tan(temp)
timestamp(temp offset 1m)
hour() * 60 + minute(timestamp(up))
day_of_week(timestamp(up)) + day_of_year() + days_in_month() + month() + year()
temp - scalar(sum(up))
vector(time()) % 7
label_replace(temp, "x", "$1-y", "host", "h(.*)")
label_join(temp, "x", "-", "dc", "host")
max_over_time(rate(requests_total[2m])[20m:1m])
avg_over_time(sum(up)[17m:1m])
max_over_time((temp > 60)[10m:17s])
sum by (dc) (rate(requests_total[5m])) / count by (dc) (up)
sum({__name__=~"temp|up"}) by (__name__)
temp + on (dc) info
temp * on (dc) temp
""".strip().splitlines()


@dataclass(frozen=True)
class Both:
    """One fleet's samples, in a Prometheus and before our engine."""

    url: str
    engine: Engine

    def ask(self, query: str, step_s: int) -> dict[str, Any]:
        form = urllib.parse.urlencode({"query": query, "start": FROM_S, "end": TO_S, "step": step_s})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{form}") as reply:
                answer: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as err:
            answer = json.load(err)
        return answer


def _fleet() -> Memory:
    rng = np.random.default_rng(7)
    memory = Memory()
    for i in range(6):
        labels = {"host": f"h{i}", "dc": "ab"[i % 2]}
        requests = 1e6 + rng.integers(0, 30, SAMPLES).cumsum()
        requests[300:] -= requests[300] - 1e6 if i == 4 else 0
        _put(memory, "requests_total", labels, requests, rng.random(SAMPLES) > (0.1 if i == 1 else 0))
        _put(memory, "temp", labels, rng.normal(50, 20, SAMPLES), rng.random(SAMPLES) > (0.1 if i == 3 else 0))
        _put(memory, "memory", labels, 8e9 + rng.normal(0, 1e6, SAMPLES).cumsum(), np.ones(SAMPLES, dtype=bool))
        _put(memory, "up", labels, (rng.random(SAMPLES) > 0.05).astype(float), np.ones(SAMPLES, dtype=bool))
        if i < 3:
            _put(memory, "late", labels, np.arange(SAMPLES) % 7.0, np.arange(SAMPLES) >= 400)
        counts = rng.integers(0, 20, (4, SAMPLES)).cumsum(axis=1).cumsum(axis=0).astype(float)
        for le, row in zip(("0.1", "0.5", "1", "+Inf"), counts, strict=True):
            _put(memory, "latency_bucket", {**labels, "le": le}, row, np.ones(SAMPLES, dtype=bool))
    for dc in "ab":
        _put(memory, "info", {"dc": dc, "version": f"v{dc}"}, np.ones(SAMPLES), np.ones(SAMPLES, dtype=bool))
    return memory


def _put(memory: Memory, name: str, labels: dict[str, str], values: Any, there: Any) -> None:
    own = make_labels({**labels, METRIC_NAME: name})
    for i in np.flatnonzero(there).tolist():
        memory.put(own, (START_S + 15 * i) * 1000, float(values[i]))


def _open_metrics(memory: Memory) -> Iterator[str]:
    last = ""
    for labels, points in sorted(memory.samples.items(), key=lambda item: dict(item[0])[METRIC_NAME]):
        name = dict(labels)[METRIC_NAME]
        if name != last:
            yield f"# TYPE {name} unknown\n"
            last = name
        pairs = ",".join(f'{key}="{value}"' for key, value in labels if key != METRIC_NAME)
        yield from (f"{name}{{{pairs}}} {value!r} {t_ms // 1000}\n" for t_ms, value in points.items())
    yield "# EOF\n"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("against")
    memory = _fleet()
    (folder / "fleet.txt").write_text("".join(_open_metrics(memory)))
    tsdb = str(folder / "tsdb")
    load = [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(folder / "fleet.txt"), tsdb]
    subprocess.run(load, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("global: {}\n")
    with Servers(folder) as servers:
        port = free_port()
        command = [
            binary("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={tsdb}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        url = f"http://127.0.0.1:{port}"
        servers.start(command, port, lambda: answers(f"{url}/-/ready"))
        yield Both(url, Engine(memory))


@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_gives_the_same_answer(both: Both, query: str) -> None:
    for step_s in (17, 61):
        theirs = both.ask(query, step_s)
        try:
            ours = both.engine.range(RangeQuery(query, round(FROM_S * 1000), round(TO_S * 1000), step_s * 1000)).value
        except ExecutionError as err:
            assert theirs["status"] == "error", theirs
            assert theirs["errorType"] == "execution", err
            continue
        assert theirs["status"] == "success", theirs
        assert isinstance(ours, Matrix)
        expected = {
            make_labels(row["metric"]): {round(t * 1000): float(value) for t, value in row["values"]}
            for row in theirs["data"]["result"]
        }
        found = {labels: dict(zip(t.tolist(), v.tolist(), strict=True)) for labels, t, v in ours.series()}
        assert found.keys() == expected.keys()
        for labels, points in expected.items():
            _assert_same(labels, found[labels], points)


def _assert_same(labels: Labels, found: dict[int, float], expected: dict[int, float]) -> None:
    assert found.keys() == expected.keys(), labels
    for t_ms, value in expected.items():
        both_nan = math.isnan(value) and math.isnan(found[t_ms])
        assert both_nan or math.isclose(found[t_ms], value, rel_tol=1e-9), (labels, t_ms, found[t_ms], value)
