import assert from "node:assert/strict";
import test from "node:test";
import { BucketGrid, usualGapMs, usualRawGapMs } from "../../telemetry/static/telemetry/js/buckets.js";

const STEP = 10_000;
const NOW = 1_000_000_000;
const FROM = NOW - 60 * STEP;
const grid = (rest) => new BucketGrid({ stepMs: STEP, lanes: 1, fromMs: FROM, toMs: NOW, ...rest });
const row = (time, value, rest) => ({ time, min: value, max: value, value, count: 1, ...rest });

// What the hub would answer for these readings.
function summed(readings, fromMs = 0) {
  const found = { starts: [], min: [], max: [], mean: [], count: [], last: null };
  for (const [time, value] of [...readings].sort((a, b) => a[0] - b[0])) {
    if (time < fromMs) continue;
    const start = Math.floor(time / STEP) * STEP;
    let at = found.starts.length - 1;
    if (found.starts[at] !== start) {
      at = found.starts.push(start) - 1;
      Object.assign(found, { last: null });
      found.min.push(value); found.max.push(value); found.mean.push(0); found.count.push(0);
    }
    found.min[at] = Math.min(found.min[at], value);
    found.max[at] = Math.max(found.max[at], value);
    found.mean[at] = (found.mean[at] * found.count[at] + value) / (found.count[at] + 1);
    found.count[at] += 1;
    found.last = [time, value];
  }
  return found;
}

// Bucket number → [highest, lowest, mean, count].
function picture(g, lane = 0) {
  const found = {};
  g.counts[lane].forEach((count, at) => {
    if (count) found[g.first + at] = [...g.of(lane).map((column) => Math.round(column[at] * 1e6) / 1e6), count];
  });
  return found;
}

function random(seed) {
  return () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
}

test("live rows are folded into the newest bucket, exactly for one reading a row", () => {
  const h = grid();
  h.put(0, row(NOW - 3, 3));
  h.put(0, row(NOW - 2, 9));
  h.put(0, row(NOW - 1, 6));
  assert.deepEqual(Object.values(picture(h)), [[9, 3, 6, 3]]);
  assert.equal(h.inexactMs, null);
});

test("a row of two is exact, one of more has an estimated mean until it is loaded", () => {
  const g = grid();
  g.put(0, row(NOW - 2, 4, { min: 2, max: 4, count: 2 }));
  assert.deepEqual(Object.values(picture(g)), [[4, 2, 3, 2]]);
  assert.equal(g.inexactMs, null);
  g.put(0, row(NOW - 1, 5, { min: 0, max: 10, count: 8 }));
  const [[high, low, mean, count]] = Object.values(picture(g));
  assert.deepEqual([high, low, count], [10, 0, 10]);
  assert.ok(mean > 0 && mean < 10);
  assert.equal(g.inexactMs, NOW - STEP);
  g.load(0, summed([[NOW - 2, 4]]), g.inexactMs);
  assert.equal(g.inexactMs, null);
});

test("history and live rows, however they overlap, are what the hub would answer", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const next = random(seed);
    const readings = [];
    for (let time = FROM + 1_000; time < NOW; time += 200 + Math.floor(next() * 8_000)) readings.push([time, Math.round(next() * 100)]);
    const g = grid();
    // The request leaves at `asked` and is answered with what there was at `read`; what
    // comes in meanwhile is put in twice.
    const asked = Math.floor(next() * readings.length);
    const read = asked + Math.floor(next() * (readings.length - asked));
    const answered = read + Math.floor(next() * (readings.length - read));
    const kept = readings.slice(asked, answered);
    for (const [time, value] of readings.slice(0, answered)) g.put(0, row(time, value));
    g.load(0, summed(readings.slice(0, read)), FROM);
    for (const [time, value] of kept) g.put(0, row(time, value));
    for (const [time, value] of readings.slice(answered)) g.put(0, row(time, value));
    const whole = grid();
    whole.load(0, summed(readings), FROM);
    assert.deepEqual(picture(g), picture(whole), `seed ${seed}`);
    // A break: the rest is loaded again from a bucket's start.
    const lost = Math.floor(readings[Math.floor(next() * readings.length)][0] / STEP) * STEP;
    g.load(0, summed(readings, lost), lost);
    assert.deepEqual(picture(g), picture(whole), `seed ${seed}, again`);
  }
});

