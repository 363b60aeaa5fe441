import assert from "node:assert/strict";
import test from "node:test";
import { Trace } from "../../telemetry/static/telemetry/js/sparkline.js";

const WIDTH = 15_000;
const NOW = 1_000 * WIDTH + 14_000;
const shape = (parts) => parts.map((part) => part.map(([x, low, high]) => [Math.round(x * 60 - 0.5), low, high]));

function loaded(at, values) {
  const trace = new Trace(WIDTH);
  trace.load({ at, min: values, max: values }, NOW - 14_000 - 59 * WIDTH);
  return trace;
}

test("the last buckets are at the right, the oldest at the left", () => {
  assert.deepEqual(shape(loaded([0, 59], [1, 3]).parts(NOW, Infinity)), [[[0, 0, 0], [59, 1, 1]]]);
});

test("what is longer ago than a line shows is left out", () => {
  assert.deepEqual(shape(loaded([0, 1, 59], [9, 1, 3]).parts(NOW + WIDTH, Infinity)), [[[0, 0, 0], [58, 1, 1]]]);
});

test("a gap stays a gap, a slow series has none", () => {
  const trace = loaded([10, 11, 20, 21], [1, 2, 3, 4]);
  assert.equal(trace.parts(NOW, 45_000).length, 2);
  assert.equal(trace.parts(NOW, 8 * WIDTH).length, 1);
});

test("a spike is kept, in a bucket that was there too", () => {
  const trace = loaded([58, 59], [0, 1]);
  trace.put(NOW, 1, 10);
  trace.put(NOW, 2, 3);
  assert.deepEqual(shape(trace.parts(NOW, Infinity)), [[[58, 0, 0], [59, 0.1, 1]]]);
});

test("a constant is in the middle", () => {
  assert.deepEqual(shape(loaded([59], [7]).parts(NOW, Infinity)), [[[59, 0.5, 0.5]]]);
});

test("texts and nothing are no values, booleans are 0 and 1", () => {
  const trace = new Trace(WIDTH);
  trace.put(NOW, "wet", "wet");
  assert.deepEqual(trace.parts(NOW, Infinity), []);
  trace.put(NOW, false, true);
  assert.deepEqual(shape(trace.parts(NOW, Infinity)), [[[59, 0, 1]]]);
});

test("what changes nothing has to be drawn no more", () => {
  const trace = loaded([59], [7]);
  const { version } = trace;
  trace.put(NOW, 7, 7);
  assert.equal(trace.version, version);
  trace.put(NOW, 6, 7);
  assert.notEqual(trace.version, version);
});

test("a trace of many days does not grow", () => {
  const trace = new Trace(WIDTH);
  for (let at = 0; at < 5_000; at += 1) trace.put(at * WIDTH, at, at);
  assert.ok(trace.buckets.size <= 121);
  assert.equal(trace.parts(4_999 * WIDTH, Infinity)[0].length, 60);
});
