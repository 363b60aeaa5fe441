import assert from "node:assert/strict";
import test from "node:test";
import { assignStyles, MOST_LINES } from "../../telemetry/static/telemetry/js/palette.js";
import { niceRange, niceStep, rangeTicks, stepDecimals, timeTicks } from "../../telemetry/static/telemetry/js/scale.js";

test("a range holds its values, in at most four round steps", () => {
  for (const [low, high] of [[40.2, 88.1], [-3, 12], [0, 1], [49.995, 50.012], [1e6, 3e7], [-1e-4, 1e-4]]) {
    const range = niceRange(low, high);
    const rounding = 1e-9 * Math.max(Math.abs(low), Math.abs(high));
    assert.ok(range.min <= low + rounding && range.max >= high - rounding, `${low} ${high}`);
    assert.ok(rangeTicks(range).length <= 5);
  }
});

test("a value that does not change has room on both sides", () => {
  const range = niceRange(21.5, 21.5);
  assert.ok(range.min < 21.5 && range.max > 21.5);
  assert.ok(niceRange(0, 0).max > 0);
});

test("an axis goes below zero only for a value that is", () => {
  for (const [low, high] of [[0, 0], [0, 100], [0.001, 20_302], [3, 3], [0, 1e9]]) {
    assert.ok(niceRange(low, high).min >= 0, `${low} ${high}`);
  }
  assert.ok(niceRange(-120, 100).min <= -120);
});

test("noise around zero takes no step of its own, and its axis still has the tick 0", () => {
  const range = niceRange(-3.5, 20_302);
  assert.ok(range.min <= -3.5 && range.min >= -1_000);
  assert.deepEqual(rangeTicks(range).slice(0, 2), [0, range.step]);
  assert.equal(niceRange(-4, 20_000, range), range);
});

test("a range stays while its values fill half of it", () => {
  const first = niceRange(40, 98);
  assert.equal(niceRange(45, 90, first), first);
  assert.notEqual(niceRange(45, 120, first), first);
  assert.notEqual(niceRange(50, 55, first), first);
  assert.equal(niceRange(null, null, first), first);
});

test("steps say how many decimals they need", () => {
  assert.deepEqual([20, 0.5, 0.025, 1].map(stepDecimals), [0, 1, 3, 0]);
});

test("time labels fit, the last one is the end", () => {
  for (const width of [120, 320, 600, 1800]) {
    for (const span of [300, 900, 3600]) {
      const { ticks } = timeTicks(1000.5, 1000.5 + span, width);
      assert.equal(ticks.at(-1), 1000.5 + span);
      assert.ok(ticks.length <= width / 84 + 2);
    }
  }
  assert.ok(timeTicks(0, 300, 1800).stepS < 60);
  assert.ok(timeTicks(0, 3600, 600).stepS >= 60);
});

test("a range of any length has few ticks, within it and ascending", () => {
  for (const width of [120, 320, 600, 1800]) {
    for (let span = 0.5; span < 4e8; span *= 1.7) {
      const min = 1_795_348_801.25;
      const { ticks } = timeTicks(min, min + span, width, { hasNow: false });
      assert.ok(ticks.length <= width / 84 + 2, `${span} ${ticks.length}`);
      assert.ok(ticks.every((tick, at) => tick >= min && tick <= min + span && (at === 0 || tick > ticks[at - 1])));
    }
  }
});

test("days begin at midnight of the reader's wall clock, months on their first", () => {
  const DAY = 86_400;
  const offsetS = () => 3_600;
  const week = timeTicks(1_795_348_800, 1_795_348_800 + 7 * DAY, 800, { offsetS, hasNow: false });
  assert.equal(week.stepS, DAY);
  assert.ok(week.ticks.every((tick) => (tick + 3_600) % DAY === 0));
  const year = timeTicks(1_795_348_800, 1_795_348_800 + 365 * DAY, 800, { hasNow: false });
  assert.ok(year.ticks.length >= 4);
  assert.ok(year.ticks.every((tick) => new Date(tick * 1000).getUTCDate() === 1));
});

test("the width of a bucket is round, and there are not too many", () => {
  for (const [span, most, step] of [[300_000, 1_120, 500], [900_000, 1_120, 1_000], [3_600_000, 1_120, 5_000], [1_000, 2_000, 0.5], [2_592_000_000, 1_120, 5_000_000]]) {
    assert.equal(niceStep(span, most), step);
  }
  for (let span = 10; span < 4e11; span *= 1.37) assert.ok(span / niceStep(span, 1_000) <= 1_000.001);
});

test("devices of one chart differ in hue or dash, hues first", () => {
  const slugs = Array.from({ length: MOST_LINES }, (_, at) => `device-${at}`);
  const styles = assignStyles(slugs);
  assert.equal(new Set([...styles.values()].map((style) => `${style.hue} ${style.dash}`)).size, MOST_LINES);
  for (const style of assignStyles(slugs.slice(0, 6)).values()) assert.equal(style.dash, 0);
});

test("a device keeps its hue whatever order it is named in", () => {
  const slugs = ["b", "a", "c"];
  assert.deepEqual(assignStyles(slugs), assignStyles([...slugs].reverse()));
});

test("a device has one hue alone and among others, unless a fourth wants it too", () => {
  const slugs = ["boiler", "fan", "pump-1", "pump-2", "pump-7", "cold-room", "meter-13", "a", "b", "c"];
  const wanted = new Map(slugs.map((slug) => [slug, assignStyles([slug]).get(slug).hue]));
  const together = assignStyles(slugs);
  for (const hue of new Set(wanted.values())) {
    const same = slugs.filter((slug) => wanted.get(slug) === hue);
    assert.ok(same.length <= 3, "the example has too many of one hue");
    for (const slug of same) assert.equal(together.get(slug).hue, hue);
  }
  assert.equal(wanted.get("pump-1"), wanted.get("pump-7"));
});

test("more devices than styles is still an answer", () => {
  const slugs = Array.from({ length: 40 }, (_, at) => `d${at}`);
  for (const { hue, dash } of assignStyles(slugs).values()) assert.ok(hue >= 1 && hue <= 6 && dash <= 2);
});