test("an empty bucket is a gap, unless readings are expected less often", () => {
  const g = grid();
  g.load(0, summed([[NOW - 90_000, 1], [NOW - 80_000, 2], [NOW - 50_000, 3]]), FROM);
  g.settle();
  const values = () => g.of(0)[2].slice(-6).map((value) => (value === undefined ? "-" : value));
  assert.deepEqual(values().filter((value) => value !== "-"), [1, 2, null, null, 3]);
  g.setGap(0, 40_000);
  g.settle();
  assert.deepEqual(values().filter((value) => value !== "-"), [1, 2, 3]);
});

test("the window slides, and a day takes no more room than it", () => {
  const g = grid();
  for (let second = 0; second < 86_400; second += 7) {
    const now = NOW + second * 1000;
    g.advance(now);
    g.put(0, row(now, second));
    assert.ok(g.columns[0].length <= 62);
  }
  assert.equal(g.put(0, row(NOW, 1)), false);
});

test("times ascend, the newest bucket's is no later than now", () => {
  const g = grid({ aheadMs: 60_000 });
  g.put(0, row(NOW - 25_000, 1));
  g.put(0, row(NOW - 1, 2));
  g.advance(NOW + 2_000);
  g.put(0, row(NOW + 1_000, 3));
  const [times] = g.columns;
  for (let at = 1; at < times.length; at += 1) assert.ok(times[at] > times[at - 1]);
  assert.ok(times.at(-1) <= (NOW + 2_000) / 1000);
});

test("a row that was in what was loaded changes nothing", () => {
  const g = grid();
  g.load(0, summed([[NOW - 5, 1], [NOW - 3, 2]]), FROM);
  const before = picture(g);
  assert.equal(g.put(0, row(NOW - 3, 2)), false);
  assert.deepEqual(picture(g), before);
  assert.equal(g.newest(0), 2);
  assert.equal(g.put(0, row(NOW - 2, 7)), true);
  assert.equal(g.newest(0), 7);
});

test("lanes do not touch each other", () => {
  const g = grid({ lanes: 2 });
  g.put(0, row(NOW - 30_000, 1));
  g.put(1, row(NOW - 1, 5));
  g.settle();
  assert.deepEqual(Object.values(picture(g, 0)), [[1, 1, 1, 1]]);
  assert.deepEqual(Object.values(picture(g, 1)), [[5, 5, 5, 1]]);
  for (const column of g.columns) assert.equal(column.length, g.columns[0].length);
});

test("what is usual is the median interval, of buckets by their counts", () => {
  assert.equal(usualRawGapMs([0, 1000, 2000, 60_000]), 3_000);
  assert.equal(usualRawGapMs([0, 1000]), 0);
  assert.equal(usualGapMs({ starts: [0, 10_000, 20_000, 90_000], count: [10, 10, 10, 10] }), 3_000);
  assert.equal(usualGapMs({ starts: [0, 3_600_000, 7_200_000], count: [1, 1, 1] }), 3 * 3_600_000);
});

test("readings merged across buckets are asked for from where they may have begun", () => {
  const g = grid();
  g.put(0, row(NOW - 12_000, 3));
  g.put(0, row(NOW - 1, 5, { min: 1, max: 5, count: 2 }));
  assert.equal(g.inexactMs, NOW - 2 * STEP);
  g.load(0, summed([[NOW - 12_000, 3], [NOW - 11_000, 1], [NOW - 1, 5]], NOW - 2 * STEP), g.inexactMs);
  assert.deepEqual(Object.values(picture(g)), [[3, 1, 2, 2], [5, 5, 5, 1]]);
  assert.equal(g.inexactMs, null);
});
