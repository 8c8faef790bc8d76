// The page of one server: facts, alerts, analysis, and charts over a range.

import { get, range } from "./exporter.js";
import { Chart, Timeline, filled } from "./chart.js";
import { Alerts, Analysis } from "./findings.js";
import { language, t } from "./i18n.js";
import { attribute, button, bytes, bytesPerSecond, clock, duration, h, level, milliseconds, percent, plain, score, seconds, text } from "./ui.js";

const POINTS = 360, TICK_S = 15;
export const RANGES = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "3d": 259200, "7d": 604800 };

const each = (name) => `openmanager_${name}{server=$s}`;
const rate = (name, by = "") => `sum${by} (rate(openmanager_${name}{server=$s}[$w]))`;
const quantile = (q) => `histogram_quantile(${q}, ${rate("http_request_latency_seconds_bucket", " by (le)")})`;

/** PromQL with $s for the server's name, $w for the window of rates, $r for the history and $f for the distance of
 * `ahead`. lines: [query, name of the series or of the label that names it]; measure: whose thresholds are drawn. */
const CHARTS = [
  { word: "cores", format: percent, top: 100, measure: "cpu", lines: [[each("cpu_usage_percent"), "core"]], prefix: "core" },
  { word: "load", format: plain, lines: [[each("cpu_load_average_1m"), "1m"], [each("cpu_load_average_5m"), "5m"], [each("cpu_load_average_15m"), "15m"]] },
  { word: "memoryUse", format: percent, top: 100, measure: "memory", lines: [[each("memory_usage_percent"), "memory"]] },
  { word: "disks", format: percent, top: 100, measure: "disk", lines: [[each("disk_usage_percent"), "mount"]], ahead: `predict_linear(${each("disk_usage_percent")}[$r], $f)` },
  { word: "latency", format: seconds, lines: [0.5, 0.95, 0.99].map((q) => [quantile(q), `p${q * 100}`]) },
  { word: "requestRate", format: plain, lines: [[rate("http_requests_total", " by (status)"), "status"]] },
  { word: "errorRatio", format: percent, lines: [[`100 * (sum (rate(openmanager_http_requests_total{server=$s,status=~"5.."}[$w])) or vector(0)) / ${rate("http_requests_total")}`, "5xx"]] },
  { word: "diskIo", format: bytesPerSecond, lines: [[rate("disk_read_bytes_total"), "read"], [rate("disk_write_bytes_total"), "write"]] },
  { word: "networkIo", format: bytesPerSecond, lines: [[rate("network_receive_bytes_total"), "in"], [rate("network_transmit_bytes_total"), "out"]] },
];
const SERVICES = each("service_up");
const BOOTED = each("boot_time_seconds");

export class ServerPage {
  #abort = null;
  #loaded = 0;
  #figures = new Map();

  constructor(main, state, go) {
    this.state = state;
    this.go = go;
    this.id = state.view.server;
    this.status = h("span.status");
    this.reason = h("span.reason");
    this.facts = h("dl.facts");
    this.missing = h("p.notice", { hidden: true }, t("unknownServer", this.id));
    this.ranges = new Map(Object.keys(RANGES).map((name) => [name, button(name, () => go({ range: name, zoom: null }))]));
    this.zoomed = button("", () => go({ zoom: null }), "", { hidden: true, title: t("unzoom") });
    this.alerts = new Alerts(state, go, this.id);
    this.analysis = new Analysis(state, go, this.id);
    const select = (from, to) => to - from >= 2 * TICK_S && go({ zoom: [from, to] });
    this.charts = [...CHARTS.map((spec) => new Chart(spec, this.id, select)), new Timeline(SERVICES, this.id)];
    for (const chart of this.charts) chart.thresholds = () => this.#server();
    main.replaceChildren(
      h("div.bar-top", h("a.back", { href: "/" }, `← ${t("back")}`), h("h1", this.id), this.status, this.reason,
        h("div.ranges", { role: "group", "aria-label": t("rangeLabel") }, this.zoomed, [...this.ranges.values()])),
      this.missing,
      h("section.figures", { "aria-label": t("now") }, ["cpu", "memory", "disk", "p99", "requests", "network", "health", "anomaly"].map((name) => this.#figure(name))),
      h("section.panel", { "aria-label": t("facts") }, h("div.body", this.facts)),
      h("div.two", this.alerts.element, this.analysis.element),
      h("div.charts", this.charts.map(({ element }) => element)));
    this.update();
    this.load();
  }

  #figure(name) {
    const figure = h("div.figure", h("span", t(name)), h("b"), h("i", { "aria-hidden": "true" }));
    this.#figures.set(name, figure);
    return figure;
  }

  #server() {
    return this.state.servers.find(({ id }) => id === this.id);
  }

