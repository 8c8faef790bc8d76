// The page of all servers: tiles, map, table, alerts, analysis.

import { alertList, analysisList } from "./alerts.js";
import { $, h, text } from "./dom.js";
import { bytesPerSecond, duration, milliseconds, percent, plain } from "./format.js";
import { t } from "./i18n.js";

const LIMITS = { cpu: [75, 90], memory: [85, 95], disk: [85, 95] };
const SEVERITY = { down: 0, critical: 1, warning: 2, healthy: 3 };
const level = (what, value) => (value > LIMITS[what][1] ? "critical" : value > LIMITS[what][0] ? "warning" : "");

const COLUMNS = [
  ["name", "server", (s) => s.id],
  ["state", "status", (s) => SEVERITY[s.status]],
  ["cpu", "cpu", (s) => -s.cpu],
  ["memory", "memory", (s) => -s.memory],
  ["disk", "disk", (s) => -s.disk],
  ["trend", "trend", null],
  ["network", "network", (s) => -(s.network.in + s.network.out)],
  ["requests", "requests", (s) => -s.requests],
  ["response", "response", (s) => -s.response_ms],
  ["uptime", "uptime", (s) => s.booted],
  ["alerts", "alerts", (s) => -s.alerts],
];
const NUMBERS = new Set(["network", "requests", "response", "uptime", "alerts"]);

export class FleetPage {
  #rows = new Map();
  #at = -1;

