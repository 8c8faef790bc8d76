// The fleet on one canvas: a cell per server, grouped, coloured by one measure, walked with the arrows.

import { t } from "./i18n.js";
import { ICONS, SEVERITY, colour, duration, edges, h, milliseconds, percent, score, step, text, wholePercent } from "./ui.js";

/** What fills a cell: its value in a server, and how it is written in a cell. */
export const FILLS = {
  cpu: [(s) => s.cpu, wholePercent],
  memory: [(s) => s.memory, wholePercent],
  disk: [(s) => s.disk, wholePercent],
  latency: [(s) => s.p99_ms, milliseconds],
  anomaly: [(s, scores) => (s.status === "down" ? null : scores.get(s.id) ?? null), score],
};
export const GROUPS = {
  role: (s) => s.role || "–",
  environment: (s) => s.environment || "–",
  status: (s) => s.status,
};
const FONT = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export class FleetMap {
  #cells = [];
  #drawn = "";
  #selected = null;
  #hovered = null;
  #inks = null;

  constructor(go) {
    this.go = go;
    this.canvas = h("canvas", { tabIndex: 0, role: "application", "aria-describedby": "map-now" });
    this.canvas.setAttribute("aria-roledescription", t("mapRole"));
    this.now = h("output.map-now", { id: "map-now" });
    this.tip = h("div.tip", { hidden: true });
    this.legend = h("div.scale");
    this.place = h("div.map", this.canvas, this.tip);
    this.canvas.addEventListener("mousemove", (event) => this.#hover(this.#at(event)));
    this.canvas.addEventListener("mouseleave", () => this.#hover(null));
    this.canvas.addEventListener("click", (event) => this.#open(this.#at(event)?.server));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("focus", () => this.#select(this.#selected ?? this.#cells[0]?.server.id));
    this.canvas.addEventListener("blur", () => this.#paint());
    this.resized = new ResizeObserver(() => this.#again());
    this.resized.observe(this.place);
  }

  close() {
    this.resized.disconnect();
  }

  /** servers: those that are shown; scores: anomaly by server. */
  update(servers, { group, fill }, scores) {
    this.shown = { servers, group, fill, scores };
    this.#scale(fill);
    const places = servers.map((s) => `${s.id} ${GROUPS[group](s)}`).join() + group + fill;
    if (places !== this.#drawn) this.#again();
    else this.#refresh(new Map(servers.map((s) => [s.id, s])));
    this.#drawn = places;
  }

  /** The same cells with what their servers say now. */
  #refresh(servers) {
    for (const cell of this.#cells) cell.server = servers.get(cell.server.id);
    this.#paint();
  }

  #again() {
    const width = this.place.clientWidth;
    if (!this.shown || !width) return;
    const { servers, group } = this.shown;
    const by = grouped(servers, GROUPS[group]);
    const order = group === "status" ? (a, b) => SEVERITY[a[0]] - SEVERITY[b[0]] : (a, b) => a[0].localeCompare(b[0]);
    const groups = [...by].sort(order).map(([name, of]) => ({ name: group === "status" ? t(name) : name, servers: of }));
    this.plan = layout(groups, width);
    this.#cells = this.plan.cells;
    this.#inks = null;
    this.#size(width, this.plan.height);
    this.canvas.setAttribute("aria-label", t("mapLabel", servers.length, t(this.shown.fill)));
    this.#paint();
  }

  #size(width, height) {
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    this.canvas.style.height = `${height}px`;
    this.canvas.style.width = `${width}px`;
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(ratio, ratio);
  }

  #paint() {
    if (!this.plan) return;
    this.#inks ??= inks();
    const { pen, plan } = this;
    pen.clearRect(0, 0, plan.width, plan.height);
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    pen.font = `500 11.5px ${FONT}`;
    pen.fillStyle = this.#inks.dim;
    for (const { name, x, y } of plan.labels) pen.fillText(name, x, y);
    for (const cell of plan.cells) this.#cell(cell);
    const focused = document.activeElement === this.canvas;
    for (const cell of plan.cells)
      if (cell === this.#hovered || (focused && cell.server.id === this.#selected)) this.#outline(cell);
  }

  #cell({ server, x, y, w, h: tall }) {
    const { pen, plan } = this;
    const { fill, scores } = this.shown;
    const [read, format] = FILLS[fill];
    const value = read(server, scores);
    const ink = this.#inks.steps[server.status === "down" ? -1 : step(fill, value, server)] ?? this.#inks.steps[-1];
    pen.beginPath();
    pen.roundRect(x, y, w, tall, plan.size.radius);
    pen.fillStyle = ink.back;
    pen.fill();
    if (server.status !== "healthy") this.#edge(server.status);
    pen.fillStyle = ink.text;
    const icon = server.status === "healthy" ? "" : ICONS[server.status];
    const shown = server.status === "down" ? t("down") : format(value);
    pen.textAlign = "left";
    if (plan.size.name === "full") {
      pen.font = `500 11.5px ${FONT}`;
      pen.fillText(server.id, x + 8, y + 15, w - 26);
      pen.font = `600 15px ${FONT}`;
      pen.fillText(shown, x + 8, y + tall - 16, w - 16);
      pen.textAlign = "right";
      pen.font = `600 12px ${FONT}`;
      if (icon) pen.fillText(icon, x + w - 7, y + 15);
      return;
    }
    pen.textAlign = "center";
    pen.font = `600 ${plan.size.text}px ${FONT}`;
    const alone = plan.size.name === "none";
    const words = alone ? icon || shown.replace(/%| ms$/, "") : `${icon && `${icon} `}${shown}`;
    pen.fillText(words, x + w / 2, y + (plan.size.name === "number" ? tall * 0.34 : tall / 2), w - 2);
    if (plan.size.name !== "number") return;
    pen.font = `400 10px ${FONT}`;
    pen.fillText(server.id.replace(/^.*-(?=\d+$)/, "#"), x + w / 2, y + tall * 0.74, w - 4);
  }

  /** The status beside the measure: an edge, broken for a server that says nothing. */
  #edge(status) {
    const { pen } = this;
    pen.strokeStyle = this.#inks[status];
    pen.lineWidth = 1.5;
    pen.setLineDash(status === "down" ? [3, 2] : []);
    pen.stroke();
    pen.setLineDash([]);
  }

  #outline({ x, y, w, h: tall }) {
    const { pen } = this;
    pen.beginPath();
    pen.roundRect(x - 2, y - 2, w + 4, tall + 4, this.plan.size.radius + 2);
    pen.strokeStyle = this.#inks.accent;
    pen.lineWidth = 2;
    pen.stroke();
  }

  #at({ offsetX, offsetY }) {
    return this.#cells.find(({ x, y, w, h: tall }) => offsetX >= x && offsetX <= x + w && offsetY >= y && offsetY <= y + tall) ?? null;
  }

  #hover(cell) {
    if (cell === this.#hovered) return;
    this.#hovered = cell;
    this.canvas.style.cursor = cell ? "pointer" : "";
    this.tip.hidden = !cell;
    if (cell) {
      this.tip.replaceChildren(...describe(cell.server, this.shown.scores));
      const left = Math.min(cell.x, this.place.clientWidth - 230);
      this.tip.style.transform = `translate(${Math.max(0, left)}px, ${cell.y + cell.h + 8}px)`;
    }
    this.#paint();
  }

  #select(id) {
    this.#selected = id ?? null;
    const server = this.#cells.find((cell) => cell.server.id === id)?.server;
    text(this.now, server ? summary(server) : "");
    this.#paint();
  }

  #key(event) {
    const at = this.#cells.findIndex((cell) => cell.server.id === this.#selected);
    if (event.key === "Enter") return this.#open(this.#cells[at]?.server);
    const to = neighbour(this.#cells, at, event.key);
    if (to === null) return;
    event.preventDefault();
    this.#select(this.#cells[to].server.id);
  }

  #open(server) {
    if (server) this.go({ server: server.id });
  }

  #scale(fill) {
    if (this.scaled === fill) return;
    this.scaled = fill;
    const format = FILLS[fill][1];
    const swatches = edges(fill).map((edge, i) => h("li", h(`i.step${i}`), edge === null ? `> ${format(edges(fill)[i - 1])}` : `≤ ${format(edge)}`));
    this.legend.replaceChildren(h("ul", { "aria-label": t("scale") }, swatches));
  }
}