  async load() {
    const { view } = this.state;
    this.#abort?.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const now = Math.floor(Date.now() / 1000 / TICK_S) * TICK_S;
    const [from, end] = view.zoom ?? [now - RANGES[view.range], now];
    const step = Math.max(TICK_S, Math.ceil((end - from) / POINTS / TICK_S) * TICK_S);
    const start = Math.floor(from / step) * step;
    this.#loaded = Date.now();
    const when = { start, end, step, live: !view.zoom };
    const around = this.#around(when, signal);
    await Promise.all(this.charts.map((chart) => chart.load(when, around, signal)));
  }

  /** What is drawn into every chart: moments of boot, and what was simulated where that is wanted. */
  async #around({ start, end, step }, signal) {
    const booted = range(filled(BOOTED, { server: this.id, window_s: 0 }), start, end, step, signal).catch(() => []);
    const truth = this.state.view.truth ? get(`/api/truth?start=${start}&end=${end}`, signal).catch(() => null) : null;
    const times = (await booted).flatMap(({ values }) => values.map(([, value]) => Number(value)));
    const concerns = ({ targets, affected = [] }) => targets.includes(this.id) || affected.some(({ server }) => server === this.id);
    return { restarts: [...new Set(times)].filter((at) => at > start && at <= end), truth: ((await truth)?.incidents ?? []).filter(concerns) };
  }

  update() {
    const { servers, omitted, view } = this.state;
    const server = this.#server();
    this.missing.hidden = Boolean(server) || !servers.length || omitted > 0;
    this.alerts.update();
    this.analysis.update();
    for (const [name, element] of this.ranges) attribute(element, "aria-pressed", String(!view.zoom && name === view.range));
    this.zoomed.hidden = !view.zoom;
    if (view.zoom) text(this.zoomed, `${clock(view.zoom[0], language, true)} – ${clock(view.zoom[1], language)} ✕`);
    if (!server) return;
    this.#now(server);
    this.#facts(server);
    const every = Math.max(TICK_S * 1000 - 1000, (RANGES[view.range] / POINTS) * 1000);
    if (!view.zoom && !document.hidden && Date.now() - this.#loaded > every) this.load();
  }

  #now(server) {
    attribute(this.status, "class", `status ${server.status}`);
    text(this.status, t(server.status));
    text(this.reason, server.reason);
    const of = this.state.analysis?.servers?.find(({ server: name }) => name === this.id) ?? {};
    const shown = {
      cpu: [percent(server.cpu), level("cpu", server.cpu, server), server.cpu], memory: [percent(server.memory), level("memory", server.memory, server), server.memory],
      disk: [percent(server.disk), level("disk", server.disk, server), server.disk], p99: [milliseconds(server.p99_ms), level("latency", server.p99_ms, server)],
      requests: [plain(server.requests)], network: [`${bytesPerSecond(server.network.in)} / ${bytesPerSecond(server.network.out)}`],
      health: [of.health_score === undefined ? "–" : String(of.health_score), "", of.health_score], anomaly: [score(of.anomaly_score), level("anomaly", of.anomaly_score)],
    };
    for (const [name, [value, how = "", part = null]] of Object.entries(shown)) {
      const figure = this.#figures.get(name);
      attribute(figure, "class", `figure ${how}`);
      text(figure.children[1], value);
      figure.lastChild.hidden = part === null;
      figure.lastChild.style.setProperty("--v", `${Math.min(100, part ?? 0)}%`);
    }
  }

  /** Made anew only when they differ. */
  #facts(server) {
    const { known = {} } = server;
    const up = server.booted && server.status !== "down" ? duration(Date.now() / 1000 - server.booted) : "–";
    const facts = [["role", server.role], ["environment", server.environment], ["cpus", known.cores], ["memory", bytes(known.memory_bytes)], ["disk", bytes(known.disk_bytes)],
      ["uptime", up], ["booted", server.booted ? new Date(server.booted * 1000).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" }) : "–"],
      ["labels", Object.entries(known.labels ?? {}).map(([name, value]) => `${name}=${value}`).join(", ")], ["notes", known.notes]].filter(([, value]) => value && value !== "–");
    const told = JSON.stringify(facts);
    if (told === this.told) return;
    this.told = told;
    this.facts.replaceChildren(...facts.map(([word, value]) => h("div", h("dt", t(word)), h("dd", String(value)))));
  }

  /** The next or the previous server. */
  move(by) {
    const ids = this.state.servers.map(({ id }) => id).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const to = ids[ids.indexOf(this.id) + by];
    if (to) this.go({ server: to });
  }

  close() {
    this.#abort?.abort();
    for (const chart of this.charts) chart.close();
  }
}
