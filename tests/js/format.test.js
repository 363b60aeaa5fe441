import assert from "node:assert/strict";
import test from "node:test";
import { Decimals, formatAge, formatAgo, formatClock, formatDateTime, formatDuration, formatValue } from "../../telemetry/static/telemetry/js/format.js";
import { fill } from "../../telemetry/static/telemetry/js/i18n.js";

const VALUES = [
  [21.5, null, "21.5"], [21.456, null, "21.46"], [-3.2, 1, "−3.2"], [20302, 0, "20,302"], [9, 2, "9.00"],
  [true, null, "on"], [false, null, "off"], ["hot water", null, "hot water"], [null, 1, "–"], [undefined, 1, "–"],
  [0, 0, "0"], [1e12, 2, "1.00e+12"], [-0.00001, null, "−1.00e−5"],
];
for (const [value, decimals, text] of VALUES) {
  test(`${value} with ${decimals} decimals is ${text}`, () => {
    assert.equal(formatValue(value, decimals).replace("e-", "e−"), text);
  });
}

const AGES = [
  [-5, "0.0 s"], [300, "0.3 s"], [9_940, "9.9 s"], [22_000, "22 s"], [540_000, "9 min"],
  [3 * 3_600_000, "3 h"], [3 * 86_400_000, "3 d"],
];
for (const [ms, text] of AGES) test(`${ms} ms are ${text}`, () => assert.equal(formatAge(ms), text));

test("an age in a sentence", () => assert.equal(formatAgo(22_000), "22 s ago"));

test("times are those of the zone", () => {
  const ms = Date.UTC(2026, 10, 22, 14, 3, 21);
  assert.equal(formatClock(ms, "UTC"), "14:03:21");
  assert.equal(formatClock(ms, "Europe/Berlin", false), "15:03");
  assert.equal(formatDateTime(ms, "Asia/Tokyo"), "2026-11-22 23:03:21");
});

test("a duration is minutes and seconds", () => {
  assert.equal(formatDuration(7_900), "0:07");
  assert.equal(formatDuration(754_000), "12:34");
});

test("the decimals of a metric are those that its values carry", () => {
  const decimals = new Decimals();
  decimals.note(21);
  assert.equal(decimals.count, 0);
  decimals.note(21.5);
  decimals.note(22);
  assert.equal(decimals.count, 1);
  decimals.note(21.123456);
  assert.equal(decimals.count, 2);
  decimals.note(0.123456);
  assert.equal(decimals.count, 3);
  decimals.note(Infinity);
  decimals.note("text");
  assert.equal(decimals.count, 3);
});

test("filling leaves what it does not know", () => {
  assert.equal(fill("%(a)s and %(b)s", { a: "<b>" }), "<b> and %(b)s");
});
