// The exporter's HTTP interfaces.

const API = "/api/prometheus/api/v1/";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function asked(url, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...options.headers };
  const response = await fetch(url, { ...options, headers });
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new ApiError(response.status, body.error?.message ?? body.error ?? response.statusText);
}

export const get = (url, signal) => asked(url, { signal });
export const post = (url, body) => asked(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
export const remove = (url) => asked(url, { method: "DELETE" });

/** Series of a range query: [{metric, values: [[t, "v"], …]}]. */
export async function range(query, start, end, step, signal) {
  const parameters = new URLSearchParams({ query, start, end, step });
  return (await get(`${API}query_range?${parameters}`, signal)).data.result;
}
