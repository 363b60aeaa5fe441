// What a lane of time shows of a boolean: its bars, and where nothing is known. Pure.
//
// A bar is {from, to, share, isMixed}, seconds; share: of its time that was on.

// Of readings: each holds until the next one that differs, or until a gap. untilS: how
// far the last value holds, null for not beyond its reading.
export function stepBars([times, column], untilS) {
  const bars = [];
  let [value, since, last] = [null, 0, 0];
  const close = (to) => {
    if (value !== null) bars.push({ from: since, to, share: value ? 1 : 0, isMixed: false });
  };
  for (let at = 0; at < times.length; at += 1) {
    const next = column[at];
    if (next === undefined) continue;
    if (next !== value) {
      close(next === null ? last : times[at]);
      value = next;
      since = times[at];
    }
    last = times[at];
  }
  close(untilS ?? last);
  return bars;
}

// Of a BucketGrid: a bucket each.
export function shareBars(grid, lane) {
  const [high, low, mean] = grid.of(lane);
  const stepS = grid.stepMs / 1000;
  const bars = [];
  for (let at = 0; at < mean.length; at += 1) {
    if (typeof mean[at] !== "number") continue;
    const from = (grid.first + at) * stepS;
    bars.push({ from, to: from + stepS, share: mean[at], isMixed: low[at] < high[at] });
  }
  return bars;
}

// [from, to] of the parts of a range without a bar that are longer than leastS: what is
// shorter is only the time between two readings.
export function unknownParts(bars, fromS, toS, leastS) {
  const parts = [];
  let known = fromS;
  for (const { from, to } of [...bars, { from: toS, to: toS }]) {
    if (Math.min(from, toS) - known > leastS) parts.push([known, Math.min(from, toS)]);
    known = Math.max(known, to);
  }
  return parts;
}
