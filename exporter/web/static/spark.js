// The last quarter of an hour of each server's cpu, as a small line.

import { range } from "./api.js";

const SPAN_S = 900, STEP_S = 15;

export class Sparks {
  #points = new Map();

  /** History to start with; without it the lines grow from now on. */
  async load() {
    const end = Math.floor(Date.now() / 1000 / STEP_S) * STEP_S;
    const series = await range("avg by (server) (openmanager_cpu_usage_percent)", end - SPAN_S, end, STEP_S);
    for (const { metric, values } of series) this.#points.set(metric.server, values.map(([t, v]) => [t, Number(v)]));
  }

  add(server, t, value) {
    const points = this.#points.get(server) ?? [];
    this.#points.set(server, points);
    if (value === null || (points.length && t - points.at(-1)[0] < STEP_S - 1)) return;
    points.push([t, value]);
    while (points[0][0] < t - SPAN_S) points.shift();
  }

  draw(canvas, server, colour) {
    const points = this.#points.get(server) ?? [];
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth || 110, height = canvas.clientHeight || 26;
    if (canvas.width !== width * ratio) canvas.width = width * ratio;
    if (canvas.height !== height * ratio) canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (points.length < 2) return;
    const end = points.at(-1)[0], y = (v) => height - 2 - (Math.min(100, v) / 100) * (height - 4);
    pen.beginPath();
    let before = null;
    for (const [t, v] of points) {
      const x = width - 2 - ((end - t) / SPAN_S) * (width - 4);
      if (before === null || t - before > 2.5 * STEP_S) pen.moveTo(x, y(v));
      else pen.lineTo(x, y(v));
      before = t;
    }
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.stroke();
  }
}
