// One chart of a server's page: lines over time with a table of what they amount to, or strips of up and down.

import { aborted, instant, range } from "./exporter.js";
import { language, t } from "./i18n.js";
import { attribute, button, clock, colour, h, limits, percent, text } from "./ui.js";

const HEIGHT = 168, MOST_COLOURS = 8;

/** A query for a server, a rate window in seconds, and for `ahead` the history and the distance. */
export const filled = (query, { server, window_s, history_s = 0, ahead_s = 0 }) =>
  query.replaceAll("$s", JSON.stringify(server)).replaceAll("$w", `${window_s}s`).replaceAll("$r", `${history_s}s`).replaceAll("$f", String(ahead_s));

/** The chart library, fetched when the first chart is drawn. */
const plotter = () => import("./vendor/uplot/uPlot.js").then((module) => module.default);

export class Chart {
  #plot = null;
  #names = [];
  #hidden = new Set();

  constructor(spec, server, onSelect) {
    this.spec = spec;
    this.server = server;
    this.onSelect = onSelect;
    this.place = h("div.plot");
    this.legend = h("div.legend");
    this.asked = h("pre");
    this.json = h("a", { target: "_blank", rel: "noopener" }, "JSON");
    const copy = button(t("copy"), () => navigator.clipboard?.writeText(this.asked.textContent), "small");
    this.element = h("section.panel.chart", { "aria-label": t(spec.word) },
      h("div.head", h("h2", t(spec.word)), h("details.menu.query", h("summary", "PromQL"), h("div", this.asked, h("p.row", copy, this.json)))),
      this.place, this.legend);
    this.resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.resized.observe(this.place);
  }

