// The connection: one WebSocket, and polling while there is none.

import { get } from "./api.js";

const CHANNELS = ["server-metrics", "alerts", "ai-analysis", "system-status"];
const POLL_MS = 5000, FIRST_MS = 1000, MOST_MS = 30000;

export class Live extends EventTarget {
  #socket = null;
  #seq = {};
  #attempt = 0;
  #retry = null;
  #poll = null;
  #heard = 0;
  #tickMs = 15000;
  state = { kind: "connecting" };

  start() {
    this.#connect();
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#soon();
    });
    setInterval(() => this.#watch(), 1000);
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
    this.dispatchEvent(new CustomEvent(channel, { detail: data }));
    if (type === "update" && before !== undefined && seq > before + 1) this.#subscribe([channel]);
  }

  #subscribe(channels) {
    this.#socket.send(JSON.stringify({ type: "subscribe", channels }));
  }

  /** Full jitter: somewhere between at once and 1, 2, 4 … 30 s. */
  #lost() {
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempt++);
    const wait = 200 + Math.random() * most;
    this.#become({ kind: "reconnecting", at: Date.now() + wait });
    this.#retry = setTimeout(() => this.#connect(), wait);
    this.#poll ??= setInterval(() => this.#ask(), POLL_MS);
  }

  #soon() {
    if (this.#retry) this.#connect();
  }

  async #ask() {
    if (document.hidden) return;
    try {
      const { data } = await get("/api/unified-metrics?action=detailed");
      this.dispatchEvent(new CustomEvent("server-metrics", { detail: { servers: data.details, summary: data.summary } }));
      this.dispatchEvent(new CustomEvent("alerts", { detail: { alerts: data.alerts } }));
      if (data.analysis) this.dispatchEvent(new CustomEvent("ai-analysis", { detail: data.analysis }));
      if (this.#retry) this.#become({ ...this.state, kind: "polling" });
    } catch {
      // still away: the state says so already
    }
  }

  /** Two ticks without a word: the connection is dead, whatever the socket believes. */
  #watch() {
    if (this.state.kind === "live" && Date.now() - this.#heard > 2 * this.#tickMs + 2000) {
      const socket = this.#socket;
      this.#socket = null;
      socket.close();
      this.#lost();
    }
    this.dispatchEvent(new Event("state"));
  }
}
