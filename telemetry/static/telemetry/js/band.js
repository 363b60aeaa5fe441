// Many series as one band: lowest, median and highest a bucket, never an average. Pure.
//
// `columns` is what uPlot draws: [seconds, highest, lowest, median], null = nobody
// had a value. A series counts until it has been silent for gapMs. `who` has, for each
// bucket, {high, low, count}: whose the two extremes are, and of how many series.

const MOST_SKIPPED = 3;
const NOTHING = { min: Infinity, max: -Infinity, low: null, high: null };
const FAR = 3.5; // Robust z-score from which a value is an outlier (Iglewicz, Hoaglin).

export class Band {
  constructor({ stepMs, buckets, nowMs, gapMs }) {
    Object.assign(this, { stepMs, buckets, gapMs });
    this.first = Math.floor(nowMs / stepMs) - buckets;
    this.columns = [[], [], [], []];
    this.who = [];
    this.held = new Map(); // id → {bucket, value}
    this.filledTo = -Infinity; // the newest bucket that was written live
    this.seen = null; // {bucket, min, max, low, high} of the bucket that is being filled
  }

  // A live reading, or the extremes of several.
  put(id, timeMs, min, max, value) {
    const bucket = Math.floor(timeMs / this.stepMs);
    const held = this.held.get(id);
    if (held && held.bucket > bucket) return;
    this.held.set(id, { bucket, value });
    if (!this.seen || bucket > this.seen.bucket) this.seen = { ...NOTHING, bucket };
    if (bucket === this.seen.bucket) widen(this.seen, id, min, max);
  }

  // Fill the bucket of now from what each series holds, and drop what has left.
  advance(nowMs) {
    const now = Math.floor(nowMs / this.stepMs);
    const old = now - this.buckets - this.first;
    if (old > this.buckets) {
      for (const column of [...this.columns, this.who]) column.splice(0, old);
      this.first += old;
    }
    // A frame that came late must not leave a hole; a long sleep is loaded instead.
    const from = Math.max(this.filledTo + 1, now - MOST_SKIPPED);
    for (let bucket = Math.min(from, now); bucket <= now; bucket += 1) {
      const found = { ...(this.seen?.bucket === bucket ? this.seen : NOTHING) };
      const values = [];
      for (const [id, held] of this.held) {
        if (!this.isFresh(held, bucket)) continue;
        values.push(held.value);
        widen(found, id, held.value, held.value);
      }
      this.write(bucket, Float64Array.from(values), found);
    }
    this.filledTo = now;
  }

  // History, over what is there: {id: {times, values}}, times ascending, ms, or of
  // summaries {starts, min, max, mean}.
  load(loaded, fromMs, nowMs) {
    const series = Object.fromEntries(Object.entries(loaded).map(([id, one]) => [id, columnsOf(one)]));
    const start = Math.max(this.first, Math.floor(fromMs / this.stepMs));
    const end = Math.floor(nowMs / this.stepMs);
    if (end < start) return;
    const ids = Object.keys(series).map(Number);
    const lanes = Object.values(series).map((one) => this.sweep(one, start, end));
    const values = new Float64Array(lanes.length);
    for (let bucket = start; bucket <= end; bucket += 1) {
      let count = 0;
      const found = { ...NOTHING };
      const at = bucket - start;
      lanes.forEach((lane, each) => {
        if (Number.isNaN(lane.held[at])) return;
        values[count] = lane.held[at];
        count += 1;
        widen(found, ids[each], lane.min[at], lane.max[at]);
      });
      if (count || bucket < end) this.write(bucket, values.subarray(0, count), found);
    }
    for (const [id, one] of Object.entries(series)) {
      const last = one.times.length - 1;
      if (last < 0) continue;
      this.put(Number(id), one.times[last], one.values[last], one.values[last], one.values[last]);
    }
  }

  isEmpty() {
    return !this.columns[3].some((value) => value !== null);
  }

