// The page: what is known, which page is shown, keys, theme and language.

import { Toasts } from "./alerts.js";
import { Control } from "./control.js";
import { $, h, text } from "./dom.js";
import { FleetPage } from "./fleet.js";
import { duration } from "./format.js";
import { language, setLanguage, t, translate } from "./i18n.js";
import { Live } from "./live.js";
import { RANGES, ServerPage } from "./server.js";
import { Sparks } from "./spark.js";

const HEALTH = ["healthy", "warning", "critical", "down"];
const state = { servers: [], summary: null, alerts: [], alerterUp: undefined, analysis: null, tokenNeeded: false, updated: 0, sparks: new Sparks(), view: read() };
const main = $("#main");
let page = null;

// --- what is shown is in the URL -------------------------------------------------------------

function read() {
  const found = new URLSearchParams(location.search);
  const server = location.pathname.match(/^\/servers\/(.+)$/)?.[1];
  return {
    server: server ? decodeURIComponent(server) : null,
    q: found.get("q") ?? "", status: found.get("status") ?? "", sort: found.get("sort") ?? "name", down: found.has("down"),
    range: found.get("range") in RANGES ? found.get("range") : "1h",
  };
}

function write({ server, q, status, sort, down, range }) {
  const shown = server ? { range: range === "1h" ? "" : range } : { q, status, sort: sort === "name" ? "" : sort, down: down ? "1" : "" };
  const query = new URLSearchParams(Object.entries(shown).filter(([, value]) => value)).toString();
  return `${server ? `/servers/${encodeURIComponent(server)}` : "/"}${query ? `?${query}` : ""}`;
}

/** Changes what is shown; another page is a step in the history, another filter is not. */
function go(change) {
  const before = state.view;
  state.view = { ...before, ...change };
  history[before.server === state.view.server ? "replaceState" : "pushState"](null, "", write(state.view));
  if (before.server !== state.view.server) open();
  else if (page.load && change.range) page.load();
  else page.update();
  counts();
}

function open() {
  page?.close?.();
  page = new (state.view.server ? ServerPage : FleetPage)(main, state, go);
  document.title = `${state.view.server ? `${state.view.server} · ` : ""}OpenManager`;
  $("#search").value = state.view.q;
}

addEventListener("popstate", () => {
  state.view = read();
  open();
  counts();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.target || link.origin !== location.origin || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const server = link.pathname.match(/^\/servers\/(.+)$/)?.[1];
  if (!server && link.pathname !== "/") return;
  if (link.hash) return;
  event.preventDefault();
  go({ server: server ? decodeURIComponent(server) : null });
  scrollTo(0, 0);
});

// --- the header ------------------------------------------------------------------------------

function counts() {
  const buttons = HEALTH.map((health) => {
    const count = state.summary?.[health] ?? 0;
    const pressed = state.view.status === health;
    return h(`button.${health}`, { type: "button", "aria-pressed": String(pressed), onclick: () => go({ server: null, status: pressed ? "" : health }) },
      h(`span.status.${health}`, `${count} ${t(health)}`));
  });
  const had = document.activeElement?.closest("#counts") ? [...$("#counts").children].indexOf(document.activeElement) : -1;
  $("#counts").replaceChildren(...buttons);
  if (had >= 0) buttons[had].focus();
}

function connection() {
  const { kind, at } = live.state;
  const age = state.updated ? t("age", duration((Date.now() - state.updated) / 1000)) : t("connecting");
  const wait = at ? Math.max(0, Math.ceil((at - Date.now()) / 1000)) : 0;
  const words = { live: `${t("live")} · ${age}`, connecting: t("connecting"), polling: `${t("polling", age)} · ${t("reconnecting", wait)}`, reconnecting: t("reconnecting", wait) };
  $("#connection").dataset.state = kind === "reconnecting" ? "lost" : kind;
  text($("#connection-text"), words[kind]);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  if (page) open();
}

function words() {
  translate(document);
  text($("#language"), language === "ko" ? "English" : "한국어");
  counts();
}

const preferred = matchMedia("(prefers-color-scheme: light)");
const chosen = () => localStorage.getItem("theme") ?? (preferred.matches ? "light" : "dark");
preferred.addEventListener("change", () => theme(chosen()));
function toggleTheme() {
  localStorage.setItem("theme", chosen() === "dark" ? "light" : "dark");
  theme(chosen());
}

$("#theme").addEventListener("click", toggleTheme);
$("#language").addEventListener("click", () => {
  setLanguage(language === "ko" ? "en" : "ko");
  words();
  open();
});
$("#search").addEventListener("input", (event) => go({ server: null, q: event.target.value }));
$("#help-open").addEventListener("click", help);

// --- keys ------------------------------------------------------------------------------------

function help() {
  const keys = [["/", "k_search"], ["j k", "k_move"], ["Enter", "k_open"], ["Esc", "k_back"], ["1 – 6", "k_range"], ["t", "k_theme"], ["?", "k_help"]];
  const dialog = $("#help");
  dialog.replaceChildren(
    h("div.head", h("h2", { id: "help-title" }, t("keys")), h("button.plain.icon", { type: "button", "aria-label": t("close"), onclick: () => dialog.close() }, "✕")),
    h("dl", keys.flatMap(([key, word]) => [h("dt", h("kbd", key)), h("dd", t(word))])));
  dialog.showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (state.view.server) go({ server: null });
    else go({ q: "", status: "" });
    $("#search").value = state.view.q;
    return;
  }
  if (typing) return;
  const keys = {
    "/": () => $("#search").focus(), t: toggleTheme, "?": help,
    j: () => page.move?.(1), k: () => page.move?.(-1), ArrowDown: null,
  };
  const act = keys[event.key] ?? (event.key in [0, 1, 2, 3, 4, 5, 6] && event.key !== "0" ? () => page.choose?.(Object.keys(RANGES)[event.key - 1]) : null);
  if (!act) return;
  event.preventDefault();
  act();
});

// --- news ------------------------------------------------------------------------------------

let waiting = false;

/** Draws once per frame, and not at all while nobody can see it. */
function draw() {
  if (waiting || document.hidden) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    counts();
    page.update();
  });
}

const toasts = new Toasts($("#toasts"));
const live = new Live();
live.addEventListener("state", connection);
live.addEventListener("server-metrics", ({ detail }) => {
  Object.assign(state, detail);
  state.updated = Date.now();
  connection();
  for (const { id, cpu } of state.servers) state.sparks.add(id, state.updated / 1000, cpu);
  draw();
});
live.addEventListener("alerts", ({ detail }) => {
  state.alerts = detail.alerts;
  state.alerterUp = detail.alerter?.up;
  toasts.see(detail.alerts);
  draw();
});
live.addEventListener("ai-analysis", ({ detail }) => {
  state.analysis = detail;
  draw();
});
live.addEventListener("system-status", ({ detail }) => {
  state.tokenNeeded = detail.control.token_needed;
});
document.addEventListener("visibilitychange", draw);

document.documentElement.dataset.theme = chosen();
words();
open();
live.start();
new Control($("#control"), $("#control-open"), state);
state.sparks.load().then(draw, () => {});
