// Many series as one band: lowest, median and highest a bucket, never an average. Pure.
//
// `columns` is what uPlot draws: [seconds, highest, lowest, median], null = nobody
// had a value. A series counts until it has been silent for gapMs.

const MOST_SKIPPED = 3;
const NOTHING = { min: Infinity, max: -Infinity };
const FAR = 3.5; // Robust z-score from which a value is an outlier (Iglewicz, Hoaglin).

export class Band {
  constructor({ stepMs, buckets, nowMs, gapMs }) {
    Object.assign(this, { stepMs, buckets, gapMs });
    this.first = Math.floor(nowMs / stepMs) - buckets;
    this.columns = [[], [], [], []];
    this.held = new Map(); // id → {bucket, value}
    this.filledTo = -Infinity; // the newest bucket that was written live
    this.seen = null; // {bucket, min, max} of the bucket that is being filled
  }

  // A live reading, or the extremes of several.
  put(id, timeMs, min, max, value) {
    const bucket = Math.floor(timeMs / this.stepMs);
    const held = this.held.get(id);
    if (held && held.bucket > bucket) return;
    this.held.set(id, { bucket, value });
    if (!this.seen || bucket > this.seen.bucket) this.seen = { bucket, min, max };
    else if (bucket === this.seen.bucket) {
      this.seen.min = Math.min(this.seen.min, min);
      this.seen.max = Math.max(this.seen.max, max);
    }
  }

  // Fill the bucket of now from what each series holds, and drop what has left.
  advance(nowMs) {
    const now = Math.floor(nowMs / this.stepMs);
    const old = now - this.buckets - this.first;
    if (old > this.buckets) {
      for (const column of this.columns) column.splice(0, old);
      this.first += old;
    }
    // A frame that came late must not leave a hole; a long sleep is loaded instead.
    const from = Math.max(this.filledTo + 1, now - MOST_SKIPPED);
    for (let bucket = Math.min(from, now); bucket <= now; bucket += 1) {
      const seen = this.seen?.bucket === bucket ? this.seen : NOTHING;
      this.write(bucket, this.fresh(bucket), seen.min, seen.max);
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
    const lanes = Object.values(series).map((one) => this.sweep(one, start, end));
    const values = new Float64Array(lanes.length);
    for (let bucket = start; bucket <= end; bucket += 1) {
      let count = 0;
      let [min, max] = [Infinity, -Infinity];
      for (const lane of lanes) {
        const at = bucket - start;
        if (Number.isNaN(lane.held[at])) continue;
        values[count] = lane.held[at];
        count += 1;
        min = Math.min(min, lane.min[at]);
        max = Math.max(max, lane.max[at]);
      }
      if (count || bucket < end) this.write(bucket, values.subarray(0, count), min, max);
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

  fresh(bucket) {
    const values = [];
    for (const held of this.held.values()) if (this.isFresh(held, bucket)) values.push(held.value);
    return Float64Array.from(values);
  }

  isFresh(held, bucket) {
    return bucket - held.bucket <= Math.max(1, Math.round(this.gapMs / this.stepMs));
  }

  write(bucket, values, min, max) {
    const [times, highest, lowest, middle] = this.columns;
    for (let at = times.length; at <= bucket - this.first; at += 1) {
      times.push((this.first + at) * this.stepMs / 1000);
      for (const column of [highest, lowest, middle]) column.push(null);
    }
    const at = bucket - this.first;
    if (at < 0 || !values.length) return;
    values.sort();
    // What a bucket has shown it keeps: a spike is never taken back.
    highest[at] = Math.max(highest[at] ?? -Infinity, values[values.length - 1], max);
    lowest[at] = Math.min(lowest[at] ?? Infinity, values[0], min);
    middle[at] = median(values);
  }
}

function columnsOf({ times, values, starts, min, max, mean }) {
  return times ? { times, values, min: values, max: values } : { times: starts, values: mean, min, max };
}

function median(sorted) {
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
