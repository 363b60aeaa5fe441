// How often devices send, by what is stored: asked for once, in windows of its own, so
// that a device's state does not depend on the range that the page shows.
//
// The shortest window comes first: there a fast series hides no slow one and costs little.
// A longer one is asked for only while a device has not sent often enough in it to tell.

const AHEAD_MS = 60_000;
export const WINDOWS_MS = [120_000, 1_800_000, 21_600_000, 604_800_000];
const POINTS = 60;
const INTERVALS = 20;
const LEAST_READINGS = 3;

export class Habits {
  constructor({ history, watch, windowsMs = WINDOWS_MS }) {
    Object.assign(this, { history, watch, windowsMs });
  }

  // Resolves when each device's period is known, or no window tells it. Never rejects:
  // what is not known stays unknown.
  async load() {
    const nowMs = this.watch.hubNow();
    for (const windowMs of this.windowsMs) {
      const slugs = this.watch.unknownSince(nowMs - this.windowsMs.at(-1));
      if (!slugs.size) return;
      try {
        const found = await this.history.load({ fromMs: nowMs - windowMs, toMs: nowMs + AHEAD_MS, points: POINTS });
        this.take(found, slugs);
      } catch {
        return; // Refused, or not to be had: a longer window would be no better.
      }
      this.watch.judgeAll();
    }
  }

  // One window, the first that tells, is for all series of a device: the fastest of them
  // counts, and none that has stopped since.
  take({ series }, slugs) {
    for (const [text, one] of Object.entries(series)) {
      const id = Number(text);
      const periodMs = slugs.has(this.watch.slugOf(id)) ? usualPeriodMs(one) : null;
      if (periodMs !== null) this.watch.supposePeriod(id, periodMs);
    }
  }
}

// The median of a series' newest intervals; of buckets their width by their count. null:
// too few readings. The newest bucket is not full yet.
export function usualPeriodMs({ times, starts = times, count = null }) {
  const intervals = [];
  let readings = 0;
  for (let at = starts.length - 1; at > 0 && intervals.length < INTERVALS; at -= 1) {
    const held = count?.[at - 1] ?? 1;
    if (starts[at] <= starts[at - 1]) continue;
    intervals.push((starts[at] - starts[at - 1]) / held);
    readings += held;
  }
  if (readings < LEAST_READINGS) return null;
  return intervals.sort((one, other) => one - other)[intervals.length >> 1];
}
