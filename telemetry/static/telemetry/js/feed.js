// The readings of one chart on a regular grid of time, bounded for ever. Pure.
//
// Each bucket keeps the lowest and the highest value of each lane, so that putting a
// reading in twice changes nothing: history, live rows and reloads simply overlap,
// with no gap and no duplicate. `columns` is what uPlot draws: [seconds, lane…],
// two places a bucket; undefined = nothing to draw, null = a gap.

export class Grid {
  // stepMs: width of a bucket; buckets: how many are kept (and as many ahead of now).
  constructor({ stepMs, buckets, lanes, nowMs }) {
    Object.assign(this, { stepMs, buckets });
    this.nowBucket = Math.floor(nowMs / stepMs);
    this.first = this.nowBucket - buckets;
    this.columns = Array.from({ length: lanes + 1 }, () => []);
    this.last = new Array(lanes).fill(-Infinity); // newest bucket with a value
    this.thinned = -Infinity; // newest bucket that does not show each of its readings
    this.isUneven = new Set(); // lanes whose gaps have to be found again
    this.gapMs = new Array(lanes).fill(Infinity);
  }

  // Put a reading, or the extremes of several, into a lane. False: out of range.
  put(lane, timeMs, min, max = min, value = max, count = 1) {
    const bucket = Math.floor(timeMs / this.stepMs);
    if (!(bucket >= this.first && bucket <= this.nowBucket + this.buckets)) return false;
    if (count > 2) this.thinned = Math.max(this.thinned, bucket);
    this.extend(bucket);
    const column = this.columns[lane + 1];
    const at = 2 * (bucket - this.first);
    if (bucket > this.last[lane]) {
      this.markGap(lane, this.last[lane], bucket);
      this.last[lane] = bucket;
    } else if (column[at] === null || column[at] === undefined) {
      this.isUneven.add(lane);
    }
    const isFalling = max - value > value - min;
    put(column, at, isFalling ? max : min);
    put(column, at, isFalling ? min : max);
    return true;
  }

  // Time goes on: what has left the window is dropped, in large steps.
  advance(nowMs) {
    this.nowBucket = Math.floor(nowMs / this.stepMs);
    const old = this.nowBucket - this.buckets - this.first;
    if (old <= this.buckets) return;
    for (const column of this.columns) column.splice(0, 2 * old);
    this.first += old;
  }

  // How long a lane may be silent before its line breaks.
  setGap(lane, gapMs) {
    if (Math.abs(gapMs - this.gapMs[lane]) < this.gapMs[lane] / 4) return;
    this.gapMs[lane] = gapMs;
    this.isUneven.add(lane);
  }

  // Find the gaps again of the lanes that something was put into out of order.
  settle() {
    for (const lane of this.isUneven) {
      const column = this.columns[lane + 1];
      let previous = -Infinity;
      for (let at = 0; at < column.length; at += 1) if (column[at] === null) column[at] = undefined;
      for (let at = 0; at < column.length; at += 2) {
        if (column[at] === undefined) continue;
        const bucket = this.first + at / 2;
        this.markGap(lane, previous, bucket);
        previous = bucket;
      }
    }
    this.isUneven.clear();
  }

  // Whether each reading from fromMs on is drawn, and none is hidden by its neighbours.
  isRaw(fromMs) {
    return this.thinned < Math.floor(fromMs / this.stepMs);
  }

  isEmpty() {
    return this.columns.slice(1).every((column) => !column.some((value) => typeof value === "number"));
  }

  // The newest value of a lane, or null.
  newest(lane) {
    const column = this.columns[lane + 1];
    for (let at = column.length - 1; at >= 0; at -= 1) if (typeof column[at] === "number") return column[at];
    return null;
  }

  // The value of a lane at an index, or the one before it that the line comes from.
  at(lane, index) {
    const column = this.columns[lane + 1];
    const oldest = index - 2 * this.gapBuckets(lane);
    for (let at = Math.min(index, column.length - 1); at >= 0 && at >= oldest; at -= 1) {
      if (column[at] === null) return null;
      if (column[at] !== undefined) return column[at];
    }
    return null;
  }

  gapBuckets(lane) {
    return Math.max(this.gapMs[lane] / this.stepMs, 2);
  }

  markGap(lane, from, to) {
    if (to - from <= this.gapBuckets(lane) || from + 1 < this.first) return;
    // All of it: a line is cut only where it meets a null.
    this.columns[lane + 1].fill(null, 2 * (from + 1 - this.first), 2 * (to - this.first));
  }

  extend(bucket) {
    const [times] = this.columns;
    const wanted = 2 * (bucket - this.first + 1);
    for (let at = times.length; at < wanted; at += 1) {
      times.push((this.first + at / 2) * this.stepMs / 1000);
      for (let lane = 1; lane < this.columns.length; lane += 1) this.columns[lane].push(undefined);
    }
  }
}

// A bucket's two places hold one value, or its two extremes, the newer one last.
function put(column, at, value) {
  const one = column[at];
  const two = column[at + 1];
  if (one === undefined || one === null) column[at] = value;
  else if (two === undefined || two === null) {
    if (value !== one) column[at + 1] = value;
  } else if (value < Math.min(one, two)) {
    column[at] = Math.max(one, two);
    column[at + 1] = value;
  } else if (value > Math.max(one, two)) {
    column[at] = Math.min(one, two);
    column[at + 1] = value;
  }
}

// The indexes from `from` to `to` whose value has a gap, or nothing, on both sides.
export function alone(column, from, to) {
  const found = [];
  let [candidate, isOpen] = [null, true];
  for (let at = from; at <= Math.min(to, column.length - 1); at += 1) {
    if (column[at] === undefined) continue;
    if (column[at] === null) {
      if (candidate !== null) found.push(candidate);
      [candidate, isOpen] = [null, true];
    } else {
      candidate = isOpen ? at : null;
      isOpen = false;
    }
  }
  if (candidate !== null) found.push(candidate);
  return found;
}
