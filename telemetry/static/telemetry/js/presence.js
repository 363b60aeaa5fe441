// What state a device is in, and why. Pure: times in ms of the hub's clock.

const LATE_FLOOR_MS = 5_000;
const GRACE_MS = 15_000;
// Nobody has said how often it sends, and it has not sent often enough to tell.
const UNKNOWN_PERIOD_MS = 20_000;
const INTERVALS = 20;

export const STATES = ["live", "late", "offline", "new", "paused"];

// How long a device may be silent before it is late.
export function lateAfterMs(periodMs) {
  return Math.max(3 * (periodMs ?? UNKNOWN_PERIOD_MS), LATE_FLOOR_MS);
}

// facts: {isPaused, isOnline, changedMs, lastSeenMs, lastReadingMs, periodMs}; times
// null = never. Returns "new", "live", "late", "offline" or "paused": the worse of
// what the socket and the readings say.
export function judge(facts, nowMs) {
  if (facts.isPaused) return "paused";
  const { lastReadingMs, changedMs } = facts;
  const isNever = lastReadingMs === null && facts.lastSeenMs === null;
  if (isNever && !facts.isOnline) return "new";
  // Nobody knows that it sleeps between readings: gone is gone.
  const isUnexplained = facts.periodMs === null && !facts.isOnline && changedMs !== null;
  const lateAfter = isUnexplained ? LATE_FLOOR_MS : lateAfterMs(facts.periodMs);
  // Just connected, nothing read yet: it has the time that it always has.
  const quietMs = nowMs - Math.max(lastReadingMs ?? -Infinity, facts.isOnline ? changedMs ?? -Infinity : -Infinity);
  const isLate = quietMs > lateAfter;
  if (facts.isOnline) return isLate ? "late" : "live";
  const closedMs = nowMs - (changedMs ?? lastReadingMs ?? facts.lastSeenMs ?? -Infinity);
  // A short break, or a sleeper whose next reading is not yet due, is no outage.
  if (closedMs <= GRACE_MS || !isLate) return isLate ? "late" : "live";
  return "offline";
}

// The median of a device's last intervals: what it seems to send at.
export class PeriodEstimate {
  constructor() {
    this.intervals = [];
    this.lastMs = null;
    this.storedMs = null;
  }

  // A reading, or the last of `count` that were merged into one row.
  note(timeMs, count = 1) {
    if (this.lastMs !== null && timeMs > this.lastMs) {
      this.intervals.push((timeMs - this.lastMs) / count);
      if (this.intervals.length > INTERVALS) this.intervals.shift();
    }
    if (this.lastMs === null || timeMs > this.lastMs) this.lastMs = timeMs;
  }

  // What the stored readings say (habits.js); only until live ones have said enough.
  suppose(periodMs) {
    this.storedMs = periodMs;
  }

  // null until it is stored, or three intervals are known.
  get periodMs() {
    return this.medianMs(3) ?? this.storedMs;
  }

  medianMs(least) {
    if (this.intervals.length < least) return null;
    const sorted = [...this.intervals].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}

// States of many devices → how many are in each.
export function countStates(states) {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const state of states) counts[state] += 1;
  return counts;
}
