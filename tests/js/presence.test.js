import assert from "node:assert/strict";
import test from "node:test";
import { countStates, judge, lateAfterMs, PeriodEstimate } from "../../telemetry/static/telemetry/js/presence.js";

const NOW = 1_000_000_000;
const facts = (rest) => ({
  isPaused: false, isOnline: true, changedMs: NOW - 600_000, lastSeenMs: NOW, lastReadingMs: NOW - 500, periodMs: 1000, ...rest,
});
const HOUR = 3_600_000;

const CASES = [
  ["a reading a moment ago", {}, "live"],
  ["silent for five seconds at one a second", { lastReadingMs: NOW - 5_000 }, "live"],
  ["silent for longer than that", { lastReadingMs: NOW - 5_001 }, "late"],
  ["silent for two of its ten seconds", { lastReadingMs: NOW - 20_000, periodMs: 10_000 }, "live"],
  ["silent for more than three of its ten seconds", { lastReadingMs: NOW - 30_001, periodMs: 10_000 }, "late"],
  ["nobody knows its period", { lastReadingMs: NOW - 59_000, periodMs: null }, "live"],
  ["nobody knows its period, and it is silent", { lastReadingMs: NOW - 61_000, periodMs: null }, "late"],
  ["gone for 20 s, and nobody knows its period", { isOnline: false, changedMs: NOW - 20_000, lastReadingMs: NOW - 20_000, periodMs: null }, "offline"],
  ["sends by HTTP, and nobody knows its period", { isOnline: false, changedMs: null, lastReadingMs: NOW - 50_000, periodMs: null }, "live"],
  ["just connected, old readings", { changedMs: NOW - 1_000, lastReadingMs: NOW - HOUR }, "live"],
  ["connected, and nothing was ever read", { lastReadingMs: null }, "late"],
  ["connected just now, nothing was read yet", { changedMs: NOW - 1_000, lastReadingMs: null }, "live"],
  ["never seen", { isOnline: false, changedMs: null, lastSeenMs: null, lastReadingMs: null }, "new"],
  ["closed a moment ago", { isOnline: false, changedMs: NOW - 1_000 }, "live"],
  ["closed ten seconds ago", { isOnline: false, changedMs: NOW - 10_000, lastReadingMs: NOW - 10_000 }, "late"],
  ["closed for longer than the grace", { isOnline: false, changedMs: NOW - 15_001, lastReadingMs: NOW - 15_001 }, "offline"],
  ["a sleeper between two readings", { isOnline: false, changedMs: NOW - HOUR, lastReadingMs: NOW - HOUR, periodMs: HOUR }, "live"],
  ["a sleeper that missed three", { isOnline: false, changedMs: NOW - 4 * HOUR, lastReadingMs: NOW - 4 * HOUR, periodMs: HOUR }, "offline"],
  ["sends by HTTP, never had a socket", { isOnline: false, changedMs: null, lastReadingMs: NOW - 2_000 }, "live"],
  ["sent by HTTP an hour ago", { isOnline: false, changedMs: null, lastReadingMs: NOW - HOUR }, "offline"],
  ["paused, whatever else", { isPaused: true, isOnline: false, lastReadingMs: null }, "paused"],
];

for (const [what, rest, state] of CASES) {
  test(`${what}: ${state}`, () => assert.equal(judge(facts(rest), NOW), state));
}

test("no device is late before five seconds", () => {
  assert.equal(lateAfterMs(100), 5_000);
  assert.equal(lateAfterMs(2_000), 6_000);
});

test("the period is the median of the last twenty intervals", () => {
  const estimate = new PeriodEstimate();
  for (const time of [0, 1000, 2000]) estimate.note(time);
  assert.equal(estimate.periodMs, null);
  estimate.note(3000);
  assert.equal(estimate.periodMs, 1000);
  for (let i = 1; i <= 20; i += 1) estimate.note(3000 + i * 500);
  assert.equal(estimate.periodMs, 500);
  estimate.note(60_000);
  assert.equal(estimate.periodMs, 500);
});

test("a merged row counts as its readings", () => {
  const estimate = new PeriodEstimate();
  for (const time of [0, 1000, 2000, 3000]) estimate.note(time, 10);
  assert.equal(estimate.periodMs, 100);
});

test("what is stored says the period until live readings have said enough", () => {
  const estimate = new PeriodEstimate();
  estimate.note(50_000);
  estimate.suppose(10_000);
  assert.equal(estimate.periodMs, 10_000);
  for (const time of [55_000, 60_000, 65_000]) estimate.note(time);
  assert.equal(estimate.periodMs, 5_000);
});

test("states are counted, also those that no device is in", () => {
  assert.deepEqual(countStates(["live", "late", "live"]), { live: 2, late: 1, offline: 0, new: 0, paused: 0 });
});