  #size() {
    return { width: Math.max(200, this.place.clientWidth), height: HEIGHT };
  }

  /** around: promise of {restarts, truth} to draw into every chart. */
  async load(when, around, signal) {
    const { start, end, step } = when;
    const { lines, ahead } = this.spec;
    const ahead_s = ahead ? Math.round((end - start) / 4) : 0;
    const of = { server: this.server, window_s: Math.max(60, 2 * step), history_s: Math.max(3600, ahead_s), ahead_s };
    const queries = lines.map(([query]) => filled(query, of));
    const forward = ahead && when.live ? filled(ahead, of) : null;
    text(this.asked, [...queries, forward].filter(Boolean).join("\n\n"));
    this.json.href = `/api/prometheus/api/v1/query_range?${new URLSearchParams({ query: queries[0], start, end, step })}`;
    try {
      const [answers, later, { restarts, truth }, uPlot] = await Promise.all([
        Promise.all(queries.map((query) => range(query, start, end, step, signal))), forward ? instant(forward, end, signal) : [], around, plotter()]);
      if (signal.aborted) return;
      this.uPlot = uPlot;
      this.#draw(this.#lines(answers), later, { ...when, ahead_s: forward ? ahead_s : 0, restarts, truth });
    } catch (error) {
      if (aborted(error)) return;
      this.#say(t("loadFailed", error.message), button(t("retry"), () => this.load(when, around, signal), "small"));
    }
  }

  #lines(answers) {
    const { lines, prefix } = this.spec;
    const named = (metric, i) => (metric[lines[i][1]] === undefined ? lines[i][1] : `${prefix ? `${prefix} ` : ""}${metric[lines[i][1]]}`);
    const found = answers.flatMap((series, i) => series.map(({ metric, values }) => ({ name: named(metric, i), values })));
    return found.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  }

  #say(...words) {
    this.#forget();
    this.place.replaceChildren(h("p.empty", ...words));
    this.legend.replaceChildren();
  }

  /** One row of times for all; where a series has no sample the line has a gap. */
  #draw(lines, later, when) {
    if (!lines.length) return this.#say(t("noSamples"));
    const { start, end, step, ahead_s } = when;
    this.when = when;
    const count = Math.floor((end - start) / step) + 1;
    const times = Array.from({ length: count }, (_, i) => start + i * step);
    const rows = lines.map(({ values }) => {
      const row = Array(count).fill(null);
      for (const [at, value] of values) row[Math.round((at - start) / step)] = Number.isFinite(Number(value)) ? Number(value) : null;
      return row;
    });
    const names = lines.map(({ name }) => name);
    this.#explain(names, rows);
    const ahead = ahead_s ? this.#ahead(names, rows, later, ahead_s, times) : [];
    const all = [...names, ...ahead.map(({ name }) => `→ ${name}`)];
    const data = [times, ...rows.map((row) => (ahead.length ? [...row, null] : row)), ...ahead.map(({ row }) => row)];
    if (this.#plot && all.join("\n") === this.#names.join("\n")) this.#plot.setData(data);
    else this.#make(all, names.length, data);
  }

  /** A line from the last sample to where the query sees each series; `times` gets the moment it ends at. */
  #ahead(names, rows, later, ahead_s, times) {
    const label = this.spec.lines[0][1];
    const found = later.flatMap(({ metric, value }) => {
      const i = names.indexOf(metric[label]), from = rows[i]?.at(-1);
      if (from === null || from === undefined) return [];
      const row = [...Array(times.length - 1).fill(null), from, Math.max(0, Math.min(this.spec.top ?? Infinity, Number(value[1])))];
      return [{ name: names[i], row }];
    });
    if (found.length) times.push(this.when.end + ahead_s);
    return found;
  }

  #make(names, solid, data) {
    this.#forget();
    this.place.replaceChildren();
    const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: '11px Inter, system-ui, sans-serif' };
    const { format, top } = this.spec;
    const highest = (high) => (top ? Math.min(top, Math.max(10, high * 1.15)) : high > 0 ? high * 1.1 : 1);
    const series = names.map((name, i) => ({ label: name, stroke: colour(`c${(i % solid) % MOST_COLOURS}`), width: 1.5, dash: i < solid ? undefined : [5, 4],
      points: { show: false }, show: !this.#hidden.has(names[i % solid]) }));
    this.#plot = new this.uPlot({
      ...this.#size(),
      cursor: { sync: { key: "server" }, drag: { setScale: false }, points: { size: 6 } },
      legend: { show: false },
      scales: { x: { range: () => [this.when.start, this.when.end + this.when.ahead_s] }, y: { range: (_, low, high) => [0, highest(high ?? 0)] } },
      axes: [{ ...axis, size: 24, gap: 3, space: 70, values: (_, splits) => this.#times(splits) }, { ...axis, size: 64, values: (_, values) => values.map((value) => format(value)) }],
      series: [{}, ...series],
      hooks: { drawClear: [(plot) => this.#behind(plot)], draw: [(plot) => this.#before(plot)], setSelect: [(plot) => this.#selected(plot)], setCursor: [(plot) => this.#point(plot)] },
    }, data, this.place);
    this.#names = names;
  }

  #times(splits) {
    const long = splits.at(-1) - splits[0] > 2 * 86400;
    return splits.map((at) => {
      const time = clock(at, language), midnight = /^(00|24):00$/.test(time);
      const day = long || midnight ? new Date(at * 1000).toLocaleDateString(language, { month: "short", day: "numeric" }) : "";
      return midnight ? day : long ? `${day} ${time}` : time;
    });
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    this.onSelect(Math.round(plot.posToVal(left, "x")), Math.round(plot.posToVal(left + width, "x")));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  /** Below the lines: what was simulated, as a band; the thresholds, as dashes. */
  #behind(plot) {
    const { ctx, bbox } = plot;
    const x = (s) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, plot.valToPos(s, "x", true)));
    ctx.save();
    ctx.fillStyle = colour("truth");
    for (const { start, end } of this.when.truth) ctx.fillRect(x(start), bbox.top, x(end) - x(start), bbox.height);
    for (const [i, limit] of (this.spec.measure ? limits(this.spec.measure, this.thresholds?.()) : []).entries()) {
      if (limit > plot.scales.y.max) continue;
      this.#dash(plot, colour(i ? "bad" : "warn"), [bbox.left, plot.valToPos(limit, "y", true)], [bbox.left + bbox.width, plot.valToPos(limit, "y", true)]);
    }
    ctx.restore();
  }

  /** Above them: where the server was booted again. */
  #before(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const at of this.when.restarts) {
      const x = plot.valToPos(at, "x", true);
      this.#dash(plot, colour("gone"), [x, bbox.top], [x, bbox.top + bbox.height]);
      ctx.fillStyle = colour("gone");
      ctx.fillText("↻", x + 4, bbox.top + 12 * devicePixelRatio);
    }
    ctx.restore();
  }

  #dash({ ctx }, stroke, from, to) {
    ctx.beginPath();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = devicePixelRatio;
    ctx.globalAlpha = 0.7;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.moveTo(...from);
    ctx.lineTo(...to);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
  }

  /** The last column shows what is under the cursor while there is one. */
  #point({ cursor, data }) {
    this.legend.querySelectorAll(".now").forEach((cell, i) => text(cell, this.spec.format(cursor.idx == null ? this.latest[i] : data[i + 1]?.[cursor.idx])));
  }

  #explain(names, rows) {
    const { format } = this.spec;
    const values = rows.map((row) => row.filter((value) => value !== null));
    this.latest = values.map((of) => of.at(-1) ?? null);
    const line = (name, i) => {
      const of = values[i];
      const numbers = of.length ? [Math.min(...of), of.reduce((a, b) => a + b, 0) / of.length, Math.max(...of)] : [null, null, null];
      const key = button(name, () => this.#toggle(name, key), "key", { "aria-pressed": String(!this.#hidden.has(name)) });
      key.style.setProperty("--c", `var(--c${i % MOST_COLOURS})`);
      return h("tr", h("th", { scope: "row" }, key), numbers.map((value) => h("td", format(value))), h("td.now", format(this.latest[i])));
    };
    const heads = ["min", "avg", "max", "last"].map((word) => h("th", { scope: "col" }, t(word)));
    this.legend.replaceChildren(h("table", h("thead", h("tr", h("td"), heads)), h("tbody", names.map(line))));
    if (names.length > 6) Object.assign(this.legend, { tabIndex: 0, role: "group", ariaLabel: t(this.spec.word) });
  }

  #toggle(name, key) {
    if (!this.#hidden.delete(name)) this.#hidden.add(name);
    attribute(key, "aria-pressed", String(!this.#hidden.has(name)));
    this.#names.forEach((each, i) => each.replace("→ ", "") === name && this.#plot?.setSeries(i + 1, { show: !this.#hidden.has(name) }));
  }

  #forget() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#names = [];
  }

  close() {
    this.resized.disconnect();
    this.#forget();
  }
}

