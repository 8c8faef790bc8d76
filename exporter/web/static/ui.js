// Elements, numbers as people read them, and what is too much.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: `h("a.brand", {href: "/"}, "text", child)`. Properties, `on…` listeners, `data-…`/`aria-…` attributes. */
export function h(selector, ...rest) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  const [first] = rest;
  const plain = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  if (plain) for (const [name, value] of Object.entries(rest.shift())) set(element, name, value);
  element.append(...rest.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && !name.includes("-")) element[name] = value;
  else element.setAttribute(name, value);
}

/** Changes a text only when it differs, so that nothing is laid out for nothing. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Changes an attribute only when it differs; null takes it away. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const children = new WeakMap();

/** One child per item, kept by its key: who stays is updated in place, so that focus and open menus stay too. */
export function reconcile(parent, items, key, make, update) {
  const known = children.get(parent) ?? new Map();
  const next = new Map(items.map((item) => [key(item), item]));
  for (const [name, element] of known) {
    if (next.has(name)) continue;
    element.remove();
    known.delete(name);
  }
  let at = parent.firstChild;
  for (const [name, item] of next) {
    const element = known.get(name) ?? make(item);
    known.set(name, element);
    update?.(element, item);
    if (element === at) at = at.nextSibling;
    else parent.insertBefore(element, at);
  }
  children.set(parent, known);
}

const colours = new Map();

/** A colour of the theme, as a canvas understands it. */
export function colour(name) {
  const key = `${document.documentElement.dataset.theme} ${name}`;
  if (!colours.has(key)) {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    colours.set(key, getComputedStyle(probe).color);
    probe.remove();
  }
  return colours.get(key);
}

/** A button with an icon only, or with text. */
export const button = (label, onclick, kind = "", more = {}) =>
  h(`button${kind && `.${kind}`}`, { type: "button", onclick, ...more }, label);

export const serverLink = (id) => h("a", { href: `/servers/${encodeURIComponent(id)}` }, id);

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

/** 93784 → "1d 2h". */
export function duration(seconds, most = 2) {
  const parts = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [size, unit] of UNITS) {
    if (rest >= size && parts.length < most) parts.push(`${Math.floor(rest / size)}${unit}`);
    else if (parts.length) break;
    rest %= size;
  }
  return parts.join(" ") || "0s";
}

const scaled = (value, base, units) => {
  let i = 0;
  for (; Math.abs(value) >= base && i < units.length - 1; i++) value /= base;
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value === 0 ? 0 : +value.toFixed(digits)}${units[i]}`;
};

const none = (format) => (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : format(value));

export const percent = none((value) => `${value.toFixed(value >= 99.95 ? 0 : 1)}%`);
export const wholePercent = none((value) => `${Math.round(value)}%`);
export const bytes = none((value) => scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]));
export const bytesPerSecond = none((value) => scaled(value, 1000, [" B/s", " kB/s", " MB/s", " GB/s"]));
export const plain = none((value) => scaled(value, 1000, ["", "k", "M", "G"]));
export const score = none((value) => value.toFixed(2));
export const milliseconds = none((value) =>
  value >= 1000 ? `${(value / 1000).toFixed(value >= 10000 ? 1 : 2)} s` : `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`);
export const seconds = none((value) => milliseconds(value * 1000));

/** Three digits that matter: 93.2, 0.012, 1.2e-5. */
export const short = none((value) => String(+Number(value).toPrecision(3)));

export const clock = (t_s, language, long) =>
  new Date(t_s * 1000).toLocaleString(language, { ...(long ? { month: "short", day: "numeric" } : {}), hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const LIMITS = { cpu: [75, 90], memory: [85, 95], disk: [85, 95], latency: [2000, 5000], anomaly: [0.6, 0.9] };

/** Takes the thresholds that are in force, as `system-status` tells them. */
export function learn({ cpu, memory, disk, response } = {}) {
  Object.assign(LIMITS, cpu && { cpu }, memory && { memory }, disk && { disk }, response && { latency: response.map((s) => s * 1000) });
}

/** A server's own thresholds, as the inventory has them, beat those of all. */
export function limits(measure, server) {
  const [name, unit] = measure === "latency" ? ["response", 1000] : [measure, 1];
  const { warning, critical } = server?.known?.thresholds?.[name] ?? {};
  return [warning, critical].map((own, i) => (own === undefined || own === null ? LIMITS[measure][i] : own * unit));
}

/** 0, 1, 2 below the warning threshold, 3 a warning, 4 critical; -1 for what is not known. */
export function step(measure, value, server) {
  if (value === null || value === undefined || Number.isNaN(value)) return -1;
  const [warning, critical] = limits(measure, server);
  return value > critical ? 4 : value > warning ? 3 : value > (warning * 2) / 3 ? 2 : value > warning / 3 ? 1 : 0;
}

export const level = (measure, value, server) => ["", "", "", "warning", "critical"][step(measure, value, server)] ?? "";

/** The upper edges of the five steps. */
export function edges(measure) {
  const [warning, critical] = LIMITS[measure];
  return [warning / 3, (warning * 2) / 3, warning, critical, null];
}

export const SEVERITY = { down: 0, critical: 1, warning: 2, healthy: 3 };
export const ICONS = { healthy: "✓", warning: "▲", critical: "◆", down: "✕" };
