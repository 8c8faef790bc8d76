// The page: what is known, what of it is shown, the header, keys, theme and language.

import { Live, get, token } from "./exporter.js";
import { Control } from "./control.js";
import { Toasts } from "./findings.js";
import { FleetPage, SORTS, Sparks } from "./fleet.js";
import { language, setLanguage, t, translate } from "./i18n.js";
import { FILLS, GROUPS } from "./map.js";
import { RANGES, ServerPage } from "./server.js";
import { ICONS, $, attribute, button, clock, duration, h, learn, text } from "./ui.js";

const one = (value, of, usual) => (value !== null && (of.has?.(value) ?? value in of) ? value : usual);

/** The server a path is about, null for the fleet, undefined for another program's path. */
function serverOf(path) {
  if (path === "/") return null;
  const name = path.match(/^\/servers\/([^/]+)$/)?.[1];
  return name && decodeURIComponent(name);
}

function read() {
  const found = new URLSearchParams(location.search);
  const zoom = [Number(found.get("from")), Number(found.get("to"))];
  return {
    server: serverOf(location.pathname) ?? null,
    q: found.get("q") ?? "", status: found.get("status") ?? "",
    sort: one(found.get("sort"), SORTS, "name"), down: found.has("down"),
    group: one(found.get("group"), GROUPS, "role"), fill: one(found.get("fill"), FILLS, "cpu"),
    alerts: one(found.get("alerts"), new Set(["firing", "pending", "resolved"]), "firing"), truth: found.has("truth"),
    range: one(found.get("range"), RANGES, "1h"), zoom: zoom[0] > 0 && zoom[1] > zoom[0] ? zoom : null,
  };
}

function write({ server, q, status, sort, down, group, fill, alerts, truth, range, zoom }) {
  const both = { truth: truth ? "1" : "" };
  const fleet = { q, status, sort: sort === "name" ? "" : sort, down: down ? "1" : "", group: group === "role" ? "" : group, fill: fill === "cpu" ? "" : fill, alerts: alerts === "firing" ? "" : alerts };
  const page = { range: range === "1h" ? "" : range, from: zoom ? String(zoom[0]) : "", to: zoom ? String(zoom[1]) : "" };
  const query = new URLSearchParams(Object.entries({ ...(server ? page : fleet), ...both }).filter(([, value]) => value)).toString();
  return `${server ? `/servers/${encodeURIComponent(server)}` : "/"}${query ? `?${query}` : ""}`;
}

