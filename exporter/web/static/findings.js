// What is wrong: alerts with their silences, and what the analysis makes of it.

import { get, post, remove } from "./exporter.js";
import { language, t } from "./i18n.js";
import { attribute, button, clock, duration, h, reconcile, serverLink, short, text } from "./ui.js";

const RANK = { critical: 0, warning: 1 };
const TABS = ["firing", "pending", "resolved"];
const SILENCE_FOR = [["1h", 3600], ["4h", 14400], ["24h", 86400]];
const since = (alert) => alert.resolvedAt ?? alert.activeAt;

/** Alerts that differ only in a core, a mount, … are one: since the oldest, with the worst value. */
function grouped(alerts) {
  const groups = new Map();
  for (const alert of alerts) {
    const { alertname, server, severity } = alert.labels;
    const key = [alert.state, alertname, server, severity, alert.resolvedAt ?? ""].join("\n");
    const value = Number(alert.value), known = groups.get(key);
    if (!known) groups.set(key, { ...alert, key, count: 1, value });
    else {
      const worse = alert.limit?.startsWith("<") ? Math.min : Math.max;
      Object.assign(known, { count: known.count + 1, value: worse(known.value, value), activeAt: known.activeAt < alert.activeAt ? known.activeAt : alert.activeAt });
    }
  }
  const rank = (alert) => RANK[alert.labels.severity] ?? 2;
  return [...groups.values()].sort((a, b) => (a.resolvedAt ? 0 : rank(a) - rank(b)) || since(b).localeCompare(since(a)) || a.key.localeCompare(b.key));
}

/** The panel; `server` narrows it to one server's. */
export class Alerts {
  #problem = h("p.error", { role: "alert" });

  constructor(state, go, server = null) {
    this.state = state;
    this.go = go;
    this.server = server;
    this.list = h("ul.list");
    this.empty = h("p.empty");
    this.aloud = h("p.hidden", { "aria-live": "polite" }); // ages change with every tick: only the number is said
    this.tabs = new Map(TABS.map((tab) => [tab, button("", () => go({ alerts: tab }), "tab")]));
    this.element = h("section.panel", { "aria-label": t("alerts") },
      h("div.head", h("h2", t("alerts")), h("div.tabs", { role: "group", "aria-label": t("alerts") }, [...this.tabs.values()])),
      this.#problem, this.aloud, h("div.tall", { tabIndex: 0, role: "group", "aria-label": t("alerts") }, this.list, this.empty));
  }

  update() {
    const { alerts, view } = this.state;
    const mine = (all) => (this.server ? all.filter(({ labels }) => labels.server === this.server) : all);
    const of = { firing: [], pending: [], resolved: grouped(mine(alerts.resolved)) };
    for (const alert of grouped(mine(alerts.active))) of[alert.state]?.push(alert);
    for (const [tab, element] of this.tabs) {
      text(element, `${t(tab)} ${of[tab].length}`);
      attribute(element, "aria-pressed", String(tab === view.alerts));
    }
    text(this.aloud, `${t("alerts")}: ${t("firing")} ${of.firing.length}`);
    const shown = of[view.alerts];
    reconcile(this.list, shown, ({ key }) => key, (alert) => this.#make(alert), (line, alert) => this.#fill(line, alert));
    this.empty.hidden = shown.length > 0;
    text(this.empty, alerts.up === false ? t("alerterAway") : t(`none_${view.alerts}`));
  }

  #make(alert) {
    const { alertname, server, severity } = alert.labels;
    const line = h("li.alert", { "data-severity": severity ?? "" },
      h("div.row", h(`span.status.${alert.state === "resolved" ? "healthy" : severity === "critical" ? "critical" : "warning"}`, t(alert.state === "resolved" ? "resolved" : severity in RANK ? severity : alert.state)),
        h("b", alertname), h("span.dim.count"), h("span.end.age")),
      h("div.row", server && !this.server ? serverLink(server) : null, h("span.value"), h("span.end.acts")),
      h("div.dim.summary"));
    line.parts = Object.fromEntries(["count", "age", "value", "acts", "summary"].map((name) => [name, line.querySelector(`.${name}`)]));
    return line;
  }

  #fill({ parts }, alert) {
    text(parts.count, alert.count > 1 ? `× ${alert.count}` : "");
    const age = duration((Date.now() - Date.parse(since(alert))) / 1000);
    text(parts.age, alert.resolvedAt ? t("age", age) : t("since", age));
    parts.age.title = new Date(since(alert)).toLocaleString(language);
    text(parts.value, alert.limit ? `${short(alert.value)} ${alert.limit}` : Number.isNaN(alert.value) ? "" : short(alert.value));
    text(parts.summary, alert.annotations?.summary ?? "");
    this.#silencing(parts.acts, alert);
  }

