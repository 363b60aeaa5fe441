import assert from "node:assert/strict";
import test from "node:test";
import { Band } from "../../telemetry/static/telemetry/js/band.js";

const NOW = 1_000_000;
const band = () => new Band({ stepMs: 1000, buckets: 60, nowMs: NOW, gapMs: 5000 });
const last = (b) => b.columns.slice(1).map((column) => column.at(-1));

test("the band is the highest, the lowest and the median of what is held", () => {
  const b = band();
  [3, 1, 10].forEach((value, id) => b.put(id, NOW, value, value, value));
  b.advance(NOW);
  assert.deepEqual(last(b), [10, 1, 3]);
});

test("a spike within a merged row widens the band", () => {
  const b = band();
  b.put(1, NOW, 2, 90, 3);
  b.put(2, NOW, 4, 4, 4);
  b.advance(NOW);
  assert.deepEqual(last(b), [90, 2, 3.5]);
});

test("who is silent for long leaves the band, and nobody left is a gap", () => {
  const b = band();
  b.put(1, NOW, 1, 1, 1);
  b.put(2, NOW + 4000, 5, 5, 5);
  b.advance(NOW + 6000);
  assert.deepEqual(last(b), [5, 5, 5]);
  b.advance(NOW + 20_000);
  assert.deepEqual(last(b), [null, null, null]);
});

test("history fills the past and leaves what is live", () => {
  const b = band();
  b.put(1, NOW, 7, 7, 7);
  b.advance(NOW);
  const times = [NOW - 20_000, NOW - 19_000, NOW - 2000];
  b.load({ 1: { times, values: [1, 2, 3] }, 2: { times, values: [5, 6, 7] } }, NOW - 60_000, NOW);
  const at = (time) => b.columns.slice(1).map((column) => column[Math.floor(time / 1000) - b.first]);
  assert.deepEqual(at(NOW - 20_000), [5, 1, 3]);
  assert.deepEqual(at(NOW - 17_000), [6, 2, 4]);
  assert.deepEqual(at(NOW - 10_000), [null, null, null]);
  assert.equal(b.held.get(1).value, 7);
});

test("outliers are named: the extremes first, then whoever is far from the rest", () => {
  const b = band();
  for (let id = 0; id < 30; id += 1) b.put(id, NOW, 0, 0, 20 + id / 10);
  b.put(40, NOW, 0, 0, 90);
  b.put(41, NOW, 0, 0, 80);
  const { highest, lowest, far } = b.outliers(NOW);
  assert.deepEqual([highest.id, lowest.id, far.map((one) => one.id)], [40, 0, [41]]);
  assert.deepEqual(band().outliers(NOW), { highest: null, lowest: null, far: [] });
});

test("a day takes no more room than the window", () => {
  const b = band();
  for (let second = 0; second < 86_400; second += 5) {
    b.put(1, NOW + second * 1000, 1, 1, 1);
    b.advance(NOW + second * 1000);
  }
  assert.ok(b.columns[0].length <= 2 * b.buckets + 2);
});

test("of summaries the band keeps each spike, and its middle is that of the means", () => {
  const b = band();
  const starts = [NOW - 20_000, NOW - 19_000];
  b.load({
    1: { starts, min: [0, 1], max: [90, 2], mean: [3, 1.5] }, 2: { starts, min: [4, 4], max: [6, 6], mean: [5, 5] }, 3: { starts: [], min: [], max: [], mean: [] },
  }, NOW - 60_000, NOW);
  const at = (time) => b.columns.slice(1).map((column) => column[Math.floor(time / 1000) - b.first]);
  assert.deepEqual(at(NOW - 20_000), [90, 0, 4]);
  assert.deepEqual(at(NOW - 19_000), [6, 1, 3.25]);
});

test("a bucket knows whose its extremes are and of how many it is", () => {
  const b = band();
  b.put(1, NOW, 1, 9, 5);
  b.put(2, NOW, 4, 4, 4);
  b.put(3, NOW, 5, 5, 5);
  b.advance(NOW);
  assert.deepEqual(b.who.at(-1), { high: 1, low: 1, count: 3 });
  assert.equal(b.countFresh(NOW), 3);
  assert.equal(b.countFresh(NOW + 60_000), 0);
});

test("of a past range the highest and the lowest are named, with their time", () => {
  const b = band();
  const times = [NOW - 20_000, NOW - 19_000];
  b.load({ 7: { times, values: [1, 2] }, 8: { times, values: [5, 60] } }, NOW - 60_000, NOW);
  const { highest, lowest } = b.extremes(0, NOW / 1000);
  assert.deepEqual(highest, { id: 8, value: 60, seconds: (NOW - 19_000) / 1000 });
  assert.deepEqual(lowest, { id: 7, value: 1, seconds: (NOW - 20_000) / 1000 });
  assert.deepEqual(b.extremes(0, 1), { highest: null, lowest: null });
});

test("who and columns stay side by side while time goes on", () => {
  const b = band();
  for (let at = 0; at < 200; at += 1) {
    b.put(1, NOW + at * 1000, at, at, at);
    b.advance(NOW + at * 1000);
  }
  assert.equal(b.who.length, b.columns[0].length);
  assert.ok(b.who.length <= 122);
});
