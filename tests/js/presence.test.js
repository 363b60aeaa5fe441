import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { evidence, formatPeriod } from "../../telemetry/static/telemetry/js/evidence.js";
import { countStates, judge, lateAfterMs } from "../../telemetry/static/telemetry/js/presence.js";

const TABLE = JSON.parse(readFileSync(new URL("../golden/presence.json", import.meta.url)));
const NOW_MS = TABLE.now * 1000;

// isClock: times are seconds on a clock, else seconds ago.
function factsOf(row, isClock) {
  const moment = (seconds) => (seconds === null || seconds === undefined ? null : NOW_MS + (isClock ? 1 : -1) * Math.round(seconds * 1000));
  return {
    isPaused: row.paused ?? false,
    isOnline: row.online,
    changedMs: moment(row.changed),
    lastSeenMs: moment(row.seen === undefined ? row.reading : row.seen),
    lastReadingMs: moment(row.reading),
    periodMs: row.period === null ? null : row.period * 1000,
    isEstimated: row.estimated ?? false,
  };
}

for (const one of TABLE.cases) {
  test(`${one.name}: ${one.state}`, () => {
    const facts = factsOf(one, false);
    assert.equal(judge(facts, NOW_MS).state, one.state);
    if (one.says) assert.equal(evidence(facts, NOW_MS), one.says);
  });
}

for (const flow of TABLE.flows) {
  test(flow.name, () => {
    let row = flow.start;
    let before = null;
    for (const [seconds, changes, state, says] of flow.looks) {
      row = { ...row, ...changes };
      const nowMs = NOW_MS + Math.round(seconds * 1000);
      const facts = factsOf(row, true);
      before = judge(facts, nowMs, before);
      assert.equal(before.state, state, `after ${seconds} s`);
      assert.equal(judge(facts, nowMs, before).state, state);
      if (says) assert.equal(evidence(facts, nowMs, "UTC", before), says);
    }
  });
}

test("where nothing has changed the status is the same object", () => {
  const facts = factsOf(TABLE.cases[0], false);
  const before = judge(facts, NOW_MS);
  assert.equal(judge(facts, NOW_MS, before), before);
  const paused = { ...facts, isPaused: true };
  const still = judge(paused, NOW_MS, before);
  assert.equal(judge(paused, NOW_MS, still), still);
});

test("times are those of the zone that is asked for", () => {
  const facts = factsOf({ online: true, changed: 600, reading: 540, period: 1 }, false);
  assert.match(evidence(facts, NOW_MS, "Asia/Tokyo"), /22:54:21/);
});

test("no device is late before five seconds", () => {
  assert.equal(lateAfterMs(100), 5_000);
  assert.equal(lateAfterMs(2_000), 6_000);
  assert.equal(lateAfterMs(null), 60_000);
});

const PERIODS = [[1, "1 ms"], [99, "99 ms"], [100, "0.1 s"], [2_500, "2.5 s"], [119_000, "119 s"], [120_000, "2 min"], [3_599_000, "60 min"], [3_600_000, "1 h"], [86_400_000, "24 h"], [604_800_000, "7 d"]];
for (const [ms, text] of PERIODS) test(`${ms} ms is “${text}”`, () => assert.equal(formatPeriod(ms), text));

test("states are counted, also those that no device is in", () => {
  assert.deepEqual(countStates(["live", "late", "live"]), { live: 2, late: 1, offline: 0, new: 0, paused: 0 });
});
