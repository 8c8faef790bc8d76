// The page of one server: facts and charts over a range.

import { alertList } from "./alerts.js";
import { range } from "./api.js";
import { h, text } from "./dom.js";
import { bytesPerSecond, duration, milliseconds, percent, plain, seconds } from "./format.js";
import { t } from "./i18n.js";

export const RANGES = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "3d": 259200, "7d": 604800 };
const COLOURS = ["#5aa9f8", "#f0a23c", "#4cc38a", "#e5677a", "#b48cf2", "#3fc6c6", "#c9b037", "#9aa7b4"];
const POINTS = 360;

/** What is drawn: title, unit, and queries with the label that names their series. `$s` is the server, `$w` a rate's window. */
const CHARTS = [
  ["cores", percent, [["openmanager_cpu_usage_percent{server=$s}", "core"]], 100],
  ["load", plain, [["openmanager_cpu_load_average_1m{server=$s}", "1m"], ["openmanager_cpu_load_average_5m{server=$s}", "5m"], ["openmanager_cpu_load_average_15m{server=$s}", "15m"]]],
  ["memoryUse", percent, [["openmanager_memory_usage_percent{server=$s}", "memory"]], 100],
  ["disks", percent, [["openmanager_disk_usage_percent{server=$s}", "mount"]], 100],
  ["networkIo", bytesPerSecond, [["sum(rate(openmanager_network_receive_bytes_total{server=$s}[$w]))", "in"], ["sum(rate(openmanager_network_transmit_bytes_total{server=$s}[$w]))", "out"]]],
  ["diskIo", bytesPerSecond, [["sum(rate(openmanager_disk_read_bytes_total{server=$s}[$w]))", "read"], ["sum(rate(openmanager_disk_write_bytes_total{server=$s}[$w]))", "write"]]],
  ["latency", seconds, [0.5, 0.95, 0.99].map((q) => [`histogram_quantile(${q}, sum by (le) (rate(openmanager_http_request_latency_seconds_bucket{server=$s}[$w])))`, `p${q * 100}`])],
  ["requestRate", plain, [["sum by (status) (rate(openmanager_http_requests_total{server=$s}[$w]))", "status"]]],
];

export class ServerPage {
  #charts = [];
  #abort = null;
  #zoom = null;
  #drawn = 0;

  constructor(main, state, go) {
    this.state = state;
    this.go = go;
    this.id = state.view.server;
    this.title = h("h1", this.id);
    this.status = h("span.status");
    this.reason = h("span.dim");
    this.facts = h("dl.facts");
    this.alerts = h("div", { "aria-live": "polite" });
    this.missing = h("p.notice", { hidden: true }, t("unknownServer", this.id));
    this.buttons = new Map(Object.keys(RANGES).map((name) => [name, h("button", { type: "button", onclick: () => this.choose(name) }, name)]));
    this.grid = h("div.charts");
    main.replaceChildren(
      h("div.bar-top", h("a", { href: "/" }, `← ${t("back")}`), this.title, this.status, this.reason, h("div.ranges", { role: "group" }, [...this.buttons.values()])),
      this.missing,
      h("section.panel", h("div.body", this.facts)),
      this.grid,
      h("section.panel", h("h2", t("alerts")), this.alerts));
    this.#charts = CHARTS.map((chart) => new Chart(this.grid, this.id, chart, (from, to) => this.#select(from, to)));
    this.update();
    this.load();
  }

  choose(name) {
    this.#zoom = null;
    this.go({ range: name });
  }

