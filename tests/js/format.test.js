import assert from "node:assert/strict";
import test from "node:test";
import { Decimals, formatAge, formatAgo, formatClock, formatDateTime, formatDuration, formatMoment, formatTick, formatTimeTick, formatValue, unitBeside } from "../../telemetry/static/telemetry/js/format.js";
import { fill } from "../../telemetry/static/telemetry/js/i18n.js";

const VALUES = [
  [21.5, null, "21.5"], [21.456, null, "21.46"], [-3.2, 1, "−3.2"], [20302, 0, "20,302"], [9, 2, "9.00"],
  [true, null, "on"], [false, null, "off"], ["hot water", null, "hot water"], [null, 1, "–"], [undefined, 1, "–"],
  [0, 0, "0"], [1_990_123_456, 0, "1,990,123,456"], [1e12, 0, "1,000,000,000,000"],
  [3.2e17, 2, "3.2000e+17"], [-0.00001, null, "−1.0000e−5"],
];
for (const [value, decimals, text] of VALUES) {
  test(`${value} with ${decimals} decimals is ${text}`, () => {
    assert.equal(formatValue(value, decimals).replace("e-", "e−"), text);
  });
}

const TICKS = [
  [[1_990_000_000, 1_990_000_050, 1_990_000_100], 50, ["1,990,000,000", "1,990,000,050", "1,990,000,100"]],
  [[-1, 0, 1], 1, ["−1", "0", "1"]], [[0.025, 0.05], 0.025, ["0.025", "0.050"]],
  [[0, 0.0002], 0.0002, ["0", "0.0002"]], [[3e-9, 4e-9], 1e-9, ["3.0e−9", "4.0e−9"]],
];
for (const [ticks, step, texts] of TICKS) {
  test(`ticks ${step} apart are ${texts}`, () => assert.deepEqual(ticks.map((tick) => formatTick(tick, step)), texts));
}

test("ticks of any size differ", () => {
  for (const [low, step] of [[1.99e9, 0.5], [3.2e17, 2.5e14], [1e300, 1e297], [5e-8, 1e-9], [1e14, 1], [-2e15, 100]]) {
    const texts = [0, 1, 2, 3].map((at) => formatTick(low + at * step, step));
    assert.equal(new Set(texts).size, 4, String(texts));
  }
});

const UNITS = [
  ["temperature (celsius)", "celsius", ""], ["temp_celsius", "Celsius", ""], ["temperature", "°C", "°C"],
  ["flow [l/min]", "l/min", ""], ["count", "count", "count"], ["mass", "m", "m"], ["anything", "", ""],
];
for (const [title, unit, beside] of UNITS) {
  test(`beside “${title}” the unit ${unit} is “${beside}”`, () => assert.equal(unitBeside(title, unit), beside));
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

const MOMENT = Date.UTC(2026, 10, 22, 23, 0, 0);
const TIME_TICKS = [
  [MOMENT, 3600, "UTC", "23:00"], [MOMENT, 3600, "Europe/Berlin", "Nov 23"], [MOMENT, 10, "UTC", "23:00:00"],
  [MOMENT + 500, 0.5, "UTC", "23:00:00.5"], [MOMENT, 86_400, "UTC", "Nov 22"], [MOMENT, 30 * 86_400, "UTC", "Nov 2026"],
];
for (const [ms, step, zone, text] of TIME_TICKS) {
  test(`a tick of ${step} s in ${zone} is ${text}`, () => assert.equal(formatTimeTick(ms, step, zone), text));
}

test("a moment has a fraction only where there is one", () => {
  assert.equal(formatMoment(MOMENT, "UTC"), "2026-11-22 23:00:00");
  assert.equal(formatMoment(MOMENT + 250, "UTC"), "2026-11-22 23:00:00.250");
});