export class Timeline {
  constructor(query, server) {
    this.query = query;
    this.server = server;
    this.rows = h("div.strips");
    this.axis = h("div.strip-axis.dim");
    this.asked = h("pre");
    this.element = h("section.panel.chart", { "aria-label": t("services") },
      h("div.head", h("h2", t("services")), h("details.menu.query", h("summary", "PromQL"), h("div", this.asked))), this.rows, this.axis);
  }

  async load({ start, end, step }, _around, signal) {
    const query = filled(this.query, { server: this.server, window_s: 0 });
    text(this.asked, query);
    try {
      const series = await range(query, start, end, step, signal);
      const strips = series.map(({ metric, values }) => this.#strip(metric.service, values, start, end, step));
      this.rows.replaceChildren(...(strips.length ? strips : [h("p.empty", t("noSamples"))]));
      this.axis.replaceChildren(h("span", clock(start, language, end - start > 86400)), h("span", clock(end, language, end - start > 86400)));
    } catch (error) {
      if (aborted(error)) return;
      this.rows.replaceChildren(h("p.empty", t("loadFailed", error.message), button(t("retry"), () => this.load({ start, end, step }, null, signal), "small")));
    }
  }

  /** Runs of the same state, as parts of the whole width. */
  #strip(service, values, start, end, step) {
    const runs = [];
    for (const [at, value] of values) {
      const up = value !== "0", last = runs.at(-1);
      if (last && last.up === up && at - last.to <= step * 1.5) last.to = at + step;
      else runs.push({ up, from: at, to: at + step });
    }
    const share = (s) => Math.max(0, Math.min(1, (s - start) / (end - start || 1)));
    const upTime = values.filter(([, value]) => value !== "0").length / (values.length || 1);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    attribute(svg, "viewBox", "0 0 1000 10");
    attribute(svg, "preserveAspectRatio", "none");
    attribute(svg, "aria-hidden", "true");
    for (const { up, from, to } of runs) {
      const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, value] of Object.entries({ x: share(from) * 1000, width: Math.max(1, (share(to) - share(from)) * 1000), y: up ? 3 : 0, height: up ? 4 : 10, class: up ? "up" : "off" })) attribute(part, name, String(value));
      svg.append(part);
    }
    const now = values.at(-1)?.[1] !== "0";
    return h("div.strip", h("span", h(`i.${now ? "good" : "bad"}`, now ? "✓ " : "✕ "), service), svg, h("span.num", percent(upTime * 100)));
  }

  close() {}
}
