"""The alerter over HTTP: history, probes, bad parameters, and a page that nothing can break."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from alerter.app import App
from alerter.config import Config
from alerter.decisions.evaluation import RuleState
from alerter.loops.group_loop import Health
from alerter.model import Alert
from alerter.secrets import Secrets
from alerter.state.silences import Silence, SilenceMatcher
from alerter.state.state import Happened
from alerter.web import api, web
from tests.alerter.worlds import firing

SECRET = "https://hooks.slack.example/services/T0/B0/verysecret"
KEY = "0123456789abcdef0123456789abcdef"
RULES = """
groups:
- name: g
  rules:
  - {alert: Hot, expr: temp>80, for: 5m, labels: {severity: page}, annotations: {summary: "{{ $value }}"}}
  - {record: "a:b", expr: sum(x)}
"""


def build(folder: Path, rules: str = RULES) -> App:
    (folder / "rules.yml").write_text(rules)
    config = Config(rules=(str(folder / "rules.yml"),))
    config = _with(config, f"sqlite:///{folder / 's.db'}")
    app = App(config, Secrets(slack_webhook_url=SECRET, datadog_api_key=KEY))
    app.parts.store.load()
    return app


def _with(config: Config, url: str) -> Config:
    import msgspec

    return msgspec.structs.replace(config, state=type(config.state)(url=url))


class Client:
    """An App whose handlers are asked without its loops running."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __aenter__(self) -> Client:
        from alerter.loops.group_loop import GroupLoop

        parts = self.app.parts
        parts.evaluator.loops = [GroupLoop(group, parts.surroundings()) for group in parts.groups]
        self._client = TestClient(TestServer(web.application(*self.app.tables())))
        await self._client.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        self.app.parts.store.close()

    async def get(self, path: str) -> tuple[int, str]:
        async with self._client.get(path) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> Any:
        async with self._client.get(path) as response:
            return await response.json()

    async def post(self, path: str, **body: Any) -> tuple[int, str]:
        async with self._client.post(path, **body) as response:
            return response.status, await response.text()

    def show(self, *alerts: Alert) -> None:
        run = self.app.parts.evaluator.loops[0].runs[0]
        run.state = RuleState({alert.labels: alert for alert in alerts}, 1.0)
        self.app.parts.board.post("g", {run.key: run.state})


EVIL = '<script>alert("x")</script>'


