import assert from "node:assert/strict";
import test from "node:test";
import { BucketGrid } from "../../telemetry/static/telemetry/js/buckets.js";
import { shareBars, stepBars, unknownParts } from "../../telemetry/static/telemetry/js/lane.js";

const part = (from, to, share) => ({ from, to, share, isMixed: false });

test("a reading holds until the next one that differs, the last as long as it is live", () => {
  const columns = [[1, 2, 3, 4, 5], [1, undefined, 1, 0, undefined]];
  assert.deepEqual(stepBars(columns, null), [part(1, 4, 1), part(4, 4, 0)]);
  assert.deepEqual(stepBars(columns, 9), [part(1, 4, 1), part(4, 9, 0)]);
});

test("in a gap a lane shows nothing, not off", () => {
  const bars = stepBars([[1, 2, 3, 50, 51], [0, 0, null, 0, 0]], null);
  assert.deepEqual(bars, [part(1, 2, 0), part(50, 51, 0)]);
  assert.deepEqual(unknownParts(bars, 0, 60, 5), [[2, 50], [51, 60]]);
  assert.deepEqual(unknownParts(bars, 0, 60, 10), [[2, 50]]);
  assert.deepEqual(unknownParts([], 0, 60, 10), [[0, 60]]);
});

test("buckets without readings are unknown, those that are off are not", () => {
  const stepMs = 10_000;
  const grid = new BucketGrid({ stepMs, lanes: 1, fromMs: 0, toMs: 100_000 });
  grid.load(0, { starts: [0, 10_000, 70_000], min: [0, 0, 1], max: [0, 1, 1], mean: [0, 0.5, 1], count: [9, 9, 9], last: [79_000, 1] }, 0);
  grid.settle();
  const bars = shareBars(grid, 0);
  assert.deepEqual(bars, [part(0, 10, 0), { from: 10, to: 20, share: 0.5, isMixed: true }, part(70, 80, 1)]);
  assert.deepEqual(unknownParts(bars, 0, 80, 20), [[20, 70]]);
});
