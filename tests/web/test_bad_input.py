"""What nobody should send: an envelope, the right status, in bounded time, and the next one is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from yarl import URL

from tests.web.fleet import T0_MS
from tests.web.site import Client, site

API = "/api/prometheus/api/v1"
NOW = T0_MS // 1000 + 45
CPU = "openmanager_cpu_usage_percent"
WITHIN_S = 15.0  # of a machine with other things to do; each takes well under a second on an idle one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    """One site for all of them: none may harm it for the next."""
    async with site() as serving:
        yield serving


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def answered(client: Client, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and JSON of an answer that comes in time, in the right envelope."""
    async with asyncio.timeout(WITHIN_S), client.request(method, path, **options) as response:
        body = orjson.loads(await response.read())
        assert response.content_type == "application/json"
        assert body["status"] == ("success" if response.status == 200 else "error")
        assert ("errorType" in body) == ("error" in body) == (response.status != 200)
        return response.status, body


QUERIES: dict[str, tuple[str, int]] = {
    "100 kB of a name": ("a" * 100_000, 200),
    "100 kB of additions": ("1" + "+1" * 50_000, 200),
    "100 kB of vectors": (" + ".join([CPU] * 3_000), 200),
    "100 kB of text": ('label_replace(vector(1), "a", "' + "x" * 100_000 + '", "", "")', 200),
    "100 kB of matchers": ("{" + ",".join(f'a{i}="b"' for i in range(8_000)) + "}", 200),
    "200 kB of additions": ("1" + "+1" * 100_000, 400),
    "200 kB of text": ('"' + "x" * 200_000 + '"', 400),
    "30 kB of vectors": (" + ".join([CPU] * 1_000), 200),
    "30 kB of alternatives": ('{server=~"' + "|".join(f"web-{i}" for i in range(4_000)) + '"}', 200),
    "10,000 open parentheses": ("(" * 10_000, 400),
    "10,000 pairs of parentheses": ("(" * 10_000 + "1" + ")" * 10_000, 400),
    "10,000 calls": ("abs(" * 10_000 + "up" + ")" * 10_000, 400),
    "10,000 signs": ("-" * 10_000 + "1", 400),
    "10,000 powers": ("1" + "^1" * 10_000, 400),
    "10,000 braces": ("{" * 10_000, 400),
    "3,000 subqueries": ("(" * 3_000 + "up" + ")[1m:]" * 3_000, 400),
    "everything": ('{__name__=~".+"}', 200),
    "the rate of everything": ('rate({__name__=~".+"}[5m])', 422),
    "everything with everything": ('{__name__=~".+"} * on () group_left () {__name__=~".+"}', 422),
    "a regex that backtracks": ('{__name__=~"(o+)+$"}', 200),
    "a regex of stars": ('{__name__=~"((.*)*)*(.*)*x"}', 200),
    "a regex of 1,000 stars": ('{__name__=~"' + "(a|b)*" * 1_000 + 'x"}', 200),
    "a regex of too many repeats": ('{__name__=~"((a{100}){100}){100}"}', 400),
    "a regex with a back reference": (r'{__name__=~"(a)\\1"}', 400),
    "zero bytes": ("\x00" * 1_000, 400),
    "a year by milliseconds": ("count_over_time(vector(1)[1y:1ms])", 422),
}


