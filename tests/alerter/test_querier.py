"""The client of the Prometheus HTTP API against servers that answer anything."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from alerter.datasource.datasource import Datasource
from alerter.datasource.querier import Querier, QueryError, split_steps
from alerter.datasource.remote_write import RemoteWriter, snappy_block
from alerter.decisions.evaluation import Element
from exporter.model import make_labels
from tests.servers import Servers, free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """An HTTP server on loopback that answers every request with one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handler)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        port = free_port()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def says(body: str, status: int = 200, content_type: str = "application/json") -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type=content_type)

    return handler


async def hangs(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def redirects(request: web.Request) -> web.Response:
    raise web.HTTPTemporaryRedirect(str(request.url))


async def trickles(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"status":')
    assert request.transport is not None
    request.transport.close()
    return response


HALF = '{"status":"success","data":{"resultType":"vector","result":[{"metric":'


@pytest.mark.parametrize(
    ("handler", "words", "reachable"),
    [
        (says("<html>sign in</html>", 200, "text/html"), "HTTP 200, not JSON: '<html>sign in</html>'", False),
        (says(HALF), "HTTP 200, not JSON:", False),
        (says(""), "HTTP 200, not JSON: empty answer", False),
        (says("[]"), "not the Prometheus API", False),
        (says('{"status":"success"}'), "without an error message", True),
        (says('{"status":"success","data":{"resultType":"vector","result":[1]}}'), "answer not understood", False),
        (says('{"status":"success","data":null}'), "answer not understood", False),
        (says('{"status":"success","data":{"resultType":"matrix","result":[]}}'), "is not a vector or scalar", True),
        (says("bad gateway", 502, "text/plain"), "HTTP 502, not JSON: 'bad gateway'", False),
        (says('{"status":"error","errorType":"execution","error":"many-to-many"}', 422), "^many-to-many$", True),
        (redirects, "more than 5 redirects", False),
        (breaks_off, "ClientPayloadError", False),
        (hangs, r"no answer within 0\.3 s", False),
        (trickles, r"no answer within 0\.3 s", False),
    ],
)
async def test_rubbish_is_one_line_that_says_what_came(handler: Handler, words: str, reachable: bool) -> None:
    began = time.monotonic()
    async with Server(handler) as url, Querier(url, 0.3) as querier:
        with pytest.raises(QueryError, match=words) as error:
            await querier.instant("up", 1.0)
    assert error.value.reachable is reachable
    assert "\n" not in str(error.value)
    assert (querier.stats.queries, querier.stats.failures) == (1, 1)
    assert time.monotonic() - began < 5


async def test_nobody_there_is_one_line_without_the_password() -> None:
    port = free_port()
    async with Querier(f"http://me:secret@127.0.0.1:{port}/api", 1.0) as querier:
        with pytest.raises(QueryError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused") as error:
            await querier.instant("up", 1.0)
        assert querier.shown_url == f"http://127.0.0.1:{port}/api"
    assert "secret" not in str(error.value)


async def test_an_url_that_is_none_is_one_line_without_the_password() -> None:
    async with Querier("http://me:secret@ho st:99999/api", 1.0) as querier:
        with pytest.raises(QueryError) as error:
            await querier.instant("up", 1.0)
    assert "secret" not in str(error.value)


async def test_a_query_is_a_form_that_is_posted_and_values_are_what_they_say() -> None:
    asked: list[tuple[str, str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked.append((request.method, request.path, form))
        result = [{"metric": {"__name__": "x", "a": "b"}, "value": [1.5, value]} for value in ("NaN", "+Inf", "0.1")]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with Server(handler) as url, Querier(f"{url}/base/", 1.0) as querier:
        elements = await querier.instant('x{a="b"} > 1', 1_700_000_000.5)
    form = {"query": 'x{a="b"} > 1', "time": "1700000000.5"}
    assert asked == [("POST", "/base/api/v1/query", form)]
    assert [each.labels for each in elements] == [make_labels({"__name__": "x", "a": "b"})] * 3
    assert math.isnan(elements[0].value)
    assert [each.value for each in elements[1:]] == [math.inf, 0.1]


async def test_a_scalar_is_one_element_without_labels(servers: Servers) -> None:
    url = servers.prometheus("{}").url
    async with Querier(url, 5.0) as querier:
        assert await querier.instant("1 + 1", 1_000.0) == [Element((), 2.0)]
        with pytest.raises(QueryError, match="1:5: parse error: unclosed left parenthesis"):
            await querier.instant("sum(", 1_000.0)


async def test_a_datasource_that_is_away_is_said_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    answers = [QueryError("away"), QueryError("away"), QueryError("bad query", reachable=True), QueryError("away")]

    async def query(expr: str, t: float) -> list[Element]:
        raise answers.pop(0)

    datasource = Datasource(query, "http://x", lambda: 1.0)
    up = []
    while answers:
        with pytest.raises(QueryError):
            await datasource.query("up", 1.0)
        up.append(datasource.down_since is None)
    assert up == [False, False, True, False]
    assert [record.message.split(" url")[0] for record in caplog.records] == [
        "datasource does not answer, alerts stay as they are",
        "datasource answers again",
        "datasource does not answer, alerts stay as they are",
    ]


def test_a_span_is_split_into_pieces_that_meet_without_a_gap() -> None:
    assert split_steps(0, 100, 10, 4) == [(0, 30), (40, 70), (80, 100)]
    assert split_steps(5, 5, 10, 4) == [(5, 5)]


async def test_what_is_written_can_be_read_back_from_a_real_prometheus(servers: Servers) -> None:
    url = servers.prometheus("{}", "--web.enable-remote-write-receiver").url
    now = time.time()
    many = [Element(make_labels({"__name__": "m", "n": str(n), "pad": "x" * 100}), n / 3) for n in range(2_000)]
    many.append(Element(make_labels({"__name__": "m", "n": "2000", "server": "웹"}), math.inf))
    async with RemoteWriter(f"{url}/api/v1/write", 5) as writer, Querier(url, 5) as querier:
        await writer.write(many, [], now - 1)
        assert sorted(await querier.instant("m", now), key=lambda e: e.labels) == sorted(many, key=lambda e: e.labels)
        await writer.write([], [each.labels for each in many[1:]], now)
        assert await querier.instant("m", now + 0.001) == [many[0]]
        with pytest.raises(QueryError, match="remote write: HTTP 500: empty labelset"):
            await writer.write([Element((), 1.0)], [], now)


def test_a_snappy_block_of_literals_holds_what_went_in() -> None:
    for size in (0, 1, 60, 65_536, 65_537, 200_000):
        raw = bytes(n % 251 for n in range(size))
        assert _read_back(snappy_block(raw)) == raw


def _read_back(block: bytes) -> bytes:
    at = shift = length = 0
    while True:
        byte = block[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    out = bytearray()
    while at < len(block):
        assert block[at] == 61 << 2
        size = int.from_bytes(block[at + 1 : at + 3], "little") + 1
        out += block[at + 3 : at + 3 + size]
        at += 3 + size
    assert len(out) == length
    return bytes(out)
