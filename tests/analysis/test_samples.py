"""What the analysis found, as series of the next tick."""

from __future__ import annotations

from dataclasses import replace

from exporter.analysis.analyst import Analyst
from exporter.analysis.samples import Columns
from exporter.analysis.status import Health
from exporter.web.exposition import Exposition, Format
from exporter.web.live import Live
from tests.web.fleet import FleetMaker


def test_scores_health_and_incidents_are_series_and_their_index_stays_the_same() -> None:
    made = Columns()
    scores = {("web-01", "cpu"): 0.87654, ("web-01", "memory"): 0.0}
    first = made.of(scores, {"web-01": 43.0}, [("web-01", "cpu"), ("web-01", "cpu")])
    assert [(column.index.metric, column.index.rows, column.values.tolist()) for column in first] == [
        ("openmanager_anomaly_score", (("web-01", "cpu"), ("web-01", "memory")), [0.877, 0.0]),
        ("openmanager_health_score", (("web-01",),), [43.0]),
        ("openmanager_incident_active", (("web-01", "cpu"),), [1.0]),
    ]
    second = made.of(dict(scores), {"web-01": 80.0}, [])
    assert [column.index for column in second] == [first[0].index, first[1].index]


def test_a_server_that_is_only_spoken_of_is_silent() -> None:
    live, analyst = Live(), Analyst()
    live.publish(FleetMaker("api-01", "web-01").at(1))
    without = FleetMaker("api-01").at(2)
    live.publish(without)
    analyst.observe(without, live.fleet())
    third = FleetMaker("api-01").at(3)
    snapshot = replace(third, columns=(*third.columns, *analyst.columns()))
    live.publish(snapshot)
    assert [status.health for status in live.fleet().servers] == [Health.HEALTHY, Health.DOWN]
    page = Exposition()
    assert page.servers(snapshot) == {"api-01"}
    assert b'openmanager_incident_active{server="web-01",metric="up"} 1' in page.render(snapshot, Format.TEXT)
