// The exporter: its HTTP interfaces, and the connection, one WebSocket with polling while there is none.

const API = "/api/prometheus/api/v1/";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem("token") ?? "",
  set: (value) => sessionStorage.setItem("token", value),
};

async function asked(url, options = {}) {
  const headers = { ...(token.get() ? { Authorization: `Bearer ${token.get()}` } : {}), ...options.headers };
  const response = await fetch(url, { ...options, headers });
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new ApiError(response.status, body.error?.message ?? body.error ?? response.statusText);
}

export const get = (url, signal) => asked(url, { signal });
export const post = (url, body) =>
  asked(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
export const remove = (url) => asked(url, { method: "DELETE" });

/** Series of a range query: [{metric, values: [[t, "v"], …]}]. A sample counts for one step only, so gaps stay gaps. */
export async function range(query, start, end, step, signal) {
  const parameters = new URLSearchParams({ query, start, end, step, lookback_delta: Math.max(step, 30) });
  return (await get(`${API}query_range?${parameters}`, signal)).data.result;
}

/** Series of an instant query: [{metric, value: [t, "v"]}]. */
export async function instant(query, time, signal) {
  return (await get(`${API}query?${new URLSearchParams({ query, time })}`, signal)).data.result;
}

/** Whether a request was given up on purpose. */
export const aborted = (error) => error.name === "AbortError";

const CHANNELS = ["server-metrics", "alerts", "ai-analysis", "system-status"];
const POLL_MS = 5000, FIRST_MS = 1000, MOST_MS = 30000, BROADCAST_MS = 5000;

/** Tells `state` and, by the channel's name, data. Kinds: connecting, live, stale, reconnecting, polling, token. */
export class Live extends EventTarget {
  #socket = null;
  #seq = {};
  #attempt = 0;
  #retry = null;
  #poll = null;
  #heard = 0;
  #tickMs = 15000;
  #tick = 0;
  #ticked = 0;
  state = { kind: "connecting" };

  start() {
    this.#connect();
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => document.hidden || this.#soon());
    setInterval(() => this.#watch(), 1000);
  }

  /** Try at once, as when a token has been given. */
  retry() {
    if (this.#retry) this.#connect();
    this.#ask();
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#retry = null;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.#socket = socket;
    this.#heard = Date.now();
    socket.onmessage = (event) => socket === this.#socket && this.#receive(JSON.parse(event.data));
    socket.onclose = () => socket === this.#socket && this.#lost();
  }

  #receive(message) {
    this.#heard = Date.now();
    if (message.type === "hello") {
      this.#attempt = 0;
      this.#tickMs = message.tick * 1000;
      this.#seq = {};
      this.#ticked = Date.now();
      clearInterval(this.#poll);
      this.#poll = null;
      this.#subscribe(CHANNELS);
      this.#become({ kind: "live" });
    } else if (message.channel) {
      this.#take(message);
    }
  }

  /** Hands a message on; a hole in the numbers asks for the whole again. */
  #take({ channel, seq, type, data }) {
    const before = this.#seq[channel];
    this.#seq[channel] = seq;
    if (channel === "server-metrics" && data.tick !== this.#tick) [this.#tick, this.#ticked] = [data.tick, Date.now()];
    this.#tell(channel, data);
    if (type === "update" && before !== undefined && seq > before + 1) this.#subscribe([channel]);
  }

  #tell(channel, detail) {
    this.dispatchEvent(new CustomEvent(channel, { detail }));
  }

  #subscribe(channels) {
    this.#socket.send(JSON.stringify({ type: "subscribe", channels }));
  }

  /** Full jitter: somewhere between at once and 1, 2, 4 … 30 s. */
  #lost() {
    const wait = 100 + Math.random() * Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempt++);
    this.#become({ kind: this.state.kind === "token" ? "token" : "reconnecting", at: Date.now() + wait });
    this.#retry = setTimeout(() => this.#connect(), wait);
    this.#poll ??= setInterval(() => this.#ask(), POLL_MS);
  }

  #soon() {
    if (this.#retry) this.#connect();
  }

  async #ask() {
    if (document.hidden || !this.#poll) return;
    try {
      const { data } = await get("/api/unified-metrics?action=detailed");
      if (!this.#poll) return;
      this.#tell("server-metrics", { servers: data.details, summary: data.summary, omitted: 0 });
      this.#tell("alerts", { alerts: data.alerts, total: data.alerts.length });
      if (data.analysis) this.#tell("ai-analysis", data.analysis);
      this.#become({ ...this.state, kind: "polling" });
    } catch (error) {
      // away, as the state says already; unless it only wants to know who asks
      if (error.status === 401) this.#become({ ...this.state, kind: "token" });
    }
  }

  /** No word for long: the connection is dead, whatever the socket believes. Words but no ticks: the data is old. */
  #watch() {
    const { kind } = this.state;
    if ((kind === "live" || kind === "stale") && Date.now() - this.#heard > 2 * BROADCAST_MS + 5000) this.#drop();
    else if (kind === "live" && this.#late()) {
      this.#become({ kind: "stale", since: this.#ticked });
      this.#subscribe(CHANNELS);
    } else if (kind === "stale" && !this.#late()) this.#become({ kind: "live" });
    else this.dispatchEvent(new Event("state"));
  }

  #late() {
    return Date.now() - this.#ticked > 2 * this.#tickMs + BROADCAST_MS;
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket.close();
    this.#lost();
  }
}
