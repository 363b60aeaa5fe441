// The live socket's messages (docs/reference/protocol.md). Pure: no DOM, no clock.

export const SUBPROTOCOL = "hub.live.v1";

export const hello = (intervalMs) => (
  JSON.stringify({ type: "hello", interval_ms: intervalMs })
);
const DEVICE = "device:";
// topics: slugs of groups, and "device:<slug>" for a device alone; metrics: names, null
// for all.
export const subscribe = (id, topics, resume, metrics = null) => {
  const groups = topics.filter((topic) => !topic.startsWith(DEVICE));
  const devices = topics.filter((topic) => topic.startsWith(DEVICE)).map((topic) => topic.slice(DEVICE.length));
  const asked = { groups, ...(devices.length ? { devices } : {}), ...(metrics ? { metrics } : {}) };
  return JSON.stringify({ type: "subscribe", id, ...asked, ...(resume ? { resume } : {}) });
};
export const unsubscribe = (groups) => JSON.stringify({ type: "unsubscribe", groups });
export const ack = (group, revision) => JSON.stringify({ type: "ack", group, revision });
export const ping = (echo) => JSON.stringify({ type: "ping", echo });

// A frame → its message, or null for what is none.
export function decode(text) {
  if (typeof text !== "string") return null;
  try {
    const message = JSON.parse(text);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

// [id, time, value] or [id, time, last, min, max, count] → one shape.
export function readRow(row) {
  const [id, time, value] = row;
  if (row.length < 6) return { id, time, value, min: value, max: value, count: 1 };
  return { id, time, value, min: row[3], max: row[4], count: row[5] };
}

const inMs = (seconds) => (typeof seconds === "number" ? seconds * 1000 : null);

// [id, device slug, metric, unit, period_s].
export function readSeries(row) {
  const [id, device, metric, unit, periodS] = row;
  return { id, device, metric, unit, periodMs: inMs(periodS) };
}

// [slug, name, is_online, changed_ms, last_seen_ms, is_paused, period_s, is_estimated].
export function readDevice(row) {
  const [slug, name, isOnline, changedMs, lastSeenMs, isPaused, periodS, isEstimated] = row;
  return { slug, name, isOnline, changedMs, lastSeenMs, isPaused, periodMs: inMs(periodS), isEstimated };
}

const BUGS = new Set([4400, 4413, 1002, 1007, 1009]);
const LONG_MS = 60_000;
const HOUR_MS = 3_600_000;
const MOST_BUGS = 5;

// What to do after a close. attempt: closes in a row without a good connection;
// afterMs: what the hub's `bye` said; random: 0 ≤ random() < 1.
// Returns {state: "retry" | "signed-out" | "refused" | "stopped", waitMs: number | null}.
export function afterClose(code, { attempt = 0, afterMs = 0, random = Math.random } = {}) {
  const backoff = { state: "retry", waitMs: backoffMs(attempt, random) };
  if (code === 1000) return { state: "stopped", waitMs: null };
  if (code === 4401) return { state: "signed-out", waitMs: null };
  if (code === 4403 || code === 4406) return { state: "refused", waitMs: HOUR_MS };
  if (BUGS.has(code)) {
    if (attempt >= MOST_BUGS) return { state: "stopped", waitMs: null };
    return { state: "retry", waitMs: LONG_MS + random() * LONG_MS };
  }
  if (code === 4409) return { state: "retry", waitMs: LONG_MS + random() * LONG_MS };
  if (code === 4429) {
    return { state: "retry", waitMs: afterMs || LONG_MS / 2 + random() * LONG_MS / 2 };
  }
  if ((code === 4500 || code === 4503) && attempt === 0) {
    return { state: "retry", waitMs: Math.max(backoff.waitMs, random() * afterMs) };
  }
  if (code === 4408 || code === 4500 || code === 4503) return backoff;
  if (code >= 4400 && code < 4500) return { state: "stopped", waitMs: null };
  return backoff;
}

// Full jitter up to 15 s: a page that somebody looks at waits less than a device.
export function backoffMs(attempt, random = Math.random) {
  return 500 + random() * Math.min(14_500, 1_000 * 2 ** Math.min(attempt, 10));
}
