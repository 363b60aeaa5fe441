import assert from "node:assert/strict";
import test from "node:test";
import { alone, Grid } from "../../telemetry/static/telemetry/js/feed.js";

const NOW = 1_000_000;
const grid = (rest) => new Grid({ stepMs: 1000, buckets: 100, lanes: 2, nowMs: NOW, ...rest });
// What there is to draw; a gap of any length is one null.
const shown = (g, lane) => g.columns[lane + 1]
  .filter((value) => value !== undefined)
  .filter((value, at, all) => value !== null || all[at - 1] !== null);

function random(seed) {
  return () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
}

test("the columns share one ascending time axis, two places a bucket", () => {
  const g = grid();
  g.put(0, NOW, 1);
  g.put(1, NOW - 3000, 2);
  g.put(0, NOW + 2000, 3);
  const [times, ...lanes] = g.columns;
  for (const lane of lanes) assert.equal(lane.length, times.length);
  for (let at = 1; at < times.length; at += 1) assert.equal(times[at] - times[at - 1], 0.5);
});

test("a bucket keeps the lowest and the highest", () => {
  const g = grid();
  for (const value of [5, 9, 1, 4]) g.put(0, NOW + 10, value);
  assert.deepEqual(shown(g, 0).sort(), [1, 9]);
});

test("a merged row shows its spike", () => {
  const g = grid();
  g.put(0, NOW, 1, 50, 2);
  assert.deepEqual(shown(g, 0), [50, 1]);
});

test("in any order, any number of times, readings make the same picture", () => {
  const next = random(7);
  for (let round = 0; round < 50; round += 1) {
    const readings = Array.from({ length: 60 }, () => [NOW - Math.floor(next() * 90_000), Math.round(next() * 20)]);
    const shuffled = [...readings, ...readings.slice(0, 30)].sort(() => next() - 0.5);
    const [one, two] = [grid(), grid()];
    for (const g of [one, two]) g.setGap(0, 4000);
    for (const [time, value] of [...readings].sort((a, b) => a[0] - b[0])) one.put(0, time, value);
    for (const [time, value] of shuffled) two.put(0, time, value);
    one.settle();
    two.settle();
    const picture = (g) => {
      const buckets = [];
      for (let at = 0; at < g.columns[1].length; at += 2) {
        const pair = [g.columns[1][at], g.columns[1][at + 1]].filter((value) => typeof value === "number");
        if (pair.length) buckets.push([g.columns[0][at], pair.sort()]);
      }
      return buckets;
    };
    assert.deepEqual(picture(two), picture(one));
  }
});

test("a silence longer than the gap breaks the line, a shorter one does not", () => {
  const g = grid();
  g.setGap(0, 5000);
  g.put(0, NOW - 30_000, 1);
  g.put(0, NOW - 26_000, 2);
  assert.deepEqual(shown(g, 0), [1, 2]);
  g.put(0, NOW - 10_000, 3);
  assert.deepEqual(shown(g, 0), [1, 2, null, 3]);
});

test("a gap is empty from one reading to the next", () => {
  const g = grid();
  g.setGap(0, 5000);
  g.put(0, NOW - 10_000, 1);
  g.put(0, NOW, 3);
  const column = g.columns[1];
  const [from, to] = [column.indexOf(1), column.indexOf(3)];
  assert.ok(column.slice(from + 2, to).every((value) => value === null));
});

test("a late reading closes the gap", () => {
  const g = grid();
  g.setGap(0, 5000);
  g.put(0, NOW - 10_000, 1);
  g.put(0, NOW, 3);
  assert.deepEqual(shown(g, 0), [1, null, 3]);
  g.put(0, NOW - 5_000, 2);
  g.settle();
  assert.deepEqual(shown(g, 0), [1, 2, 3]);
});

test("a gap that turns out to be the habit is closed", () => {
  const g = grid();
  g.setGap(0, 3000);
  g.put(0, NOW - 10_000, 1);
  g.put(0, NOW, 3);
  g.setGap(0, 30_000);
  g.settle();
  assert.deepEqual(shown(g, 0), [1, 3]);
});

test("a week of readings takes no more room than the window", () => {
  const g = grid();
  for (let second = 0; second < 7 * 86_400; second += 7) {
    const now = NOW + second * 1000;
    g.advance(now);
    g.put(0, now, second);
    assert.ok(g.columns[0].length <= 2 * (3 * g.buckets + 2));
  }
  g.put(1, NOW + 1e12, 1);
  g.put(1, 0, 1);
  assert.deepEqual(shown(g, 1), []);
});

test("the value at a moment is the one that the line comes from", () => {
  const g = grid();
  g.setGap(0, 5000);
  g.put(0, NOW - 10_000, 1);
  g.put(0, NOW, 3);
  g.put(1, NOW, 7);
  const at = (time) => Math.round((time - NOW + 10_000) / 500) + 2 * (Math.floor((NOW - 10_000) / 1000) - g.first);
  assert.equal(g.at(0, at(NOW)), 3);
  assert.equal(g.at(0, at(NOW - 10_000)), 1);
  assert.equal(g.at(0, at(NOW - 5_000)), null);
});

test("a reading between two gaps is alone", () => {
  const [u, n] = [undefined, null];
  for (const [column, found] of [
    [[], []], [[1], [0]], [[u, 1, u], [1]], [[1, 2], []], [[n, 1, n], [1]], [[1, n, u, 2, u, n, 3, u, 4], [0, 3]],
    [[u, 1, 2, n, n, 3], [5]],
  ]) assert.deepEqual(alone(column, 0, column.length - 1), found);
});

test("what merges more readings than it shows is no longer raw, as long as it is in sight", () => {
  const g = grid();
  g.put(0, NOW, 1, 2, 1, 2);
  assert.equal(g.isRaw(NOW - 60_000), true);
  g.put(0, NOW + 1000, 1, 9, 3, 40);
  assert.equal(g.isRaw(NOW - 60_000), false);
  assert.equal(g.isRaw(NOW + 2000), true);
});

test("the newest value of a lane is there after a silence too", () => {
  const g = grid();
  assert.equal(g.newest(0), null);
  g.put(0, NOW - 50_000, 4);
  g.put(1, NOW, 5);
  assert.equal(g.newest(0), 4);
});
