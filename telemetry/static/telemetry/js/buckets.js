// One chart's history as summaries of equal width, with the live rows folded into the
// newest ones, bounded for ever. Pure.
//
// `columns` is what uPlot draws: [seconds, then of each lane highest, lowest, mean];
// undefined = nothing to draw, null = a gap. A bucket's place is its middle, the newest
// one's no later than now. What the hub says of a bucket replaces what was folded into
// it: what live rows that merge several readings can only estimate becomes exact with the
// next load from `inexactMs` on.

export const PER_LANE = 3;

export class BucketGrid {
  // stepMs: width of a bucket; from, to: what is kept; aheadMs: how far beyond it
  // readings may be.
  constructor({ stepMs, lanes, fromMs, toMs, aheadMs = 0 }) {
    Object.assign(this, { stepMs, lanes, aheadMs, inexactMs: null });
    this.first = this.bucketOf(fromMs);
    this.kept = this.bucketOf(toMs + aheadMs) - this.first;
    this.nowMs = toMs;
    this.columns = Array.from({ length: PER_LANE * lanes + 1 }, () => []);
    this.counts = Array.from({ length: lanes }, () => []);
    this.gapMs = new Array(lanes).fill(0);
    this.ends = new Array(lanes).fill(null); // {time, value} of the newest reading
    this.isUneven = new Set();
  }

  bucketOf(timeMs) {
    return Math.floor(timeMs / this.stepMs);
  }

  // What the hub has said of a lane from fromMs on: {starts, min, max, mean, count,
  // last}, or nothing. Everything that was there from fromMs on goes.
  load(lane, one, fromMs) {
    const from = Math.max(0, this.bucketOf(fromMs) - this.first);
    const [high, low, mean] = this.of(lane);
    for (const column of [mean, high, low, this.counts[lane]]) column.fill(undefined, from);
    for (let at = 0; at < (one?.starts.length ?? 0); at += 1) {
      const place = this.bucketOf(one.starts[at]) - this.first;
      if (place < from || place > this.kept) continue;
      this.extend(place);
      mean[place] = one.mean[at];
      high[place] = one.max[at];
      low[place] = one.min[at];
      this.counts[lane][place] = one.count[at];
    }
    this.ends[lane] = one?.last ? { time: one.last[0], value: one.last[1] } : null;
    if (this.inexactMs !== null && fromMs <= this.inexactMs) this.inexactMs = null;
    this.isUneven.add(lane);
  }

  // A live row: a reading, or several merged. False: out of range, or already in what
  // was loaded.
  put(lane, { time, min, max, value, count = 1 }) {
    const place = this.bucketOf(time) - this.first;
    const end = this.ends[lane];
    if (!(place >= 0 && place <= this.kept) || (end && time <= end.time)) return false;
    this.ends[lane] = { time, value };
    this.extend(place);
    const [high, low, mean] = this.of(lane);
    const counts = this.counts[lane];
    const held = counts[place] ?? 0;
    this.noteMerged(place, count, end);
    mean[place] = ((mean[place] ?? 0) * held + sumOf(min, max, value, count)) / (held + count);
    high[place] = held ? Math.max(high[place], max) : max;
    low[place] = held ? Math.min(low[place], min) : min;
    counts[place] = held + count;
    if (!held) this.isUneven.add(lane);
    return true;
  }

  // Of merged readings the mean is an estimate, and some may belong to earlier buckets,
  // from the newest reading on that was known before.
  noteMerged(place, count, end) {
    const since = end ? Math.max(0, this.bucketOf(end.time) - this.first) : place;
    if (count < 2 || (count === 2 && since === place)) return;
    this.inexactMs = Math.min(this.inexactMs ?? Infinity, (this.first + since) * this.stepMs);
  }

  // Time goes on: what has left the window is dropped.
  advance(nowMs) {
    this.nowMs = nowMs;
    const old = this.bucketOf(nowMs + this.aheadMs) - this.kept - this.first;
    if (old > 0) {
      for (const column of [...this.columns, ...this.counts]) column.splice(0, old);
      this.first += old;
    }
    const newest = this.columns[0].length - 1;
    if (newest >= 0) this.columns[0][newest] = this.middle(newest);
  }

  setGap(lane, gapMs) {
    if (gapMs === this.gapMs[lane]) return;
    this.gapMs[lane] = gapMs;
    this.isUneven.add(lane);
  }

  // Find the gaps again of the lanes that have changed: an empty bucket is a gap unless
  // readings are expected less often than that.
  settle() {
    for (const lane of this.isUneven) {
      const counts = this.counts[lane];
      const apart = Math.max(this.gapMs[lane], 1.5 * this.stepMs) / this.stepMs;
      let previous = -Infinity;
      for (let at = 0; at < counts.length; at += 1) {
        if (!counts[at]) continue;
        this.fillGap(lane, previous, at, previous >= 0 && at - previous > apart ? null : undefined);
        previous = at;
      }
      this.fillGap(lane, previous, this.columns[0].length, undefined);
    }
    this.isUneven.clear();
  }

  fillGap(lane, from, to, what) {
    for (const column of this.of(lane)) column.fill(what, Math.max(0, from + 1), to);
  }

  // {value, low, high} of a lane in a bucket; nulls in a gap.
  at(lane, place) {
    const [high, low, mean] = this.of(lane).map((column) => column[place] ?? null);
    return { value: mean, low, high };
  }

  isEmpty() {
    return this.counts.every((counts) => !counts.some(Boolean));
  }

  // The newest reading of a lane, or null.
  newest(lane) {
    return this.ends[lane]?.value ?? null;
  }

  of(lane) {
    return this.columns.slice(PER_LANE * lane + 1, PER_LANE * lane + 1 + PER_LANE);
  }

  middle(place) {
    const startMs = (this.first + place) * this.stepMs;
    return Math.min(startMs + this.stepMs / 2, Math.max(startMs, this.nowMs)) / 1000;
  }

  extend(place) {
    const [times] = this.columns;
    const old = times.length;
    if (place < old) return;
    if (old) times[old - 1] = (this.first + old - 0.5) * this.stepMs / 1000;
    for (let at = old; at <= place; at += 1) {
      times.push(this.middle(at));
      for (let each = 1; each < this.columns.length; each += 1) this.columns[each].push(undefined);
      for (const counts of this.counts) counts.push(undefined);
    }
  }
}

// The sum of merged readings: exact for one and two, else estimated.
function sumOf(min, max, value, count) {
  if (count === 1) return value;
  if (count === 2) return min + max;
  return value + (count - 1) * (min + max) / 2;
}

// How long a lane may be silent before its line breaks, by what was loaded: three of its
// usual intervals. starts and counts of its buckets.
export function usualGapMs({ starts, count }) {
  if (starts.length < 3) return 0;
  const intervals = [];
  for (let at = 1; at < starts.length; at += 1) intervals.push((starts[at] - starts[at - 1]) / count[at - 1]);
  return 3 * intervals.sort((a, b) => a - b)[intervals.length >> 1];
}

// The same for readings themselves.
export function usualRawGapMs(times) {
  return usualGapMs({ starts: times, count: new Array(times.length).fill(1) });
}
