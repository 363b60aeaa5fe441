// What state a device is in: by its period, its socket and its last reading. Pure; times
// in ms of the hub's clock. The rule is that of telemetry/devices/status.py, and
// tests/golden/presence.json holds for both. evidence.js says it in words.

// Missed periods before a device is late, and the least that counts as late.
const LATE_PERIODS = 3;
const LATE_MS = 5_000;
// Nobody has said how often it sends, and it has not sent often enough to tell.
const UNKNOWN_PERIOD_MS = 20_000;
// A socket that was closed so recently is about to come back.
const GRACE_MS = 15_000;
// Late again so soon after it was not: it hovers at the limit, and stays late until it has
// been in time for as long.
const HOLD_MS = 20_000;
// What a device sent just before its socket ended may be read just after.
const CLOSING_MS = 1_000;

export const STATES = ["live", "late", "offline", "new", "paused"];
const JUDGED = new Set(["live", "late", "offline"]);

// How long a device may be silent before it is late.
export function lateAfterMs(periodMs) {
  return Math.max(LATE_PERIODS * (periodMs ?? UNKNOWN_PERIOD_MS), LATE_MS);
}

// facts: {isPaused, isOnline, changedMs, lastSeenMs, lastReadingMs, periodMs}; times null:
// never. before: what this said at the last look, null for the first; whoever looks again
// and again passes it, so that nothing flaps. Returns {state, isUnsteady, calmMs}, and
// `before` itself where nothing has changed.
export function judge(facts, nowMs, before = null) {
  let [state, isExcused] = atOnce(facts, nowMs);
  if (before === null || !JUDGED.has(state) || !JUDGED.has(before.state)) {
    return before?.state === state ? before : status(state);
  }
  // It has come back, but no reading has.
  if (isExcused && before.state !== "live") state = "late";
  if (before.isUnsteady && state !== "offline") return stillUnsteady(state, nowMs, before);
  if (state === before.state) return before;
  if (state === "live" && before.state === "late") return status(state, false, nowMs);
  const wasCalm = before.state === "live" && before.calmMs !== null;
  return status(state, state === "late" && wasCalm && nowMs - before.calmMs < HOLD_MS);
}

function status(state, isUnsteady = false, calmMs = null) {
  return { state, isUnsteady, calmMs };
}

function stillUnsteady(state, nowMs, before) {
  if (state !== "live") return before.calmMs === null ? before : status(state, true);
  if (before.calmMs === null) return status("late", true, nowMs);
  return nowMs - before.calmMs < HOLD_MS ? before : status("live", false, nowMs);
}

// The state by the facts alone, and whether only its socket excuses it.
function atOnce({ isPaused, isOnline, changedMs, lastSeenMs, lastReadingMs, periodMs }, nowMs) {
  if (isPaused) return ["paused", false];
  const lateMs = lateAfterMs(periodMs);
  if (lastReadingMs === null) {
    const sinceMs = changedMs ?? lastSeenMs;
    if (sinceMs === null || nowMs - sinceMs <= (isOnline ? lateMs : GRACE_MS)) return ["new", false];
    return [isOnline ? "late" : "offline", false];
  }
  const hasEnded = !isOnline && changedMs !== null && lastReadingMs <= changedMs + CLOSING_MS;
  // Nobody knows that it sleeps between readings: gone is gone.
  const patienceMs = hasEnded && periodMs === null ? LATE_MS : lateMs;
  if (nowMs - lastReadingMs <= patienceMs) return ["live", false];
  // As it was before its socket changed, for a while.
  if (changedMs !== null && changedMs >= lastReadingMs) {
    const sinceMs = nowMs - changedMs;
    const wasQuietMs = changedMs - lastReadingMs;
    const isExcused = isOnline
      ? wasQuietMs <= lateMs + GRACE_MS && sinceMs <= lateMs
      : wasQuietMs <= lateMs && sinceMs <= GRACE_MS;
    if (isExcused) return ["live", true];
  }
  if (isOnline || nowMs - Math.max(changedMs ?? 0, lastReadingMs) <= GRACE_MS) return ["late", false];
  return ["offline", false];
}

// States of many devices → how many are in each.
export function countStates(states) {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const state of states) counts[state] += 1;
  return counts;
}
