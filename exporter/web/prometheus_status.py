"""The Prometheus HTTP API's questions about the server itself, and the alerter's rules and alerts passed through."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import orjson
from aiohttp import web

from exporter.catalogue import JUDGEMENTS
from exporter.duration import format_duration
from exporter.model import METRIC_NAME, Snapshot
from exporter.promql.gotext import quote
from exporter.web.alerter import Alerter, AlerterAway
from exporter.web.body import Form
from exporter.web.errors import PROMETHEUS, Handler
from exporter.web.exposition import label_values
from exporter.web.parameters import limit
from exporter.web.prometheus_reply import BASE, PrometheusError, Reply, endpoint

JOB = "openmanager"
PROMETHEUS_VERSION = "3.5.0"  # whose language and API this is; clients switch features by it


class Status:
    """Answers from the latest snapshot and the alerter. `started` is in Unix seconds."""

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        alerter: Alerter,
        *,
        version: str,
        started: float,
        interval_s: float,
        kept: Callable[[], Sequence[Mapping[str, object]]],
        longest_kept_ms: int,
        now: Callable[[], float],
    ) -> None:
        self._latest = latest
        self._alerter = alerter
        self._version = version
        self._started = started
        self._interval = f"{interval_s:g}s"
        self._kept = kept
        self._retention = format_duration(longest_kept_ms)
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """Where it is served."""
        return [
            *endpoint("/rules", self.rules, "GET"),
            *endpoint("/alerts", self.alerts, "GET"),
            *endpoint("/targets", self.targets, "GET"),
            *endpoint("/targets/metadata", self.targets_metadata, "GET"),
            *endpoint("/scrape_pools", self.scrape_pools, "GET"),
            *endpoint("/status/buildinfo", self.buildinfo, "GET"),
            *endpoint("/status/runtimeinfo", self.runtimeinfo, "GET"),
            *endpoint("/status/tsdb", self.tsdb, "GET"),
            web.get(PROMETHEUS, self.home),
            web.get(PROMETHEUS + "-/healthy", _said("OpenManager is Healthy.\n")),
            web.get(PROMETHEUS + "-/ready", _said("OpenManager is Ready.\n")),
        ]

    async def home(self, _request: web.Request) -> web.Response:
        """Where a datasource's URL ends: clients look here for somebody."""
        return web.Response(text=f"OpenManager answers here as Prometheus {PROMETHEUS_VERSION} does: {BASE}/query\n")

    async def rules(self, request: web.Request, form: Form) -> Reply:
        """The alerter's rule groups."""
        if (wanted := form.get("type").lower()) not in ("", "alert", "record"):
            raise PrometheusError("bad_data", f'invalid parameter "type": not supported value {quote(wanted)}')
        return await self._passed_through(request, "/api/v1/rules", b'{"groups":[]}')

    async def alerts(self, request: web.Request, _form: Form) -> Reply:
        """The alerter's active alerts."""
        return await self._passed_through(request, "/api/v1/alerts", b'{"alerts":[]}')

    async def _passed_through(self, request: web.Request, path: str, nothing: bytes) -> Reply:
        """The alerter's answer; an empty one with a warning while it is away, so that Grafana still works."""
        try:
            told = await self._alerter.get(path, tuple(request.query.items()))
            answer = orjson.loads(told.body)
            if not isinstance(answer, dict):
                raise AlerterAway("the alerter answers with something else than an object")
        except orjson.JSONDecodeError:
            return Reply(nothing, (f"the alerter answers with status {told.status} and no JSON",))
        except AlerterAway as err:
            return Reply(nothing, (str(err),))
        if answer.get("status") == "error":
            raise PrometheusError("bad_data" if told.status == 400 else "internal", str(answer.get("error")))
        return Reply(orjson.dumps(answer.get("data")), answer.get("warnings") or ())

    async def buildinfo(self, _request: web.Request, _form: Form) -> Reply:
        """Versions. There is no `features`: with it Grafana would take this for Mimir."""
        return _reply(
            {
                "version": PROMETHEUS_VERSION,
                "revision": f"openmanager-{self._version}",
                "branch": "openmanager",
                "buildUser": "openmanager",
                "buildDate": "",
                "goVersion": f"python{platform.python_version()}",
            }
        )

    async def runtimeinfo(self, _request: web.Request, _form: Form) -> Reply:
        """What there is to say of the process."""
        return _reply(
            {
                "startTime": _rfc3339(self._started),
                "CWD": "",
                "hostname": socket.gethostname(),
                "serverTime": _rfc3339(self._now()),
                "reloadConfigSuccess": True,
                "lastConfigTime": _rfc3339(self._started),
                "corruptionCount": 0,
                "goroutineCount": 0,
                "GOMAXPROCS": os.cpu_count(),
                "GOMEMLIMIT": 0,
                "GOGC": "",
                "GODEBUG": "",
                "storageRetention": self._retention,
            }
        )

    async def tsdb(self, _request: web.Request, form: Form) -> Reply:
        """How many series the latest tick had, by name and by label; and, our own, `storage`: what each tier keeps."""
        most = limit(form) or 10
        kept = await asyncio.to_thread(self._kept)
        snapshot = self._latest()
        names: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        values: dict[str, set[str]] = {METRIC_NAME: set()}
        for column in snapshot.columns if snapshot else ():
            index = column.index
            names[index.metric] += len(index.rows)
            values[METRIC_NAME].add(index.metric)
            pairs[f"{METRIC_NAME}={index.metric}"] += len(index.rows)
            for label in index.label_names:
                counted = Counter(value for value in label_values(index, label) if value)
                values.setdefault(label, set()).update(counted)
                pairs.update({f"{label}={value}": count for value, count in counted.items()})
        t_ms = snapshot.t_ms if snapshot else 0
        sizes = Counter({label: len(found) for label, found in values.items()})
        weights = Counter({label: sum(map(len, found)) for label, found in values.items()})
        return _reply(
            {
                "headStats": {
                    "numSeries": names.total(),
                    "numLabelPairs": sizes.total(),
                    "chunkCount": names.total(),
                    "minTime": t_ms,
                    "maxTime": t_ms,
                },
                "seriesCountByMetricName": _most(names, most),
                "labelValueCountByLabelName": _most(sizes, most),
                "memoryInBytesByLabelName": _most(weights, most),
                "seriesCountByLabelValuePair": _most(pairs, most),
                "storage": kept,
            }
        )

    async def scrape_pools(self, _request: web.Request, _form: Form) -> Reply:
        """The one pool."""
        return _reply({"scrapePools": [JOB]})

    async def targets(self, request: web.Request, form: Form) -> Reply:
        """A target per server that says anything."""
        if form.get("scrapePool") not in ("", JOB) or form.get("state") == "dropped":
            return _reply({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}})
        snapshot = self._latest()
        moment = _rfc3339(snapshot.t_ms / 1000) if snapshot else ""
        targets = [self._target(request, server, moment) for server in self._servers()]
        return _reply({"activeTargets": targets, "droppedTargets": [], "droppedTargetCounts": {JOB: 0}})

    def _target(self, request: web.Request, server: str, moment: str) -> dict[str, object]:
        page = f"{request.scheme}://{request.host}/api/prometheus/metrics?server={server}"
        return {
            "discoveredLabels": {"__address__": request.host, "__param_server": server, "job": JOB},
            "labels": {"instance": server, "job": JOB},
            "scrapePool": JOB,
            "scrapeUrl": page,
            "globalUrl": page,
            "lastError": "",
            "lastScrape": moment,
            "lastScrapeDuration": 0,
            "health": "up",
            "scrapeInterval": self._interval,
            "scrapeTimeout": self._interval,
        }

    async def targets_metadata(self, _request: web.Request, form: Form) -> Reply:
        """Type, help and unit of what the targets say."""
        most, metric = limit(form), form.get("metric")
        snapshot = self._latest()
        families = {column.index.family.name: column.index.family for column in snapshot.columns} if snapshot else {}
        found = [
            {
                "target": {"instance": server, "job": JOB},
                **({} if metric else {"metric": family.name}),
                "type": family.type.value,
                "help": family.help,
                "unit": family.unit,
            }
            for server in self._servers()
            for family in families.values()
            if metric in ("", family.name)
        ]
        return _reply(found[: most or None])

    def _servers(self) -> list[str]:
        snapshot = self._latest()
        columns = snapshot.columns if snapshot else ()
        spoken = (column.index for column in columns if column.index.family.name not in JUDGEMENTS)
        return sorted({server for index in spoken for server in label_values(index, "server") if server})


def _reply(data: object) -> Reply:
    return Reply(orjson.dumps(data))


def _most(counts: Counter[str], most: int) -> list[dict[str, object]]:
    return [{"name": name, "value": count} for name, count in counts.most_common(most)]


def _rfc3339(t_s: float) -> str:
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(text: str) -> Handler:
    async def say(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    return say