function grouped(servers, by) {
  const found = new Map();
  for (const server of servers) found.set(by(server), [...(found.get(by(server)) ?? []), server]);
  return found;
}

/** The colours of the theme, read once per drawing. */
function inks() {
  const texts = { [-1]: colour("gone"), 3: colour("ink3"), 4: "#fff" };
  const steps = Object.fromEntries([-1, 0, 1, 2, 3, 4].map((i) => [i, { back: colour(`step${i < 0 ? "x" : i}`), text: texts[i] ?? colour("ink") }]));
  return { steps, dim: colour("dim"), accent: colour("accent"), warning: colour("warn"), critical: colour("bad"), down: colour("gone") };
}

const summary = (s) => `${s.id}: ${t(s.status)}${s.reason && `, ${s.reason}`}`;

function describe(server, scores) {
  const rows = [["cpu", percent(server.cpu)], ["memory", percent(server.memory)], ["disk", percent(server.disk)], ["p99", milliseconds(server.p99_ms)],
    ["anomaly", score(scores.get(server.id) ?? null)], ["inState", duration(Date.now() / 1000 - server.since)]];
  return [h("b", server.id), h(`span.status.${server.status}`, t(server.status)), server.reason ? h("p", server.reason) : null,
    h("dl", rows.map(([word, value]) => [h("dt", t(word)), h("dd", value)]))].filter(Boolean);
}

