// Numbers and times as people read them.

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

/** 93784 → "1d 2h". */
export function duration(seconds) {
  const parts = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [size, unit] of UNITS) {
    if (rest >= size && parts.length < 2) parts.push(`${Math.floor(rest / size)}${unit}`);
    rest %= size;
  }
  return parts.join(" ") || "0s";
}

const scaled = (value, base, units) => {
  let i = 0;
  for (; Math.abs(value) >= base && i < units.length - 1; i++) value /= base;
  return `${value === 0 ? 0 : Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : +value.toPrecision(3)}${units[i]}`;
};

const none = (format) => (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : format(value));

export const percent = none((value) => `${value.toFixed(value >= 99.95 ? 0 : 1)}%`);
export const bytes = none((value) => scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]));
export const bytesPerSecond = none((value) => scaled(value, 1000, [" B/s", " kB/s", " MB/s", " GB/s"]));
export const plain = none((value) => scaled(value, 1000, ["", "k", "M", "G"]));
export const milliseconds = none((value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`));
export const seconds = none((value) => milliseconds(value * 1000));
