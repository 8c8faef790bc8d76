// The page of all servers: map, alerts, analysis, table.

import { range } from "./exporter.js";
import { Alerts, Analysis } from "./findings.js";
import { language, t } from "./i18n.js";
import { FILLS, FleetMap, GROUPS } from "./map.js";
import { SEVERITY, $, attribute, button, bytesPerSecond, clock, colour, duration, h, level, milliseconds, percent, plain, reconcile, serverLink, text } from "./ui.js";

const byName = new Intl.Collator(undefined, { numeric: true }).compare;

export class FleetPage {
  constructor(main, state, go) {
    this.state = state;
    this.go = go;
    this.map = new FleetMap(go);
    this.table = new Table(state, go);
    this.alerts = new Alerts(state, go);
    this.analysis = new Analysis(state, go);
    this.sums = h("p.sums.dim");
    this.found = h("span.dim");
    this.nothing = h("div.empty", { hidden: true });
    main.replaceChildren(h("h1.hidden", t("map")),
      h("section.panel.map-panel", { "aria-label": t("map") },
        h("div.head", h("h2", t("map")), this.sums, this.#choice("group", GROUPS, "groupBy"), this.#choice("fill", FILLS, "fillBy")),
        h("div.body", this.map.place, h("div.under", this.map.now, this.map.legend))),
      h("div.columns",
        h("section.panel.list-panel", { "aria-label": t("servers") },
          h("div.head", h("h2", t("servers")), this.found), h("div.scroll", { tabIndex: 0, role: "group", "aria-label": t("servers") }, this.table.element), this.nothing),
        h("div.side", this.alerts.element, this.analysis.element)));
    this.update();
  }

  #choice(name, of, word) {
    const options = Object.keys(of).map((each) => h("option", { value: each, selected: this.state.view[name] === each }, t(each)));
    return h("label.choice", h("span", t(word)), h("select", { name, onchange: ({ target }) => this.go({ [name]: target.value }) }, options));
  }

  #shown() {
    const { q, status } = this.state.view;
    const wanted = q.toLowerCase().split(/\s+/).filter(Boolean);
    if (!wanted.length && !status) return this.state.servers;
    const fits = (s) => {
      const words = `${s.id} ${s.role} ${s.environment} ${s.reason}`.toLowerCase();
      return wanted.every((word) => words.includes(word));
    };
    return this.state.servers.filter((s) => (!status || s.status === status) && fits(s));
  }

  update() {
    const shown = this.#shown();
    const { summary, omitted, servers } = this.state;
    this.map.update(shown, this.state.view, this.state.scores);
    this.table.update(shown);
    this.alerts.update();
    this.analysis.update();
    this.table.element.hidden = !shown.length;
    this.#nothing(shown.length, servers.length);
    text(this.sums, summary ? t("sums", percent(summary.avg_cpu), percent(summary.avg_memory)) : "");
    text(this.found, servers.length ? t("shown", shown.length, summary?.total_servers ?? servers.length) + (omitted ? ` ${t("omitted")}` : "") : "");
  }

  /** Why the table is empty, and what to do about it; made anew only when that changes. */
  #nothing(shown, known) {
    const why = shown ? "" : known ? "noMatch" : this.state.summary ? "noServers" : "loading";
    this.nothing.hidden = !why;
    if (why === this.nothing.dataset.why) return;
    this.nothing.dataset.why = why;
    const mend = why === "noMatch" ? button(t("showAll"), () => this.go({ q: "", status: "" })) : null;
    this.nothing.replaceChildren(...(why === "loading" ? skeleton() : [h("p", t(why || "loading")), mend].filter(Boolean)));
  }

  move(by) {
    this.table.move(by);
  }

  close() {
    this.map.close();
    this.table.close();
  }
}

const skeleton = () => [h("p.hidden", t("loading")), ...Array.from({ length: 6 }, () => h("div.bone", { "aria-hidden": "true" }))];

const last = (value) => (value === null || value === undefined || Number.isNaN(value) ? Number.MAX_VALUE : -value);