const SIZES = [
  { w: 118, h: 54, gap: 6, radius: 6, name: "full" },
  { w: 92, h: 50, gap: 5, radius: 6, name: "full" },
  { w: 58, h: 38, gap: 4, radius: 5, text: 12, name: "number" },
  { w: 46, h: 26, gap: 3, radius: 4, text: 11, name: "value" },
  { w: 25, h: 20, gap: 2, radius: 3, text: 10, name: "none" },
];
const LABEL = 20, BETWEEN = 14, MOST_HEIGHT = 300, PAD = 3;

/** Cells {server, x, y, w, h}, labels {name, x, y}, the height, and the size that was chosen. */
export function layout(groups, width) {
  for (const size of SIZES) {
    const plan = placed(groups, width, size);
    if (plan.height <= MOST_HEIGHT || size === SIZES.at(-1)) return plan;
  }
  return null;
}

/** Groups stand beside each other while they fit into the row; one that is wider than a row has rows of its own. */
function placed(groups, width, size) {
  const stepX = size.w + size.gap, stepY = size.h + size.gap;
  const perRow = Math.max(1, Math.floor((width - 2 * PAD + size.gap) / stepX));
  const plan = { cells: [], labels: [], size, width, height: 0 };
  let x = PAD, y = PAD, tall = 0;
  for (const { name, servers } of groups) {
    const columns = Math.min(servers.length, perRow);
    if (x > PAD && x + columns * stepX - size.gap > width - PAD) [x, y, tall] = [PAD, y + tall + BETWEEN, 0];
    plan.labels.push({ name, x, y: y + 8 });
    servers.forEach((server, i) => {
      plan.cells.push({ server, x: x + (i % columns) * stepX, y: y + LABEL + Math.floor(i / columns) * stepY, w: size.w, h: size.h });
    });
    tall = Math.max(tall, LABEL + Math.ceil(servers.length / columns) * stepY - size.gap);
    x += Math.max(columns * stepX - size.gap, name.length * 7) + BETWEEN;
  }
  plan.height = y + tall + PAD;
  return plan;
}

/** The cell an arrow leads to from the cell at `at`; null for another key. */
export function neighbour(cells, at, key) {
  if (!cells.length) return null;
  if (key === "Home") return 0;
  if (key === "End") return cells.length - 1;
  if (key === "ArrowRight") return Math.min(cells.length - 1, at + 1);
  if (key === "ArrowLeft") return Math.max(0, at - 1);
  const down = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (!down) return null;
  const from = cells[Math.max(0, at)];
  const there = cells.map((cell, i) => [i, cell]).filter(([, cell]) => (cell.y - from.y) * down > 0);
  const far = ([, cell]) => Math.abs(cell.y - from.y) * 1000 + Math.abs(cell.x - from.x);
  return there.length ? there.reduce((best, each) => (far(each) < far(best) ? each : best))[0] : Math.max(0, at);
}