@pytest.mark.parametrize("path", ["/query", "/query_range"])
@pytest.mark.parametrize("name", QUERIES)
async def test_a_monstrous_query_is_answered_in_time(client: Client, name: str, path: str) -> None:
    query, status = QUERIES[name]
    times = {"time": NOW} if path == "/query" else {"start": NOW - 60, "end": NOW, "step": 15}
    found, body = await answered(client, "POST", API + path, data={"query": query, **times})
    assert found == status, body.get("error")
    assert body.get("errorType") == {200: None, 400: "bad_data", 422: "execution"}[status]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("/query?query=1&time=NaN", 400),
        ("/query?query=1&time=Inf", 400),
        ("/query?query=1&time=-Inf", 400),
        ("/query?query=1&time=1e400", 400),
        ("/query?query=1&time=1e17", 400),
        ("/query?query=1&timeout=NaN", 400),
        ("/query?query=1&timeout=-1", 503),
        ("/query?query=1&lookback_delta=NaN", 400),
        ("/query?query=1&limit=1e3", 400),
        ("/query?query=1&limit=99999999999999999999", 400),
        ("/query?", 400),
        ("/query?query=", 400),
        ("/query?query=%", 400),
        ("/query?query=1;time=5", 400),
        ("/query?query=%FF%FE", 400),
        ("/query?query=%22%FF%22", 400),
        ("/query?query=up%7Ba%3D%22%C3%28%22%7D", 400),
        ("/query?query=1&time=%FF", 400),
        ("/query_range?query=1&start=NaN&end=1&step=1", 400),
        ("/query_range?query=1&start=0&end=Inf&step=1", 400),
        ("/query_range?query=1&start=0&end=1&step=NaN", 400),
        ("/query_range?query=1&start=0&end=1&step=Inf", 400),
        ("/query_range?query=1&start=0&end=1&step=0", 400),
        ("/query_range?query=1&start=0&end=1&step=-1", 400),
        ("/query_range?query=1&start=0&end=1&step=1e-9", 400),
        ("/query_range?query=1&start=0&end=0&step=1e300", 400),
        ("/query_range?query=1&start=2&end=1&step=1", 400),
        ("/query_range?query=1&start=0&end=1e10&step=1", 400),
        ("/query_range?query=1&end=1&step=1", 400),
        ("/series?match[]=%7B%FF%7D", 400),
        ("/series?match[]=up&start=NaN", 400),
        ("/labels?start=Inf", 400),
        ("/label/%FF/values", 400),
        ("/query_exemplars?query=up&start=NaN&end=1", 400),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_an_error_of_its_kind(
    client: Client, parameters: str, status: int
) -> None:
    found, body = await answered(client, "GET", URL(API + parameters, encoded=True))  # type: ignore[arg-type]  # as it is
    assert found == status, body
    assert body["errorType"] == ("bad_data" if status == 400 else "timeout")


async def test_of_duplicate_parameters_the_first_counts_and_those_of_the_body_come_first(client: Client) -> None:
    _, body = await answered(client, "GET", f"{API}/query?query=1&query=2&time=4&time=5")
    assert body["data"]["result"] == [4, "1"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    _, body = await answered(
        client, "POST", f"{API}/query?query=2&time=5", data=b"query=3&query=4&time=6", headers=form
    )
    assert body["data"]["result"] == [6, "3"]
    _, body = await answered(client, "GET", f"{API}/query_range?query=1&start=1&start=3&end=2&step=1&step=0")
    assert body["data"]["result"][0]["values"] == [[1, "1"], [2, "1"]]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\nquery=1&ti", b"Transfer-Encoding: chunked\r\n\r\n10\r\nquery=1&ti"]
)
async def test_half_a_body_is_never_evaluated_and_harms_nobody(client: Client, framing: bytes) -> None:
    head = b"POST %b/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" % API.encode()
    wires = [await asyncio.open_connection(client.host, client.port) for _ in range(20)]
    for _, writer in wires:
        writer.write(head + framing)
        await writer.drain()
    assert (await answered(client, "GET", f"{API}/query?query=1&time=4"))[1]["data"]["result"] == [4, "1"]
    for reader, writer in wires:
        writer.write_eof()
        async with asyncio.timeout(WITHIN_S):
            assert b" 200 " not in (await reader.read()).split(b"\r\n")[0]
        writer.close()
    assert (await answered(client, "GET", f"{API}/query?query=1&time=4"))[0] == 200
