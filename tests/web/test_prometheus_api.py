"""The Prometheus HTTP API, as its clients use it."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest
from aiohttp import ClientPayloadError
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model import format_value
from exporter.promql.answer import Answer, Matrix, SampleStatistics
from exporter.promql.cancellation import Cancellation
from exporter.promql.engine import Engine
from exporter.promql.question import RangeQuery
from exporter.web.answers import seconds
from exporter.web.body import Form
from exporter.web.parameters import parse_time, range_query
from exporter.web.prometheus_api import QueryLimits
from exporter.web.prometheus_metadata import unescape
from tests.web.fleet import T0_MS, FleetMaker
from tests.web.site import Client, Kept, site

API = "/api/prometheus/api/v1"
NOW = T0_MS / 1000 + 45
CPU = "openmanager_cpu_usage_percent"


async def asked(client: Client, path: str, status: int = 200, match: str = "", **parameters: Any) -> Any:
    """The JSON of a GET, whose status must be this; `match` is a `match[]`."""
    parameters |= {"match[]": match} if match else {}
    async with client.get(API + path, params=parameters) as response:
        body = await response.json()
        assert response.status == status, body
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return body


@pytest.mark.parametrize(
    ("query", "kind", "result"),
    [
        ("1+1", "scalar", [4, "2"]),
        ('"text"', "string", [4, "text"]),
        ("vector(1)", "vector", [{"metric": {}, "value": [4, "1"]}]),
        ("1/0", "scalar", [4, "+Inf"]),
        ("-1/0", "scalar", [4, "-Inf"]),
        ("0/0", "scalar", [4, "NaN"]),
        ("-0.0 * 1", "scalar", [4, "-0"]),
        ("1e21", "scalar", [4, "1000000000000000000000"]),
        ("1e-7", "scalar", [4, "0.0000001"]),
        ("vector(1e21)", "vector", [{"metric": {}, "value": [4, "1e+21"]}]),
        ("vector(1e-7)", "vector", [{"metric": {}, "value": [4, "1e-07"]}]),
    ],
)
async def test_an_instant_query_answers_by_type(query: str, kind: str, result: object) -> None:
    async with site() as client:
        body = await asked(client, "/query", query=query, time="4")
        assert body == {"status": "success", "data": {"resultType": kind, "result": result}}


async def test_a_vector_has_its_labels_and_a_range_selector_is_a_matrix() -> None:
    async with site() as client:
        body = await asked(client, "/query", query=f'{CPU}{{server="web-01",core="1"}}', time=NOW)
        metric = {"__name__": CPU, "core": "1", "server": "web-01"}
        assert body["data"]["result"] == [{"metric": metric, "value": [NOW, "40"]}]
        body = await asked(client, "/query", query=f"{CPU}{{server='web-01',core='1'}}[1000s]", time=NOW)
        times = [T0_MS / 1000 + 15 * tick for tick in (1, 2, 3)]
        assert body["data"] == {
            "resultType": "matrix",
            "result": [{"metric": metric, "values": [[t, "40"] for t in times]}],
        }


async def test_a_range_query_answers_with_a_matrix_with_holes_left_out() -> None:
    async with site() as client:
        query = 'openmanager_network_receive_bytes_total{server="db-01"} > 1500'
        body = await asked(client, "/query_range", query=query, start=NOW - 30, end=NOW, step="15s")
        assert [row["values"] for row in body["data"]["result"]] == [[[NOW - 15, "2000"], [NOW, "3000"]]]


async def test_time_defaults_to_now() -> None:
    async with site() as client:
        assert (await asked(client, "/query", query="time()"))["data"]["result"] == [NOW, format_value(NOW)]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "type_", "message"),
    [
        ("/query", {"query": "up{"}, 400, "bad_data",
         'invalid parameter "query": 1:4: parse error: unexpected end of input inside braces'),
        ("/query", {"query": "1", "time": "abc"}, 400, "bad_data",
         'invalid parameter "time": cannot parse "abc" to a valid timestamp'),
        ("/query", {"query": "1", "time": "NaN"}, 400, "bad_data",
         'invalid parameter "time": cannot parse "NaN" to a valid timestamp'),
        ("/query", {"query": "1", "timeout": "x"}, 400, "bad_data",
         'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("/query", {"query": "1", "limit": "-1"}, 400, "bad_data",
         'invalid parameter "limit": limit must be non-negative'),
        ("/query", {"query": "1", "limit": "x"}, 400, "bad_data",
         'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
        ("/query", {"query": "1", "lookback_delta": "x"}, 400, "bad_data",
         'error parsing lookback delta duration: cannot parse "x" to a valid duration'),
        ("/query_range", {"query": "1", "start": "1", "end": "0", "step": "1"}, 400, "bad_data",
         'invalid parameter "end": end timestamp must not be before start time'),
        ("/query_range", {"query": "1", "start": "0", "end": "1", "step": "0"}, 400, "bad_data",
         'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
         "Try a positive integer"),
        ("/query_range", {"query": "1", "start": "0", "end": "11001", "step": "1"}, 400, "bad_data",
         "exceeded maximum resolution of 11,000 points per timeseries. "
         "Try decreasing the query resolution (?step=XX)"),
        ("/query_range", {"query": "x[5m]", "start": "0", "end": "1", "step": "1"}, 400, "bad_data",
         'invalid parameter "query": invalid expression type "range vector" for range query, '
         "must be Scalar or instant Vector"),
        ("/series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("/query", {"query": "1", "limit": "9223372036854775808"}, 400, "bad_data",
         'invalid parameter "limit": strconv.Atoi: parsing "9223372036854775808": value out of range'),
        ("/series", {"match[]": '{a=~".*"}'}, 400, "bad_data",
         'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
        ("/series", {"match[]": "up{"}, 400, "bad_data",
         'invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces'),
        ("/labels", {"match[]": "up{"}, 400, "bad_data", "1:4: parse error: unexpected end of input inside braces"),
        ("/label/job/values", {"match[]": "{}"}, 400, "bad_data",
         "match[] must contain at least one non-empty matcher"),
        ("/metadata", {"limit": "x"}, 400, "bad_data", "limit must be a number"),
        ("/metadata", {"limit_per_metric": "1.5"}, 400, "bad_data", "limit_per_metric must be a number"),
        ("/query_exemplars", {"query": "up{"}, 400, "bad_data",
         "1:4: parse error: unexpected end of input inside braces"),
        ("/query_exemplars", {"query": "up", "start": "2", "end": "1"}, 400, "bad_data",
         "end timestamp must not be before start timestamp"),
        ("/label/0bad/values", {}, 400, "bad_data", 'invalid label name: "0bad"'),
        ("/query", {"query": f"{CPU} * on(server) {CPU}"}, 422, "execution", None),
    ],
)  # fmt: skip
async def test_errors_have_prometheus_envelope_status_and_text(
    path: str, parameters: dict[str, str], status: int, type_: str, message: str | None
) -> None:
    async with site() as client:
        body = await asked(client, path, status, **parameters)
        assert (body["status"], body["errorType"]) == ("error", type_)
        assert message in (None, body["error"])


async def test_eleven_thousand_steps_are_allowed() -> None:
    async with site() as client:
        body = await asked(client, "/query_range", query="1", start=0, end=11_000, step=1)
        assert len(body["data"]["result"][0]["values"]) == 11_001


async def test_the_body_comes_before_the_url_and_both_are_read() -> None:
    async with site() as client:
        async with client.post(f"{API}/query?query=2&time=5", data={"query": "1"}) as response:
            assert (await response.json())["data"]["result"] == [5, "1"]
        headers = {"Content-Type": "application/json"}  # as vmalert sends it
        async with client.post(f"{API}/query?query=2&step=300s&time=5", headers=headers) as response:
            assert (await response.json())["data"]["result"] == [5, "2"]


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/status/flags", 404), ("GET", "/nothing", 404), ("POST", "/metadata", 405), ("PUT", "/query", 405),
])  # fmt: skip
async def test_unknown_paths_and_wrong_methods_are_plain_text(method: str, path: str, status: int) -> None:
    async with site() as client, client.request(method, API + path) as response:
        assert response.status == status
        assert response.content_type == "text/plain"


async def test_options_are_answered_for_browsers() -> None:
    async with site() as client, client.options(f"{API}/query_range") as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"


async def test_a_limit_truncates_with_a_warning() -> None:
    async with site() as client:
        cases: list[tuple[str, dict[str, Any], int]] = [
            ("/query", {"query": CPU, "time": NOW}, 6),
            ("/query_range", {"query": CPU, "start": NOW, "end": NOW, "step": 1}, 6),
            ("/query", {"query": CPU + "[1m]", "time": NOW}, 6),
        ]
        for path, parameters, count in cases:
            body = await asked(client, path, limit=2, **parameters)
            assert len(body["data"]["result"]) == 2
            assert body["warnings"] == ["results truncated due to limit"]
            whole = await asked(client, path, limit=count, **parameters)
            assert len(whole["data"]["result"]) == count
            assert "warnings" not in whole
        body = await asked(client, "/labels", limit=1)
        assert (body["data"], body["warnings"]) == (["__name__"], ["results truncated due to limit"])


async def test_of_many_annotations_ten_are_told() -> None:
    async with site() as client:
        query = " or ".join(f"quantile({number}, {CPU})" for number in range(2, 15))
        body = await asked(client, "/query", query=query, time=NOW)
        assert len(body["warnings"]) == 11
        assert body["warnings"][0].startswith("PromQL warning: quantile value should be between 0 and 1, got 2")
        assert body["warnings"][-1] == "3 more warning annotations omitted"


async def test_statistics_are_told_when_asked_for() -> None:
    async with site() as client:
        body = await asked(client, "/query", query=CPU, time=NOW, stats="true")
        assert body["data"]["stats"]["samples"]["totalQueryableSamples"] == 6
        assert set(body["data"]["stats"]["timings"]) >= {"evalTotalTime", "execQueueTime", "execTotalTime"}
        assert "stats" not in (await asked(client, "/query", query=CPU, time=NOW))["data"]


async def test_large_answers_are_gzipped_for_who_accepts_it() -> None:
    async with site() as client:
        parameters: dict[str, Any] = {"query": CPU, "start": NOW - 30, "end": NOW, "step": "1"}
        headers = {"Accept-Encoding": "gzip"}
        async with client.get(f"{API}/query_range", params=parameters, headers=headers) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            packed = await response.json()
        headers = {"Accept-Encoding": "identity"}
        async with client.get(f"{API}/query_range", params=parameters, headers=headers) as response:
            assert "Content-Encoding" not in response.headers
            assert await response.json() == packed


MANY = "{{}}".join(f'label_replace(vector(time()), "row", "{row}", "", "")' for row in range(8)).replace("{{}}", " or ")
EVERY_SECOND: dict[str, Any] = {"query": MANY, "start": 0, "end": 11_000, "step": 1}


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_long_answer_comes_in_pieces_and_whole(encoding: str) -> None:
    async with site() as client:
        headers = {"Accept-Encoding": encoding}
        async with client.get(f"{API}/query_range", params=EVERY_SECOND, headers=headers) as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert response.headers.get("Content-Encoding", "identity") == encoding
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            rows = (await response.json())["data"]["result"]
    assert [row["metric"] for row in rows] == [{"row": str(row)} for row in range(8)]
    assert all(row["values"] == [[t, str(t)] for t in range(11_001)] for row in rows)


async def test_who_leaves_in_the_middle_of_an_answer_harms_nobody() -> None:
    async with site() as client:
        for _ in range(3):
            async with client.get(f"{API}/query_range", params=EVERY_SECOND) as response:
                assert (await response.content.readexactly(20)).startswith(b'{"status":"success"')
                response.close()
        assert (await asked(client, "/query", query="1", time="4"))["data"]["result"] == [4, "1"]


class Torn(Engine):
    """Answers that cannot be written to their end."""

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Answer:
        t_ms = np.arange(asked.start_ms, asked.end_ms + 1, asked.step_ms)
        nobody: Any = None  # a series without labels' names and values
        labels = [*[(("row", str(row)),) for row in range(12)], nobody]
        return Answer(Matrix(labels, t_ms, np.ones((13, len(t_ms)))), (), (), SampleStatistics(0, 0, t_ms))


async def test_an_answer_that_cannot_be_finished_does_not_look_finished() -> None:
    async with site(engine=Torn(Kept())) as client:
        asked_for = {**EVERY_SECOND, "stats": "all"}  # past the cache
        async with client.get(f"{API}/query_range", params=asked_for) as response:
            assert response.status == 200
            with pytest.raises(ClientPayloadError):
                await response.read()


async def test_labels_values_series_and_metadata() -> None:
    async with site() as client:
        assert (await asked(client, "/labels", match=CPU))["data"] == ["__name__", "core", "server"]
        assert (await asked(client, "/label/server/values"))["data"] == ["api-01", "db-01", "web-01"]
        assert (await asked(client, "/label/mount/values", match=CPU))["data"] == []
        assert (await asked(client, "/label/U__core/values"))["data"] == ["0", "1"]
        found = (await asked(client, "/series", match=f'{CPU}{{server="db-01"}}'))["data"]
        assert found == [{"__name__": CPU, "core": core, "server": "db-01"} for core in ("0", "1")]
        metadata = (await asked(client, "/metadata", metric=CPU))["data"]
        assert metadata == {CPU: [{"type": "gauge", "help": "CPU usage of a core.", "unit": "percent"}]}
        assert len((await asked(client, "/metadata", limit=2))["data"]) == 2
        assert (await asked(client, "/metadata", limit=0))["data"] == {}
        assert CPU in (await asked(client, "/metadata", limit=-1))["data"]


async def test_several_selectors_add_up() -> None:
    async with site() as client:
        parameters = [("match[]", "openmanager_service_up"), ("match[]", "openmanager_boot_time_seconds")]
        async with client.get(f"{API}/series", params=parameters) as response:
            assert len((await response.json())["data"]) == 6


async def test_buildinfo_looks_like_prometheus_and_not_like_mimir() -> None:
    async with site() as client:
        data = (await asked(client, "/status/buildinfo"))["data"]
        assert int(data["version"].split(".")[0]) >= 3
        assert "features" not in data


async def test_status_and_targets_answer() -> None:
    async with site() as client:
        for path in ("/status/runtimeinfo", "/status/tsdb", "/targets", "/scrape_pools", "/targets/metadata"):
            assert (await asked(client, path))["status"] == "success"
        targets = (await asked(client, "/targets"))["data"]["activeTargets"]
        assert [target["labels"]["instance"] for target in targets] == ["api-01", "db-01", "web-01"]
        assert (await asked(client, "/query_exemplars", query="up", start=1, end=2))["data"] == []


async def test_rules_and_alerts_are_empty_with_a_warning_while_the_alerter_is_away() -> None:
    async with site() as client:
        nothing: list[tuple[str, dict[str, list[object]]]] = [("/rules", {"groups": []}), ("/alerts", {"alerts": []})]
        for path, data in nothing:
            body = await asked(client, path)
            assert (body["status"], body["data"]) == ("success", data)
            assert "does not answer" in body["warnings"][0]


async def test_a_query_over_its_time_is_a_timeout() -> None:
    async with site() as client:
        body = await asked(client, "/query", 503, query=CPU, time=NOW, timeout="0")
        assert (body["errorType"], body["error"]) == ("timeout", "query timed out in expression evaluation")


class Endless(Engine):
    """Works until it is told to stop; but for `quick` queries, and ranges of anything but `endless`."""

    def __init__(self) -> None:
        super().__init__(Kept())
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def range(self, asked: RangeQuery, cancellation: Cancellation | None = None) -> Any:
        if asked.query == "endless":
            return self.instant("endless", 0, cancellation=cancellation)
        return super().range(asked, cancellation)

    def instant(self, query: str, t_ms: int, **options: Any) -> Any:
        if query == "quick":
            return super().instant("1", t_ms, **options)
        cancellation: Cancellation = options["cancellation"]
        self.loop.call_soon_threadsafe(self.began.set)
        try:
            while True:
                cancellation.check()
        finally:
            self.loop.call_soon_threadsafe(self.ended.set)


async def test_a_query_whose_client_has_gone_is_stopped() -> None:
    engine = Endless()
    async with site(engine=engine) as client:
        asking = asyncio.create_task(client.session.get(client.make_url(f"{API}/query?query=1")))
        await asyncio.wait_for(engine.began.wait(), 5)
        asking.cancel()
        await asyncio.wait_for(engine.ended.wait(), 5)


async def test_a_heavy_query_does_not_delay_others() -> None:
    engine = Endless()
    async with site(engine=engine, queries=QueryLimits(threads=2, timeout_s=1.0)) as client:
        heavy = asyncio.create_task(asked(client, "/query", 503, query="1"))
        await asyncio.wait_for(engine.began.wait(), 5)
        assert (await asked(client, "/query_range", query="1", start=0, end=1, step=1))["status"] == "success"
        assert not heavy.done()
        await heavy


async def test_heavy_range_queries_do_not_delay_instant_ones() -> None:
    engine = Endless()
    async with site(engine=engine, queries=QueryLimits(threads=1, timeout_s=3.0)) as client:
        heavy = [
            asyncio.create_task(asked(client, "/query_range", 503, query="endless", start=0, end=1, step=1))
            for _ in range(3)
        ]
        await asyncio.wait_for(engine.began.wait(), 5)
        assert (await asked(client, "/query", query="quick"))["data"]["result"][1] == "1"
        assert (await asked(client, "/labels"))["status"] == "success"
        assert not any(task.done() for task in heavy)
        await asyncio.gather(*heavy)


async def test_broken_bytes_and_bodies_too_large_are_bad_data() -> None:
    async with site() as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for data in (b"query=%zz%ff\xff&time=%", b"&&&&===", b"\x00" * 100):
            async with client.post(f"{API}/query", data=data, headers=headers) as response:
                assert response.status == 400
                assert (await response.json())["errorType"] == "bad_data"
        async with client.post(f"{API}/query", data=b"query=" + b"1" * (11 << 20), headers=headers) as response:
            assert response.status == 400


@given(st.integers(-(10**15), 10**15))
def test_timestamps_are_the_shortest_that_read_back(t_ms: int) -> None:
    text = seconds(t_ms).decode()
    assert round(float(text) * 1000) == t_ms
    assert not ("." in text and text.endswith("0"))
    assert orjson.loads(text) == t_ms / 1000


@given(st.integers(-(10**14), 10**14))
@settings(max_examples=200)
def test_a_printed_timestamp_is_parsed_to_the_same(t_ms: int) -> None:
    assert parse_time(seconds(t_ms).decode()) == t_ms


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("1748685600", T0_MS),
        ("1748685600.1234", T0_MS + 123),
        ("1.7486856e9", T0_MS),
        ("-1.5", -1500),
        ("2025-05-31T10:00:00Z", T0_MS),
        ("2025-05-31T19:00:00.250+09:00", T0_MS + 250),
        ("2025-05-31T10:00:00.123456789Z", T0_MS + 123),
    ],
)
def test_times_are_float_seconds_or_rfc_3339(text: str, t_ms: int) -> None:
    assert parse_time(text) == t_ms


@pytest.mark.parametrize(
    "text", ["", "abc", "inf", "nan", "1e300", "2025-13-01T00:00:00Z", "2025-05-31", "1_000", " 1"]
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="to a valid timestamp"):
        parse_time(text)


@pytest.mark.parametrize(("text", "step_ms"), [("15", 15_000), ("1.0015", 1_001), ("1.001", 1_000), ("1e-5", 1)])
def test_of_a_step_whole_milliseconds_count_as_they_do_in_go(text: str, step_ms: int) -> None:
    assert range_query(Form([("start", "0"), ("end", "0"), ("step", text)])).step_ms == step_ms


@given(st.text(max_size=50))
def test_no_text_makes_the_time_parser_fail_otherwise(text: str) -> None:
    try:
        assert isinstance(parse_time(text), int)
    except ValueError as err:
        assert "to a valid timestamp" in str(err)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("job", "job"), ("U__service_2e_name", "service.name"), ("U__a__b", "a_b"), ("0x", ""), ("a-b", ""), ("", "")],
)
def test_escaped_label_names_are_understood(name: str, meant: str) -> None:
    assert unescape(name) == meant


async def test_an_answer_is_byte_for_byte_what_the_values_are() -> None:
    maker = FleetMaker("web-01")
    async with site(maker) as client:
        async with client.get(f"{API}/query", params={"query": f'{CPU}{{core="0"}}', "time": NOW}) as response:
            body = await response.read()
        row = f'{{"metric":{{"__name__":"{CPU}","core":"0","server":"web-01"}},"value":[1748685645,"40"]}}'
        assert body == b'{"status":"success","data":{"resultType":"vector","result":[' + row.encode() + b"]}}"
