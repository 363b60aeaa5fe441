import assert from "node:assert/strict";
import test from "node:test";
import { nearestPlace, stepFrom } from "../../telemetry/static/telemetry/js/steps.js";

//                0   1          2     3          4  5
const columns = [[0, 1, 2, 3, 4, 5], [7, undefined, null, undefined, 8, 9], [null, null, 3, null, null, null]];
const ALL = [0, 5];

test("a step goes to the next place where any line has a value", () => {
  assert.equal(stepFrom(columns, 0, 1, ALL), 2);
  assert.equal(stepFrom(columns, 2, 1, ALL), 4);
  assert.equal(stepFrom(columns, 4, -1, ALL), 2);
});

test("several steps end at the last reading there is, none where there is none", () => {
  assert.equal(stepFrom(columns, 0, 10, ALL), 5);
  assert.equal(stepFrom(columns, 5, -10, ALL), 0);
  assert.equal(stepFrom(columns, 5, 1, ALL), null);
});

test("the first and the last are steps from outside, within what is in sight", () => {
  assert.equal(stepFrom(columns, -1, 1, ALL), 0);
  assert.equal(stepFrom(columns, 5, -1, [1, 4]), 4);
  assert.equal(stepFrom([[], []], 0, 1, [0, -1]), null);
});

test("the nearest place of a time", () => {
  const times = [10, 20, 30];
  assert.deepEqual([0, 14, 16, 25, 99].map((at) => nearestPlace(times, at)), [0, 0, 1, 1, 2]);
  assert.equal(nearestPlace([5], 100), 0);
});