class Header {
  constructor(state, go, retry) {
    this.state = state;
    this.go = go;
    this.retry = retry;
    this.counts = new Map(Object.keys(ICONS).map((health) => [health, this.#count(health)]));
    $("#counts").replaceChildren(...this.counts.values());
  }

  #count(health) {
    return h(`button.${health}`, { type: "button", onclick: () => this.go({ server: null, status: this.state.view.status === health ? "" : health }) },
      h("b"), h("span"));
  }

  update() {
    const { summary, view } = this.state;
    for (const [health, element] of this.counts) {
      text(element.firstChild, String(summary?.[health] ?? "–"));
      text(element.lastChild, t(health));
      attribute(element, "aria-pressed", String(view.status === health));
      attribute(element, "data-none", summary?.[health] ? null : "");
    }
    this.#notice();
  }

  /** The state of the connection, once a second. */
  connection({ kind, at, since }) {
    const { updated } = this.state;
    const age = updated ? t("age", duration((Date.now() - updated) / 1000, 1)) : "";
    const wait = Math.max(0, Math.ceil(((at ?? 0) - Date.now()) / 1000));
    const said = {
      connecting: [t("connecting"), ""], live: [t("live"), age], stale: [t("stale", since && clock(since / 1000, language)), age],
      polling: [t("polling"), age], reconnecting: [t("reconnecting"), t("inSeconds", wait)], token: [t("tokenNeeded"), age],
    }[kind];
    attribute($("#connection"), "data-state", kind === "reconnecting" ? "lost" : kind);
    text($("#connection-text"), said[0]);
    text($("#connection-age"), said[1]);
    if (this.kind !== kind) {
      this.kind = kind;
      this.#notice();
    }
  }

  /** One line for what a person should know: a token is needed, part of the fleet is silent, … */
  #notice() {
    const { summary, servers, updated } = this.state;
    const silent = summary?.down ?? 0;
    const what = this.kind === "token" ? "token" : !updated && this.kind === "reconnecting" ? "away" : this.kind === "stale" ? "old"
      : silent && silent < (summary.total_servers ?? servers.length) ? `partial ${silent} ${summary.total_servers}` : silent ? "silent" : "";
    const place = $("#notice");
    if (place.dataset.what === what + language) return;
    place.dataset.what = what + language;
    place.hidden = !what;
    const [word] = what.split(" ");
    const lines = {
      token: () => [h("span", t("tokenAsked")), this.#tokenForm()],
      away: () => [h("span", t("away")), button(t("retry"), this.retry, "small")],
      old: () => [h("span", t("old"))],
      partial: () => [h("span", t("partial", silent, summary.total_servers)), button(t("show"), () => this.go({ server: null, status: "down" }), "small")],
      silent: () => [h("span", t("allSilent"))],
    };
    place.replaceChildren(...(lines[word]?.() ?? []));
  }

  #tokenForm() {
    const field = h("input", { type: "password", autocomplete: "off", "aria-label": t("token") });
    const use = (event) => {
      event.preventDefault();
      token.set(field.value);
      this.retry();
    };
    return h("form", { onsubmit: use }, field, h("button.small", t("use")));
  }
}

const state = {
  servers: [], summary: null, omitted: 0, tick: 0, updated: 0,
  alerts: { active: [], resolved: [], silences: [], up: undefined },
  analysis: null, scores: new Map(), known: new Map(), truth: null, control: null, sparks: new Sparks(), view: read(),
};
const main = $("#main");
const live = new Live();
const header = new Header(state, go, () => live.retry());
const toasts = new Toasts($("#toasts"));
const control = new Control($("#control"), $("#control-open"), state);
let page = null;

/** Changes what is shown; another page is a step in the history, another filter is not. */
function go(change) {
  const before = state.view;
  state.view = { ...before, ...change };
  const moved = before.server !== state.view.server;
  history[moved ? "pushState" : "replaceState"](null, "", write(state.view));
  if (moved) open(true);
  else if (page.load && ("range" in change || "zoom" in change || "truth" in change)) page.load();
  page.update();
  header.update();
}

function open(moved = false) {
  page?.close();
  page = new (state.view.server ? ServerPage : FleetPage)(main, state, go);
  document.title = `${state.view.server ? `${state.view.server} · ` : ""}OpenManager`;
  $("#search").value = state.view.q;
  if (!moved) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

addEventListener("popstate", () => {
  state.view = read();
  open();
  header.update();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.target || link.origin !== location.origin || link.hash || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const server = serverOf(link.pathname);
  if (server === undefined) return;
  event.preventDefault();
  go({ server, zoom: null });
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

const preferred = matchMedia("(prefers-color-scheme: light)");
const theme = () => localStorage.getItem("theme") ?? (preferred.matches ? "light" : "dark");

function paint() {
  document.documentElement.dataset.theme = theme();
  if (page) open();
}

function toggleTheme() {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  paint();
}

function speak() {
  translate(document);
  text($("#language"), language === "ko" ? "EN" : "한국어");
  header.update();
}

preferred.addEventListener("change", paint);
$("#theme").addEventListener("click", toggleTheme);
$("#language").addEventListener("click", () => {
  setLanguage(language === "ko" ? "en" : "ko");
  speak();
  open();
});
$("#search").addEventListener("input", ({ target }) => go({ server: null, q: target.value }));
$("#help-open").addEventListener("click", help);

function help() {
  const keys = [["/", "k_search"], ["j k", "k_move"], ["← ↑ → ↓", "k_map"], ["Enter", "k_open"], ["Esc", "k_back"], ["1 – 6", "k_range"], ["t", "k_theme"], ["?", "k_help"]];
  const dialog = $("#help");
  dialog.replaceChildren(
    h("div.head", h("h2", { id: "help-title" }, t("keys")), button("✕", () => dialog.close(), "icon", { "aria-label": t("close") })),
    h("dl", keys.flatMap(([key, word]) => [h("dt", key.split(" ").map((each) => h("kbd", each))), h("dd", t(word))])));
  dialog.showModal();
}

function back(typing) {
  if (typing) document.activeElement.blur();
  else if (state.view.server && state.view.zoom) go({ zoom: null });
  else if (state.view.server) go({ server: null });
  else go({ q: "", status: "" });
  $("#search").value = state.view.q;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") return back(typing);
  if (typing) return;
  const keys = { "/": () => $("#search").focus(), t: toggleTheme, "?": help, j: () => page.move?.(1), k: () => page.move?.(-1) };
  const range = /^[1-6]$/.test(event.key) && page.load && Object.keys(RANGES)[event.key - 1];
  const act = keys[event.key] ?? (range && (() => go({ range, zoom: null })));
  if (!act) return;
  event.preventDefault();
  act();
});

let waiting = false;

/** Draws once per frame, and not at all while nobody can see it. */
function draw() {
  if (waiting || document.hidden) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    header.update();
    page.update();
  });
}

/** What the inventory knows of the servers: thresholds of their own, maintenance. */
async function learnServers() {
  if (state.omitted) return;
  const { servers } = await get("/api/servers").catch(() => ({ servers: [] }));
  state.known = new Map(servers.map((server) => [server.id, server]));
}

const HEARD = {
  "server-metrics": ({ servers, summary, omitted, tick }) => {
    const now = tick ?? Math.floor(Date.now() / 1000);
    Object.assign(state, { servers, summary, omitted, tick: now, updated: tick ? tick * 1000 : Date.now() });
    for (const server of servers) server.known = state.known.get(server.id);
    state.sparks.add(servers, now);
    header.connection(live.state);
  },
  alerts: ({ alerts, resolved = [], silences = [], alerter }) => {
    state.alerts = { active: alerts, resolved, silences, up: alerter?.up };
    toasts.see(alerts, alerter?.up);
  },
  "ai-analysis": (report) => {
    state.analysis = report;
    state.scores = new Map((report.servers ?? []).map(({ server, anomaly_score }) => [server, anomaly_score]));
  },
  "system-status": (status) => {
    state.control = status.control;
    learn(status.thresholds);
    control.allow(status.control);
  },
};
for (const [channel, take] of Object.entries(HEARD))
  live.addEventListener(channel, ({ detail }) => {
    take(detail);
    draw();
  });
live.addEventListener("state", () => header.connection(live.state));
document.addEventListener("visibilitychange", draw);

paint();
speak();
open();
live.start();
learnServers();
setInterval(learnServers, 60_000);
state.sparks.load().then(draw, () => {}); // without history the lines grow from now on
