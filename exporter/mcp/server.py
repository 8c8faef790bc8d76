"""The tools an agent has. They read, and only where changes are allowed they break and mend.

Answers are JSON as the exporter's own API gives it, cut to what an agent can take in; what is left out is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import quote, urlencode

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from exporter.drills.api import Exporter, Refused

Json = dict[str, Any]
Language = Literal["en", "ko"]

_SERIES = 50  # of an answer to a query at most
_PROMETHEUS = "/api/prometheus/api/v1"
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
_INSTRUCTIONS = (
    "A fleet of servers under monitoring. Begin with list_incidents, which names what goes wrong, where it began and "
    "what to do; then explain_server. Metrics are named openmanager_* and have a label server; query takes PromQL."
)


def build(exporter: Exporter, *, changes: bool) -> MCPServer:
    """A server with its tools. changes: whether it may inject and clear failures."""
    server = MCPServer("openmanager", instructions=_INSTRUCTIONS, version=version("openmanager"), log_level="WARNING")
    tools = Tools(exporter)
    reading: tuple[Callable[..., Any], ...] = (
        tools.list_servers,
        tools.query,
        tools.query_range,
        tools.list_alerts,
        tools.list_incidents,
        tools.explain_server,
        tools.list_failures,
    )
    for tool in reading:
        server.tool(annotations=_READS)(tool)
    for tool in (tools.inject_failure, tools.clear_failure) if changes else ():
        server.tool(annotations=_CHANGES)(tool)
    return server


def serve(server: MCPServer, address: tuple[str, int] | None = None) -> None:
    """Over standard input and output, or over HTTP at an address, until it is stopped."""
    if address is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host=address[0], port=address[1])


class Tools:
    """Each method is a tool; its docstring is what the agent reads."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter

    async def list_servers(
        self, status: Literal["healthy", "warning", "critical", "down"] | None = None, role: str = "", limit: int = 100
    ) -> Json:
        """The servers with cpu, memory and disk in percent, network in bytes per second, status and its reason.

        status, role: only those. limit: how many at most.
        """
        data = await self._data("/api/unified-metrics", action="servers")
        fitting = [
            server for server in data["servers"] if status in (None, server["status"]) and role in ("", server["type"])
        ]
        shown = [{**server, "alerts": len(server["alerts"])} for server in fitting[: max(limit, 0)]]
        counts = {name: count for name, count in data.items() if name.endswith("_count")}
        return {"servers": shown, "left_out": len(fitting) - len(shown), "fleet": counts}

    async def query(self, promql: str, time: str = "") -> Json:
        """The value of a PromQL expression now, or at a time (RFC 3339 or Unix seconds).

        For example: topk(5, avg by (server) (openmanager_cpu_usage_percent)).
        """
        return await self._queried("query", query=promql, time=time)

    async def query_range(self, promql: str, start: str, end: str, step: str = "5m") -> Json:
        """A PromQL expression from start to end (RFC 3339 or Unix seconds), a value every step (30s, 5m, 1h).

        Ask for no more than some hundred steps.
        """
        return await self._queried("query_range", query=promql, start=start, end=end, step=step)

    async def list_alerts(self, server: str = "") -> Json:
        """The alerts that fire or are pending by the alerter's rules; of one server, if named."""
        answer = await self._get(f"{_PROMETHEUS}/alerts")
        found = answer["data"]["alerts"]
        shown = [alert for alert in found if server in ("", alert["labels"].get("server"))]
        return {"alerts": shown, "warnings": answer.get("warnings", [])}

    async def list_incidents(self, language: Language = "en") -> Json:
        """What the analysis found: incidents that go on with their root, cause, evidence and recommendation, those that
        have ended lately, and what will be full soon.
        """
        data = await self._data("/api/ai-agent/optimized", lang=language)
        return {name: data[name] for name in ("generated", "incidents", "recent_incidents", "forecasts")}

    async def explain_server(self, server: str, language: Language = "en") -> Json:
        """All about one server: its state, what is odd about it, its incidents, alerts and forecasts."""
        fleet, analysis = await asyncio.gather(
            self._data("/api/unified-metrics", action="servers"),
            self._data("/api/ai-agent/optimized", server=server, lang=language),
        )
        (state,) = (one for one in fleet["servers"] if one["id"] == server)
        return {"server": state, "analysis": analysis}

    async def list_failures(self) -> Json:
        """Which failures can be simulated, and which are now. Not found where a real machine is watched."""
        return dict(await self._get("/api/scenarios"))

    async def inject_failure(
        self, type: str, targets: list[str] | None = None, duration: str = "", intensity: float = 1.0, id: str = ""
    ) -> Json:
        """Let a failure happen to the simulated fleet. type: a name of list_failures. targets: servers, else where it
        usually begins. duration: such as 5m. intensity: above 0, at most 1. id: asked for again, it is still one.
        """
        wanted = {"type": type, "targets": targets, "duration": duration, "intensity": intensity, "id": id}
        body = {name: value for name, value in wanted.items() if value}
        return dict(await self._asked(lambda: self._exporter.post("/api/scenarios", body)))

    async def clear_failure(self, id: str) -> Json:
        """End a failure by its id."""
        await self._asked(lambda: self._exporter.delete(f"/api/scenarios/{quote(id, safe='')}"))
        return {"cleared": id}

    async def _queried(self, path: str, **parameters: str) -> Json:
        answer = await self._get(f"{_PROMETHEUS}/{path}", limit=str(_SERIES), **parameters)
        return {name: answer[name] for name in ("data", "warnings", "infos") if answer.get(name)}

    async def _data(self, path: str, **parameters: str) -> Json:
        answer = await self._get(path, **parameters)
        return dict(answer["data"])

    async def _get(self, path: str, **parameters: str) -> Mapping[str, Any]:
        given = urlencode({name: value for name, value in parameters.items() if value})
        found = await self._asked(lambda: self._exporter.get(f"{path}?{given}" if given else path))
        return dict(found)

    async def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(ask)
        except Refused as err:
            raise ToolError(str(err)) from err