/** name, word, classes, what it is sorted by: the interesting end first. */
const COLUMNS = [
  ["name", "server", "", (s) => s.id],
  ["state", "status", "", (s) => SEVERITY[s.status]],
  ["cpu", "cpu", "", (s) => last(s.cpu)],
  ["memory", "memory", "", (s) => last(s.memory)],
  ["disk", "disk", "", (s) => last(s.disk)],
  ["trend", "trend", "", null],
  ["requests", "requests", "num", (s) => last(s.requests)],
  ["p99", "p99", "num", (s) => last(s.p99_ms)],
  ["network", "network", "num quiet", (s) => last(s.network.in + s.network.out)],
  ["uptime", "uptime", "num", (s) => last(-(s.booted ?? NaN))],
  ["alerts", "alerts", "num", (s) => last(s.alerts)],
];
export const SORTS = new Set(COLUMNS.filter(([, , , by]) => by).map(([name]) => name));

export class Table {
  #at = null;
  #seen = new Set();
  #servers = new Map();

  constructor(state, go) {
    this.state = state;
    this.go = go;
    this.body = h("tbody");
    this.heads = new Map(COLUMNS.map((column) => [column[0], this.#head(column)]));
    this.element = h("table.servers", h("caption.hidden", t("servers")), h("thead", h("tr", [...this.heads.values()])), this.body);
    this.watched = new IntersectionObserver((entries) => this.#sight(entries), { rootMargin: "300px" });
  }

  close() {
    this.watched.disconnect();
  }

  #head([name, word, classes, by]) {
    const label = by ? h("button", { type: "button", onclick: () => this.#sort(name) }, t(word)) : h("span", t(word));
    return h("th", { scope: "col", className: classes }, label);
  }

  #sort(name) {
    const { sort, down } = this.state.view;
    this.go({ sort: name, down: sort === name && !down });
  }

  /** The servers in the order that is asked for. */
  sorted(servers) {
    const { sort, down } = this.state.view;
    const by = COLUMNS.find(([name]) => name === sort)[3];
    const names = (a, b) => byName(a.id, b.id);
    const compare = sort === "name" ? names : (a, b) => by(a) - by(b) || names(a, b);
    return [...servers].sort((a, b) => (down ? -1 : 1) * compare(a, b));
  }

  update(servers) {
    const { sort, down } = this.state.view;
    for (const [name, head] of this.heads) attribute(head, "aria-sort", name === sort ? (down ? "descending" : "ascending") : null);
    this.#servers = new Map(servers.map((server) => [server.id, server]));
    this.line = colour("accent");
    reconcile(this.body, this.sorted(servers), (server) => server.id, (server) => this.#make(server));
    for (const row of this.#seen) if (row.isConnected) this.#fill(row);
  }

  #make(server) {
    const row = makeRow(server);
    fill(row, server);
    this.watched.observe(row);
    return row;
  }

  #sight(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) this.#seen.delete(target);
      else {
        this.#seen.add(target);
        if (target.isConnected) this.#fill(target);
      }
    }
  }

  #fill(row) {
    const server = this.#servers.get(row.dataset.id);
    if (!server) return;
    fill(row, server);
    this.state.sparks.draw(row.parts.spark, server.id, this.line, this.state.tick);
  }

  /** Goes up or down, and takes the focus along. */
  move(by) {
    const rows = [...this.body.children];
    if (!rows.length) return;
    const at = rows.indexOf(this.#at);
    this.#at?.removeAttribute("data-at");
    this.#at = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    this.#at.dataset.at = "";
    $("a", this.#at).focus();
  }
}

const bar = (name, word) => h("td", { "data-label": t(word) }, h("div.bar", { "data-name": name }, h("i", { "aria-hidden": "true" }), h("b")));
const cell = (name, word, extra = "") => h(`td.num${extra}`, { "data-name": name, "data-label": t(word) });

function makeRow(server) {
  const row = h("tr", { "data-id": server.id },
    h("th.name", { scope: "row" }, serverLink(server.id), h("small", server.role)),
    h("td.state", h("span.status"), h("span.reason")),
    bar("cpu", "cpu"), bar("memory", "memory"), bar("disk", "disk"),
    h("td.wide", { "data-label": t("trend") }, h("canvas.spark", { "aria-hidden": "true" })),
    cell("requests", "requests"), cell("p99", "p99"), cell("network", "network", ".quiet"), cell("uptime", "uptime"), cell("alerts", "alerts"));
  const named = [...row.querySelectorAll("[data-name]")].map((element) => [element.dataset.name, element]);
  row.parts = { ...Object.fromEntries(named), status: $(".status", row), reason: $(".reason", row), spark: $("canvas", row) };
  return row;
}

function fill({ parts }, server) {
  attribute(parts.status, "class", `status ${server.status}`);
  text(parts.status, t(server.status));
  const until = server.known?.maintenance?.find(({ start, end }) => Date.parse(start) <= Date.now() && Date.now() < Date.parse(end))?.end;
  text(parts.reason, [server.reason, until && t("maintenance", clock(Date.parse(until) / 1000, language))].filter(Boolean).join(" · "));
  for (const name of ["cpu", "memory", "disk"]) fillBar(parts[name], server[name], level(name, server[name], server));
  text(parts.requests, plain(server.requests));
  text(parts.p99, milliseconds(server.p99_ms));
  text(parts.network, `${bytesPerSecond(server.network.in)} / ${bytesPerSecond(server.network.out)}`);
  text(parts.uptime, server.booted && server.status !== "down" ? duration(Date.now() / 1000 - server.booted) : "–");
  text(parts.alerts, server.alerts ? String(server.alerts) : "–");
  parts.alerts.classList.toggle("some", server.alerts > 0);
}

function fillBar(of, value, now) {
  attribute(of, "class", `bar ${now}`);
  text(of.lastChild, percent(value));
  if (of.value === value) return;
  of.value = value;
  of.firstChild.style.setProperty("--v", `${Math.min(100, value ?? 0)}%`);
}

const SPAN_S = 900, STEP_S = 15, WIDTH = 112, HEIGHT = 22;

export class Sparks {
  #points = new Map();

  /** History to start with; without it the lines grow from now on. */
  async load() {
    const end = Math.floor(Date.now() / 1000 / STEP_S) * STEP_S;
    const series = await range("avg by (server) (openmanager_cpu_usage_percent)", end - SPAN_S, end, STEP_S);
    for (const { metric, values } of series) {
      const newer = this.#points.get(metric.server) ?? [];
      const older = values.map(([t, v]) => [t, Number(v)]).filter(([t]) => !newer.length || t < newer[0][0]);
      this.#points.set(metric.server, [...older, ...newer]);
    }
  }

  /** Takes in a tick; servers that are gone are forgotten. */
  add(servers, t) {
    for (const { id, cpu } of servers) {
      const points = this.#points.get(id) ?? [];
      this.#points.set(id, points);
      if (cpu === null || (points.length && t <= points.at(-1)[0])) continue;
      points.push([t, cpu]);
      while (points[0][0] < t - SPAN_S) points.shift();
    }
    if (this.#points.size > 2 * servers.length) {
      const known = new Set(servers.map(({ id }) => id));
      for (const id of this.#points.keys()) if (!known.has(id)) this.#points.delete(id);
    }
  }

  draw(canvas, server, line, now) {
    const points = this.#points.get(server) ?? [];
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== WIDTH * ratio) [canvas.width, canvas.height] = [WIDTH * ratio, HEIGHT * ratio];
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    if (points.length < 2) return;
    const y = (v) => HEIGHT - 2 - (Math.min(100, v) / 100) * (HEIGHT - 4);
    pen.beginPath();
    let before = null;
    for (const [t, v] of points) {
      const x = WIDTH - 2 - ((now - t) / SPAN_S) * (WIDTH - 4);
      if (before === null || t - before > 2.5 * STEP_S) pen.moveTo(x, y(v));
      else pen.lineTo(x, y(v));
      before = t;
    }
    pen.strokeStyle = line;
    pen.lineWidth = 1.25;
    pen.lineJoin = "round";
    pen.stroke();
  }
}