  /** Made anew only when it changes, so that an open menu stays open. */
  #silencing(acts, alert) {
    const ids = alert.silenced_by ?? [];
    const silence = this.state.alerts.silences.find(({ id }) => id === ids[0]);
    const now = alert.resolvedAt ? "over" : silence ? silence.id + silence.ends_at : "open";
    if (acts.dataset.now === now) return;
    acts.dataset.now = now;
    if (now === "over") return;
    acts.replaceChildren(...(silence ? this.#silenced(silence) : [this.#menu(alert)]));
  }

  #silenced(silence) {
    const until = Date.parse(silence.ends_at) / 1000;
    return [h("span.dim", { title: `${silence.matchers.join(", ")}\n${silence.comment}` }, t("silenced", clock(until, language, until - Date.now() / 1000 > 86400))), " ",
      button(t("unsilence"), () => this.#try(() => remove(`/api/silences/${encodeURIComponent(silence.id)}`)), "small")];
  }

  #menu(alert) {
    const choose = ([name, seconds]) => button(name, () => this.#try(() => post("/api/silences", wish(alert, seconds))), "small");
    return h("details.menu", h("summary", { "aria-label": t("silenceLabel", alert.labels.alertname, alert.labels.server ?? "") }, t("silence")), h("div", h("span.dim", t("forHow")), SILENCE_FOR.map(choose)));
  }

  async #try(act) {
    text(this.#problem, "");
    try {
      await act();
    } catch (error) {
      text(this.#problem, error.message);
    }
  }
}

/** A silence of this alert on this server, whatever its core or mount. */
function wish({ labels }, seconds) {
  const matchers = ["alertname", "server", "severity"].filter((name) => labels[name]).map((name) => ({ name, value: labels[name], isEqual: true, isRegex: false }));
  const now = Date.now();
  return { matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + seconds * 1000).toISOString(), createdBy: "dashboard", comment: t("silenceComment") };
}

/** Says what has newly become critical, not what was there at first. */
export class Toasts {
  #known = null;

  constructor(place) {
    this.place = place;
  }

  /** `up`: whether the alerter answers; while it does not, no alerts are no news. */
  see(alerts, up) {
    if (!up) return;
    const critical = grouped(alerts).filter((alert) => alert.state === "firing" && alert.labels.severity === "critical" && !alert.silenced_by?.length);
    const fresh = this.#known ? critical.filter(({ key }) => !this.#known.has(key)) : [];
    this.#known = new Set(critical.map(({ key }) => key));
    for (const alert of fresh.slice(0, 3)) this.#show(alert);
  }

  #show({ annotations, labels }) {
    const toast = h("div.toast", h("b", `◆ ${t("newCritical")}`), h("div", annotations.summary || labels.alertname), labels.server ? serverLink(labels.server) : null);
    toast.append(button("✕", () => toast.remove(), "close", { "aria-label": t("close") }));
    this.place.append(toast);
    setTimeout(() => toast.remove(), 12000);
  }
}

const TRUTH_MS = 30_000, TRUTH_S = 1800, SOON_S = 7 * 86400;
const METRICS = ["cpu", "memory", "disk", "response", "requests", "network_in", "network_out", "failed", "lost", "memory_growth", "disk_growth"];

/** A text in the page's language, whether it comes in one or in both. */
const words = (of) => (of && typeof of === "object" ? of[language] ?? of.en ?? "" : of ?? "");

const metricName = (metric = "") => {
  const name = metric.replace(/^openmanager_|_usage_percent$/g, "");
  return METRICS.includes(name) ? t(name) : name.replaceAll("_", " ");
};

const arrow = (direction) => ({ up: "↑", high: "↑", above: "↑", down: "↓", low: "↓", below: "↓" })[direction] ?? "";

/** The steps from the root on, by when each began. */
function chain(incident) {
  const { root, evidence = [] } = incident;
  const first = (a) => (a.server === root?.server && a.metric === root?.metric ? 0 : 1);
  return [...evidence].sort((a, b) => first(a) - first(b) || String(a.since).localeCompare(String(b.since)));
}

/** Whether a failure that was simulated is what an incident speaks of. */
function explains(truth, incident) {
  const from = Date.parse(incident.started) / 1000, to = incident.ended ? Date.parse(incident.ended) / 1000 : Infinity;
  const servers = new Set([...(truth.targets ?? []), ...(truth.affected ?? []).map(({ server }) => server)]);
  return from <= (truth.end ?? Infinity) + 300 && to >= truth.start && incident.servers.some((server) => servers.has(server));
}

export class Analysis {
  constructor(state, go, server = null) {
    this.state = state;
    this.go = go;
    this.server = server;
    this.list = h("ul.list");
    this.empty = h("p.empty");
    this.toggle = button(t("truth"), () => this.go({ truth: !this.state.view.truth }), "tab", { title: t("truthTitle"), hidden: true });
    this.element = h("section.panel", { "aria-label": t("analysis") },
      h("div.head", h("h2", t("analysis")), h("div.tabs", this.toggle)),
      h("div.tall", { tabIndex: 0, role: "group", "aria-label": t("analysis") }, this.list, this.empty));
  }