  #select(from, to) {
    this.#zoom = [from, to];
    this.load();
  }

  async load() {
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(!this.#zoom && name === this.state.view.range));
    this.#abort?.abort();
    this.#abort = new AbortController();
    const span = RANGES[this.state.view.range];
    const now = Math.floor(Date.now() / 15000) * 15;
    const [start, end] = this.#zoom ?? [now - span, now];
    const step = Math.max(15, Math.ceil((end - start) / POINTS / 15) * 15);
    this.#drawn = Date.now();
    await Promise.all(this.#charts.map((chart) => chart.load(start, end, step, this.#abort.signal)));
  }

  close() {
    this.#abort?.abort();
    for (const chart of this.#charts) chart.close();
  }

  update() {
    const server = this.state.servers.find((s) => s.id === this.id);
    this.missing.hidden = Boolean(server) || !this.state.servers.length;
    this.updateAlerts();
    if (!server) return;
    this.status.className = `status ${server.status}`;
    text(this.status, t(server.status));
    text(this.reason, server.reason);
    const facts = [["role", server.role], ["environment", server.environment], ["cpu", percent(server.cpu)], ["memory", percent(server.memory)], ["disk", percent(server.disk)],
      ["network", `${bytesPerSecond(server.network.in)} / ${bytesPerSecond(server.network.out)}`], ["requests", plain(server.requests)], ["response", milliseconds(server.response_ms)],
      ["uptime", server.booted && server.status !== "down" ? duration(Date.now() / 1000 - server.booted) : "–"]];
    this.facts.replaceChildren(...facts.map(([word, value]) => h("div", h("dt", t(word)), h("dd", value || "–"))));
    if (!this.#zoom && !document.hidden && Date.now() - this.#drawn > Math.max(14000, (RANGES[this.state.view.range] / POINTS) * 1000)) this.load();
  }

  updateAlerts() {
    const mine = this.state.alerts.filter((alert) => alert.labels.server === this.id);
    this.alerts.replaceChildren(alertList(mine, this.state.alerterUp));
  }
}

let plotting = null;

/** The chart library, fetched when the first chart is drawn. */
function plotter() {
  plotting ??= new Promise((resolve, reject) => {
    document.head.append(h("script", { src: "/static/vendor/uplot/uPlot.iife.min.js", onload: resolve, onerror: () => reject(new Error("uPlot")) }));
  });
  return plotting;
}

class Chart {
  #plot = null;
  #lines = [];

  constructor(grid, server, [title, format, queries, most], onSelect) {
    this.queries = queries.map(([query, name]) => [query.replaceAll("$s", JSON.stringify(server)), name]);
    this.format = format;
    this.most = most;
    this.onSelect = onSelect;
    this.place = h("div.plot");
    this.legend = h("div.legend");
    this.link = h("a", { target: "_blank", rel: "noopener" }, t("query"));
    this.panel = h("section.panel.chart", h("h2", t(title), this.link), this.place, this.legend);
    grid.append(this.panel);
    this.resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.resized.observe(this.place);
  }

  #size() {
    return { width: Math.max(200, this.place.clientWidth - 12), height: 170 };
  }

  async load(start, end, step, signal) {
    const window = `${Math.max(60, 2 * step)}s`;
    const queries = this.queries.map(([query, name]) => [query.replaceAll("$w", window), name]);
    this.link.href = `/api/prometheus/api/v1/query_range?${new URLSearchParams({ query: queries[0][0], start, end, step })}`;
    try {
      const [answers] = await Promise.all([Promise.all(queries.map(([query]) => range(query, start, end, step, signal))), plotter()]);
      if (signal.aborted) return;
      const lines = answers.flatMap((series, i) => series.map(({ metric, values }) => ({ name: metric[queries[i][1]] ?? queries[i][1], values })));
      this.#draw(lines.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true })), start, end, step);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#forget();
      this.place.replaceChildren(h("p.empty", t("loadFailed", error.message), " ", h("button", { type: "button", onclick: () => this.load(start, end, step, signal) }, t("retry"))));
      this.legend.replaceChildren();
    }
  }

  /** One row of times for all; where a series has no sample the line has a gap. */
  #draw(lines, start, end, step) {
    if (!lines.length) {
      this.#forget();
      this.place.replaceChildren(h("p.empty", t("noSamples")));
      this.legend.replaceChildren();
      return;
    }
    const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => start + i * step);
    const rows = lines.map(({ values }) => {
      const row = Array(times.length).fill(null);
      for (const [at, value] of values) row[Math.round((at - start) / step)] = Number.isFinite(Number(value)) ? Number(value) : null;
      return row;
    });
    const names = lines.map(({ name }) => name);
    if (!this.#plot || names.join("\n") !== this.#lines.join("\n")) this.#make(names, [times, ...rows]);
    else this.#plot.setData([times, ...rows]);
    this.#explain(names, rows);
  }

  /** Hours and minutes; days where a day begins, or where the range is long. */
  #times(plot, splits) {
    const long = splits.at(-1) - splits[0] > 2 * 86400;
    return splits.map((t) => {
      const at = new Date(t * 1000);
      const day = at.toLocaleDateString(undefined, { month: "short", day: "numeric" });
      const time = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
      return time === "00:00" ? day : long ? `${day} ${time}` : time;
    });
  }

  #make(names, data) {
    this.#forget();
    this.place.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const axis = { stroke: style.getPropertyValue("--dim"), grid: { stroke: style.getPropertyValue("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const { most, format, onSelect } = this;
    const top = (low, high) => (most ? Math.min(most, Math.max(10, high * 1.15)) : high > 0 ? high * 1.1 : 1);
    const select = (plot) => plot.select.width > 8 && onSelect(Math.round(plot.posToVal(plot.select.left, "x")), Math.round(plot.posToVal(plot.select.left + plot.select.width, "x")));
    this.#plot = new uPlot({
      ...this.#size(),
      cursor: { sync: { key: "server" }, drag: { setScale: false }, points: { size: 6 } },
      legend: { show: false },
      scales: { y: { range: (_, low, high) => [0, top(low, high)] } },
      axes: [{ ...axis, size: 30, space: 64, values: (plot, splits) => this.#times(plot, splits) }, { ...axis, size: 62, values: (_, values) => values.map((value) => format(value)) }],
      series: [{}, ...names.map((name, i) => ({ label: name, stroke: COLOURS[i % COLOURS.length], width: 1.5, points: { show: false } }))],
      hooks: { setSelect: [select], setCursor: [(plot) => this.#point(plot)] },
    }, data, this.place);
    this.#lines = names;
  }

  /** The last column shows what is under the cursor while there is one. */
  #point({ cursor, data }) {
    this.legend.querySelectorAll(".now").forEach((cell, i) => text(cell, this.format(cursor.idx == null ? this.latest[i] : data[i + 1][cursor.idx])));
  }

  #explain(names, rows) {
    const values = rows.map((row) => row.filter((value) => value !== null));
    this.latest = values.map((of) => of.at(-1) ?? null);
    const cells = names.flatMap((name, i) => {
      const of = values[i], key = h("span.key", name);
      key.style.setProperty("--c", COLOURS[i % COLOURS.length]);
      const numbers = of.length ? [Math.min(...of), of.reduce((a, b) => a + b, 0) / of.length, Math.max(...of)] : [null, null, null];
      return [key, ...numbers.map((value) => h("span", this.format(value))), h("span.now", this.format(this.latest[i]))];
    });
    this.legend.replaceChildren(h("span.key.none"), ...["min", "avg", "max", "last"].map((word) => h("span.dim", t(word))), ...cells);
  }

  #forget() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#lines = [];
  }

  close() {
    this.resized.disconnect();
    this.#forget();
  }
}