async def test_nothing_in_a_label_an_error_or_an_annotation_becomes_markup(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        client.show(firing(EVIL, server=EVIL))
        run = client.app.parts.evaluator.loops[0].runs[0]
        run.health, run.last_error = Health.ERR, EVIL
        status, page = await client.get("/")
    assert status == 200
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


async def test_no_secret_is_on_any_page(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        client.show(firing())
        for delivery in client.app.parts.deliveries:
            delivery.stats.last_error = "403 invalid_token"
        paths = ("/", "/metrics", "/api/v1/rules", "/api/v1/history", "/api/v2/status", "/api/v2/receivers")
        pages = [(await client.get(path))[1] for path in paths]
    assert all(pages)
    assert not any("verysecret" in page or KEY in page for page in pages)
    assert "verysecret" not in repr(client.app.parts.wired)
    assert "verysecret" not in repr(Secrets(slack_webhook_url=SECRET))


async def test_a_label_of_a_megabyte_and_ten_thousand_alerts_are_shown(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        client.show(firing(server="x" * 1_000_000), *[firing(server=f"s{n}") for n in range(10_000)])
        assert len((await client.json("/api/v1/alerts"))["data"]["alerts"]) == 10_001
        assert len(await client.json("/api/v2/alerts")) == 10_001
        status, page = await client.get("/")
    assert status == 200
    assert len(page) < 1_000_000


async def test_history_is_searched_and_bounded(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        client.app.parts.store.happened(
            [
                Happened(1.0, "transition", "firing", (("server", "web-01"),), value=math.nan),
                Happened(2.0, "delivery", "firing", (("server", "web-01"),), "slack", "accepted: 1 firing, 0 resolved"),
                Happened(3.0, "transition", "resolved", (("server", "db-01"),)),
            ]
        )
        everything = (await client.json("/api/v1/history"))["data"]
        assert [event["time"][-4:] for event in everything] == [":03Z", ":02Z", ":01Z"]
        assert everything[2]["value"] == "NaN"
        assert [event["what"] for event in (await client.json("/api/v1/history?q=DB-01"))["data"]] == ["resolved"]
        assert len((await client.json("/api/v1/history?limit=1"))["data"]) == 1
        assert len((await client.json("/api/v1/history?start=2&end=2"))["data"]) == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/rules?type=x", 'invalid parameter "type": not supported value "x"'),
        ("/api/v1/rules?match[]=(", 'invalid parameter "match[]": 1:1: parse error'),
        ("/api/v1/rules?exclude_alerts=maybe", 'invalid parameter "exclude_alerts"'),
        ("/api/v1/history?limit=0", 'invalid parameter "limit"'),
        ("/api/v1/history?start=x", 'invalid parameter "start": cannot parse "x"'),
        ("/api/v2/alerts?filter=%3D", "bad matcher format"),
        ("/api/v2/silences?filter=%3D", "bad matcher format"),
    ],
)
async def test_a_bad_parameter_is_a_400_that_says_which(path: str, words: str, tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        status, text = await client.get(path)
    assert status == 400
    assert words in text.replace('\\"', '"')


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Hot", "a:b"]),
        ("type=alert", ["Hot"]),
        ("type=record", ["a:b"]),
        ("rule_name[]=Hot", ["Hot"]),
        ("rule_group[]=other", []),
        ("file[]=other.yml", []),
        ('match[]={severity="page"}', ["Hot"]),
        ("match[]={severity=~'x.*'}", []),
    ],
)
async def test_rules_can_be_filtered(query: str, names: list[str], tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        groups = (await client.json(f"/api/v1/rules?{query}"))["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == names


async def test_alerts_can_be_left_out_of_the_rules(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        client.show(firing())
        groups = (await client.json("/api/v1/rules?exclude_alerts=true&type=alert"))["data"]["groups"]
    assert (groups[0]["rules"][0]["alerts"], groups[0]["rules"][0]["state"]) == ([], "firing")


async def test_it_is_ready_only_while_it_runs_and_always_healthy(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        assert (await client.get("/-/ready"))[0] == 503
        assert (await client.get("/-/healthy"))[0] == 200
        assert (await client.get("/-/reload"))[0] == 405


GOOD = {
    "matchers": [{"name": "a", "value": "b", "isRegex": False}],
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2099-01-01T00:00:00Z",
    "createdBy": "me",
    "comment": "c",
}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (GOOD, 200, "silenceID"),
        ({**GOOD, "matchers": []}, 400, "at least one matcher required"),
        ({**GOOD, "matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400, "error parsing regexp"),
        ({**GOOD, "endsAt": "2001-01-01T00:00:00Z"}, 400, "end time must not be before start time"),
        ({**GOOD, "startsAt": "2000-01-01T00:00:00Z", "endsAt": "2001-01-01T00:00:00Z"}, 400, "can't be in the past"),
        ({**GOOD, "endsAt": "soon"}, 400, "Invalid isoformat string"),
        ({**GOOD, "id": "nothing"}, 404, "silence nothing not found"),
        ({}, 400, "silence.matchers in body is required"),
        ([], 400, "a silence is an object"),
    ],
)
async def test_silences_are_checked(body: Any, status: int, words: str, tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        got, text = await client.post("/api/v2/silences", json=body)
    assert (got, words in text) == (status, True), text


async def test_a_form_from_a_foreign_page_makes_no_silence(tmp_path: Path) -> None:
    async with Client(build(tmp_path)) as client:
        assert (await client.post("/api/v2/silences", data="{}"))[0] == 415


@pytest.mark.parametrize(
    ("value", "text"),
    [(81.5, "8.15e+01"), (0.0, "0e+00"), (-0.0, "-0e+00"), (1e-7, "1e-07"), (1e100, "1e+100"), (math.inf, "+Inf")],
)
def test_values_are_shown_as_go_shows_them(value: float, text: str) -> None:
    assert api.exponent(value) == text


async def test_what_happened_can_be_searched_by_every_word(tmp_path: Path) -> None:
    app = build(tmp_path)
    labels = (("alertname", "Hot<b>"), ("server", "web-01"))
    app.parts.store.happened(
        [
            Happened(1.0, "transition", "firing", labels, value=97.5),
            Happened(2.0, "delivery", "firing", labels, "slack", "refused (500): 1 firing, 0 resolved"),
            Happened(3.0, "delivery", "firing", (("server", "web-02"),), "slack", "accepted: 1 firing, 0 resolved"),
        ]
    )
    async with Client(app) as client:
        status, page = await client.get("/history?start=0&q=slack+web-01+REFUSED")
        assert (status, page.count("<tr>")) == (200, 2)
        assert "Hot&lt;b&gt;" in page
        assert "web-02" not in page
        assert "slack: refused (500): 1 firing, 0 resolved" in page
        assert (await client.get("/history?limit=0"))[0] == 400
        assert "Nothing was found." in (await client.get("/history?start=0&q=nobody"))[1]
        assert "All of it, with a search" in (await client.get("/"))[1]


async def test_the_page_says_first_what_is_wrong_and_of_what_nobody_is_told(tmp_path: Path) -> None:
    app = build(tmp_path)
    async with Client(app) as client:
        loop = app.parts.evaluator.loops[0]
        client.show(firing("Hot", severity="warning"), firing("Hot", severity="critical"))
        loop.runs[1].health, loop.runs[1].last_error = Health.ERR, "many-to-many"
        app.parts.silences.put(Silence("", (SilenceMatcher("severity", "warning", "="),), 0.0, 9e9, 0.0, "me", "works"))
        page = (await client.get("/"))[1]
        assert page.index("1 rule failing") < page.index("many-to-many") < page.index("Active alerts")
        assert page.index("severity=&quot;critical&quot;") < page.index("severity=&quot;warning&quot;")
        assert page.count("</span> silenced") == 1