  update() {
    const { analysis, view, control } = this.state;
    this.toggle.hidden = !control?.simulated;
    attribute(this.toggle, "aria-pressed", String(view.truth));
    if (view.truth) this.#learn();
    const lines = this.#lines();
    reconcile(this.list, lines, ({ key }) => key, () => h("li"), (line, { what, make }) => {
      if (line.what === what) return;
      const open = line.querySelector("details")?.open;
      line.what = what;
      line.replaceChildren(...make().filter(Boolean));
      if (open && line.querySelector("details")) line.querySelector("details").open = true;
    });
    this.empty.hidden = lines.length > 0;
    text(this.empty, analysis ? t("noIncidents", analysis.series_watched ?? 0) : t("noAnalysis"));
  }

  /** What was simulated, asked for again every half a minute while it is wanted. */
  async #learn() {
    const { state } = this;
    if (Date.now() - (state.truthAsked ?? 0) < TRUTH_MS) return;
    state.truthAsked = Date.now();
    try {
      state.truth = (await get(`/api/truth?start=${Math.floor(Date.now() / 1000 - TRUTH_S)}`)).incidents.reverse();
      this.update();
    } catch {
      state.truth = []; // nothing is simulated any more
    }
  }

  #lines() {
    const { analysis, view } = this.state;
    if (!analysis) return [];
    const mine = ({ servers, server }) => !this.server || servers?.includes(this.server) || server === this.server;
    const incidents = (analysis.incidents ?? []).filter(mine);
    const recent = (analysis.recent_incidents ?? []).filter((each) => each.ended && mine(each) && !incidents.some(({ id }) => id === each.id)).slice(0, 5);
    const full = (analysis.forecasts ?? []).filter((each) => mine(each) && each.seconds_to_full !== null && each.seconds_to_full < SOON_S);
    const truth = view.truth ? this.state.truth ?? [] : [];
    const told = (incident) => truth.filter((each) => explains(each, incident));
    const missed = truth.filter((each) => mine({ servers: [...each.targets, ...(each.affected ?? []).map(({ server }) => server)] }) && ![...incidents, ...recent].some((incident) => explains(each, incident)));
    return [
      ...incidents.map((each) => line(each, each.id, () => incident(each, view.truth && told(each)), told(each))),
      ...missed.map((each) => line(each, `truth ${each.id}`, () => simulated(each), [each.end > Date.now() / 1000])),
      ...full.map((each) => line(each, `${each.server} ${each.mount ?? each.metric}`, () => forecast(each))),
      ...recent.map((each) => line(each, each.id, () => incident(each, view.truth && told(each)), told(each))),
    ];
  }
}

const line = (of, key, make, more = "") => ({ key, make, what: language + JSON.stringify([of, more]) });

function incident(of, truth) {
  const steps = chain(of).slice(0, 6);
  return [
    h("div.row", h(`span.status.${of.ended ? "healthy" : "critical"}`, t(of.ended ? "over" : "incident")), h("b", words(of.title)), h("span.end", t("confidence", Math.round(of.confidence * 100)))),
    h("ol.chain", { "aria-label": t("chain") }, steps.map((step) => h("li", serverLink(step.server), ` ${metricName(step.metric)} ${arrow(step.direction)}`))),
    ...[of.cause, of.recommendation].map((each) => (words(each) ? h("p", words(each)) : null)),
    of.evidence?.length ? evidence(of) : null,
    ...(truth || []).map((each) => h("p.truth", `✓ ${t("wasSimulated", each.scenario ?? each.type, each.targets.join(", "))}`)),
    truth && !truth.length ? h("p.truth.none", t("notSimulated")) : null,
  ];
}

function evidence(of) {
  const row = ({ server, metric, value, expected, since, score }) => h("tr", h("td", server), h("td", metricName(metric)), h("td.num", short(value)),
    h("td.num", expected?.map((edge) => short(edge)).join(" – ") ?? "–"), h("td.num", short(score)), h("td.num", clock(Date.parse(since) / 1000, language)));
  const heads = ["server", "metric", "value", "expected", "score", "from"];
  return h("details", h("summary", t("evidence", of.evidence.length)),
    h("div.scroll", h("table.small", h("thead", h("tr", heads.map((word, i) => h(`th${i > 1 ? ".num" : ""}`, { scope: "col" }, t(word))))), h("tbody", of.evidence.map(row)))));
}

const simulated = (of) => [
  h("div.row", h("span.status.down", t("simulatedOnly")), h("b", of.scenario ?? of.type), h("span.end", `${clock(of.start, language)} – ${clock(of.end, language)}`)),
  h("div.row", of.targets.map(serverLink), h("span.dim", t(of.end > Date.now() / 1000 ? "notFoundYet" : "notFound"))),
];

const forecast = (of) => [
  h("div.row", h("span.status.warning", t("forecast")), serverLink(of.server), h("span", t("filesFull", of.mount || metricName(of.metric), duration(of.seconds_to_full))), h("span.end", t("confidence", Math.round((of.confidence ?? 0) * 100)))),
  words(of.recommendation) ? h("p.dim", words(of.recommendation)) : null,
];