  // Who stands out now: [{id, value}], the highest, the lowest, then the far ones.
  outliers(nowMs, most = 5) {
    const bucket = Math.floor(nowMs / this.stepMs);
    const list = [...this.held]
      .filter(([, held]) => this.isFresh(held, bucket))
      .map(([id, held]) => ({ id, value: held.value }))
      .sort((a, b) => a.value - b.value);
    if (list.length < 2) return { highest: list[0] ?? null, lowest: null, far: [] };
    const middle = median(Float64Array.from(list, (one) => one.value));
    const spread = median(Float64Array.from(list, (one) => Math.abs(one.value - middle)).sort());
    const highest = list.pop();
    const lowest = list.shift();
    const far = list
      .filter((one) => spread > 0 && 0.6745 * Math.abs(one.value - middle) / spread > FAR)
      .sort((a, b) => Math.abs(b.value - middle) - Math.abs(a.value - middle))
      .slice(0, most - 2);
    return { highest, lowest, far };
  }

  sweep({ times, values, min, max }, start, end) {
    const length = end - start + 1;
    const lane = {
      held: new Float64Array(length).fill(NaN),
      min: new Float64Array(length).fill(Infinity),
      max: new Float64Array(length).fill(-Infinity),
    };
    const keep = Math.max(1, Math.round(this.gapMs / this.stepMs));
    for (let i = 0; i < times.length; i += 1) {
      const at = Math.floor(times[i] / this.stepMs) - start;
      const next = i + 1 < times.length ? Math.floor(times[i + 1] / this.stepMs) - start : length;
      if (at >= 0 && at < length) {
        lane.min[at] = Math.min(lane.min[at], min[i]);
        lane.max[at] = Math.max(lane.max[at], max[i]);
      }
      const until = Math.min(Math.max(next, at + 1), at + keep + 1, length);
      for (let place = Math.max(at, 0); place < until; place += 1) {
        lane.held[place] = values[i];
        lane.min[place] = Math.min(lane.min[place], values[i]);
        lane.max[place] = Math.max(lane.max[place], values[i]);
      }
    }
    return lane;
  }

  countFresh(nowMs) {
    const bucket = Math.floor(nowMs / this.stepMs);
    let count = 0;
    for (const held of this.held.values()) if (this.isFresh(held, bucket)) count += 1;
    return count;
  }

  // Where and whose the extremes of a stretch are: {highest, lowest}, each {id, value,
  // seconds}; null where nobody had a value.
  extremes(fromS, toS) {
    const [times, high, low] = this.columns;
    const found = { highest: null, lowest: null };
    times.forEach((seconds, at) => {
      if (seconds < fromS || seconds > toS || typeof high[at] !== "number") return;
      if (found.highest === null || high[at] > found.highest.value) found.highest = { id: this.who[at].high, value: high[at], seconds };
      if (found.lowest === null || low[at] < found.lowest.value) found.lowest = { id: this.who[at].low, value: low[at], seconds };
    });
    return found;
  }

  isFresh(held, bucket) {
    return bucket - held.bucket <= Math.max(1, Math.round(this.gapMs / this.stepMs));
  }

  write(bucket, values, { min, max, low, high }) {
    const [times, highest, lowest, middle] = this.columns;
    for (let at = times.length; at <= bucket - this.first; at += 1) {
      times.push((this.first + at) * this.stepMs / 1000);
      for (const column of [highest, lowest, middle, this.who]) column.push(null);
    }
    const at = bucket - this.first;
    if (at < 0 || !values.length) return;
    values.sort();
    // What a bucket has shown it keeps: a spike is never taken back.
    const who = this.who[at] ?? { high, low, count: 0 };
    if (max > (highest[at] ?? -Infinity)) [highest[at], who.high] = [max, high];
    if (min < (lowest[at] ?? Infinity)) [lowest[at], who.low] = [min, low];
    middle[at] = median(values);
    this.who[at] = { ...who, count: values.length };
  }
}

function widen(found, id, min, max) {
  if (min < found.min) [found.min, found.low] = [min, id];
  if (max > found.max) [found.max, found.high] = [max, id];
}

function columnsOf({ times, values, starts, min, max, mean }) {
  return times ? { times, values, min: values, max: values } : { times: starts, values: mean, min, max };
}

function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
