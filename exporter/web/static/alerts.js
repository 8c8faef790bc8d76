// What is firing, and what the analysis makes of it.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { language, t } from "./i18n.js";

const ORDER = { critical: 0, warning: 1 };
const rank = (alert) => (alert.state === "firing" ? 0 : 10) + (ORDER[alert.labels.severity] ?? 5);

export const newest = (alerts) => [...alerts].sort((a, b) => rank(a) - rank(b) || b.activeAt.localeCompare(a.activeAt));

const age = (iso) => duration((Date.now() - Date.parse(iso)) / 1000);

/** Alerts that differ only in a core, a mount, … are one line: the oldest, with the highest value and how many. */
function grouped(alerts) {
  const groups = new Map();
  for (const alert of newest(alerts)) {
    const { alertname, server, severity } = alert.labels;
    const key = [alert.state, alertname, server, severity].join("\n");
    const known = groups.get(key);
    if (!known) groups.set(key, { ...alert, count: 1, value: Number(alert.value) });
    else Object.assign(known, { count: known.count + 1, value: Math.max(known.value, Number(alert.value)), activeAt: known.activeAt < alert.activeAt ? known.activeAt : alert.activeAt });
  }
  return [...groups.values()];
}

function line(alert) {
  const { alertname, server, severity } = alert.labels;
  const { value, count } = alert;
  return h("li",
    h("div.row", h(`span.status.${alert.state}`, t(alert.state)), h("b", alertname), count > 1 ? h("span.dim", `× ${count}`) : null, h("span.end", { title: alert.activeAt }, t("since", age(alert.activeAt)))),
    h("div.row", server ? h("a", { href: `/servers/${encodeURIComponent(server)}` }, server) : null,
      h("span.dim", [severity, String(+value.toPrecision(4))].filter(Boolean).join(" · "))),
    alert.annotations.summary ? h("div.dim", alert.annotations.summary) : null);
}

export function alertList(alerts, up) {
  if (!alerts.length) return h("p.empty", t(up === false ? "alerterAway" : "noAlerts"));
  return h("ul.list", grouped(alerts).map(line));
}

const words = (text) => (text && typeof text === "object" ? text[language] ?? text.en : text);

export function analysisList(analysis) {
  if (!analysis) return h("p.empty", t("noAnalysis"));
  const { incidents = [], forecasts = [] } = analysis;
  const lines = incidents.map((incident) =>
    h("li",
      h("div.row", h("b", words(incident.title)), h("span.end", t("confidence", incident.confidence.toFixed(2)))),
      h("div.row", incident.servers.map((server) => h("a", { href: `/servers/${encodeURIComponent(server)}` }, server))),
      h("div.dim", words(incident.recommendation))));
  const full = forecasts.filter((forecast) => forecast.seconds_to_full < 7 * 86400).map((forecast) =>
    h("li", h("div.row", h("a", { href: `/servers/${encodeURIComponent(forecast.server)}` }, forecast.server),
      h("span", t("filesFull", forecast.mount || forecast.metric, duration(forecast.seconds_to_full))))));
  if (!lines.length && !full.length) return h("p.empty", t("noIncidents", analysis.series_watched));
  return h("ul.list", lines, full);
}

/** Says aloud what has newly become critical; what was there when the page opened is not news. */
export class Toasts {
  #known = null;
  constructor(place) {
    this.place = place;
  }

  see(alerts) {
    const key = (alert) => JSON.stringify(alert.labels);
    const critical = alerts.filter((alert) => alert.state === "firing" && alert.labels.severity === "critical");
    const fresh = this.#known ? critical.filter((alert) => !this.#known.has(key(alert))) : [];
    this.#known = new Set(critical.map(key));
    for (const alert of fresh.slice(0, 3)) this.#show(alert);
  }

  #show(alert) {
    const toast = h("div.toast", h("b", t("newCritical")), h("div", alert.annotations.summary || alert.labels.alertname));
    this.place.append(toast);
    setTimeout(() => toast.remove(), 8000);
  }
}