  constructor(main, state, go) {
    this.state = state;
    this.go = go;
    this.tiles = h("section.tiles", { "aria-label": t("servers") });
    this.map = h("div.map");
    this.body = h("tbody");
    this.heads = new Map(COLUMNS.map(([name, word, by]) => [name, this.#head(name, word, by)]));
    this.table = h("table.servers", h("thead", h("tr", [...this.heads.values()])), this.body);
    this.nothing = h("p.empty", t("loading"));
    this.alerts = h("div", { "aria-live": "polite" });
    this.analysis = h("div");
    main.replaceChildren(this.tiles,
      h("section.panel", h("h2", t("map")), this.map),
      h("div.columns",
        h("section.panel", h("h2", t("servers")), h("div.scroll", { tabIndex: 0 }, this.table), this.nothing),
        h("div.side", h("section.panel", h("h2", t("alerts")), this.alerts), h("section.panel", h("h2", t("analysis")), this.analysis))));
    this.update();
  }

  #head(name, word, by) {
    const cell = h(`th${NUMBERS.has(name) ? ".num" : ""}${name === "network" ? ".quiet" : ""}`, { scope: "col" });
    cell.append(by ? h("button", { type: "button", onclick: () => this.#sort(name) }, t(word)) : h("button", { disabled: true }, t(word)));
    return cell;
  }

  #sort(name) {
    const { sort, down } = this.state.view;
    this.go({ sort: name, down: sort === name && !down });
  }

  #shown() {
    const { q, status, sort, down } = this.state.view;
    const wanted = q.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (s) => wanted.every((word) => `${s.id} ${s.role} ${s.environment} ${s.reason}`.toLowerCase().includes(word));
    const by = COLUMNS.find(([name]) => name === sort)?.[2] ?? COLUMNS[0][2];
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : (Number.isNaN(a) ? 1e18 : a) - (Number.isNaN(b) ? 1e18 : b));
    const found = this.state.servers.filter((s) => fits(s) && (!status || s.status === status));
    return found.sort((a, b) => (down ? -1 : 1) * compare(by(a), by(b)) || a.id.localeCompare(b.id));
  }

  update() {
    const shown = this.#shown();
    const { sort, down } = this.state.view;
    for (const [name, head] of this.heads) {
      if (name === sort) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const rows = shown.map((server) => this.#row(server));
    if (rows.length !== this.body.children.length || rows.some((row, i) => this.body.children[i] !== row)) this.body.replaceChildren(...rows);
    this.table.hidden = !rows.length;
    this.nothing.hidden = rows.length > 0;
    text(this.nothing, t(this.state.servers.length ? "noMatch" : "loading"));
    this.#updateTiles();
    this.#updateMap(shown);
    this.updateAlerts();
  }

  updateAlerts() {
    this.alerts.replaceChildren(alertList(this.state.alerts, this.state.alerterUp));
    this.analysis.replaceChildren(analysisList(this.state.analysis));
  }

  #updateTiles() {
    const { summary, alerts } = this.state;
    if (!summary) return;
    const tiles = [["totalServers", summary.total_servers], ["avgCpu", percent(summary.avg_cpu)], ["avgMemory", percent(summary.avg_memory)],
      ["activeAlerts", alerts.filter((alert) => alert.state === "firing").length]];
    this.tiles.replaceChildren(...tiles.map(([word, value]) => h("div.tile", h("b", String(value)), h("span", t(word)))));
  }

  #updateMap(shown) {
    const roles = new Map();
    for (const server of shown) roles.set(server.role, [...(roles.get(server.role) ?? []), server]);
    const cell = (s) => h(`a.cell.${s.status}`, { href: `/servers/${encodeURIComponent(s.id)}`, title: `${s.id}: ${t(s.status)} ${s.reason}`, "aria-label": `${s.id}, ${t(s.status)}, ${t("cpu")} ${percent(s.cpu)}` },
      s.status === "down" ? "✕" : `${s.status === "healthy" ? "" : s.status === "critical" ? "◆ " : "▲ "}${Math.round(s.cpu)}%`, h("small", s.id.replace(/^.*-(?=\d+$)/, "#")));
    this.map.replaceChildren(...[...roles].sort().map(([role, of]) => h("fieldset", h("legend", role || "–"), h("div", of.map(cell)))));
  }

  #row(server) {
    let row = this.#rows.get(server.id);
    if (!row) this.#rows.set(server.id, (row = makeRow(server)));
    fill(row, server);
    this.state.sparks.draw($("canvas", row), server.id, getComputedStyle(document.documentElement).getPropertyValue("--accent"));
    return row;
  }

  move(by) {
    const rows = [...this.body.children];
    if (!rows.length) return;
    rows[this.#at]?.removeAttribute("data-at");
    this.#at = Math.min(rows.length - 1, Math.max(0, this.#at + by));
    rows[this.#at].dataset.at = "";
    $("a", rows[this.#at]).focus();
  }
}

const bar = (name, word) => h("td", { "data-label": t(word) }, h("div.bar", { "data-name": name }, h("i", { "aria-hidden": "true" }), h("b")));

function makeRow(server) {
  const cell = (name, word, extra = "") => h(`td.num${extra}`, { "data-name": name, "data-label": t(word) });
  return h("tr",
    h("td.name", h("a", { href: `/servers/${encodeURIComponent(server.id)}` }, server.id), h("small", server.role)),
    h("td.state", h("span.status"), h("span.reason")),
    bar("cpu", "cpu"), bar("memory", "memory"), bar("disk", "disk"),
    h("td.wide", h("canvas.spark", { "aria-hidden": "true" })),
    cell("network", "network", ".quiet"), cell("requests", "requests"), cell("response", "response"), cell("uptime", "uptime"), cell("alerts", "alerts"));
}

function fill(row, server) {
  const cell = (name) => $(`[data-name=${name}]`, row);
  const status = $(".status", row);
  status.className = `status ${server.status}`;
  text(status, t(server.status));
  text($(".reason", row), server.reason);
  for (const name of ["cpu", "memory", "disk"]) {
    const value = server[name];
    const of = cell(name);
    of.className = `bar ${value === null ? "" : level(name, value)}`;
    $("i", of).style.setProperty("--v", `${Math.min(100, value ?? 0)}%`);
    text($("b", of), percent(value));
  }
  text(cell("network"), `${bytesPerSecond(server.network.in)} / ${bytesPerSecond(server.network.out)}`);
  text(cell("requests"), plain(server.requests));
  text(cell("response"), milliseconds(server.response_ms));
  text(cell("uptime"), server.booted && server.status !== "down" ? duration(Date.now() / 1000 - server.booted) : "–");
  cell("alerts").replaceChildren(server.alerts ? h("span.badge", String(server.alerts)) : "–");
}
