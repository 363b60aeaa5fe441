import assert from "node:assert/strict";
import test from "node:test";
import { Habits, usualPeriodMs, WINDOWS_MS } from "../../telemetry/static/telemetry/js/habits.js";
import { Store } from "../../telemetry/static/telemetry/js/store.js";
import { Watch } from "../../telemetry/static/telemetry/js/watch.js";

const NOW = 1_795_351_535_000;
const MINUTE = 60_000;
const every = (periodMs, lastMs, count) => Array.from({ length: count }, (_, at) => lastMs - (count - 1 - at) * periodMs);

// What the hub would answer: readings where they are few, else buckets.
function history(sent) {
  const asked = [];
  return {
    asked,
    async load({ fromMs, toMs, points }) {
      asked.push(toMs - fromMs);
      const within = Object.entries(sent).map(([id, times]) => [id, times.filter((ms) => ms >= fromMs && ms < toMs)]);
      if (within.every(([, times]) => times.length <= points)) {
        return { series: Object.fromEntries(within.map(([id, times]) => [id, { times, values: times }])) };
      }
      const widthMs = Math.ceil((toMs - fromMs) / points / 10_000) * 10_000;
      return { series: Object.fromEntries(within.map(([id, times]) => {
        const counts = new Map();
        for (const ms of times) {
          const start = Math.floor(ms / widthMs) * widthMs;
          counts.set(start, (counts.get(start) ?? 0) + 1);
        }
        return [id, { starts: [...counts.keys()], count: [...counts.values()] }];
      })) };
    },
  };
}

function setUp(sent, { period = null } = {}) {
  const socket = { clock: () => NOW, hubNow: () => NOW, phase: "open", isInSync: true, heardMs: NOW, offsetMs: 0 };
  const store = new Store();
  const watch = new Watch({ group: "g", store, socket, zone: "UTC", catalogue: [], language: "en" });
  const ids = Object.keys(sent).map(Number);
  const change = store.apply({
    type: "snapshot", group: "g", revision: 1, more: false,
    series: ids.map((id) => [id, "pump", `m${id}`, ""]),
    rows: ids.map((id) => [id, sent[id].at(-1), 1]),
    devices: [["pump", "Pump", false, null, NOW, false, period]],
  }, NOW);
  watch.note(change.rows, false);
  watch.judgeAll();
  const asking = history(sent);
  return { watch, asking, habits: new Habits({ history: asking, watch }) };
}

test("a fast series that fell silent is what its device is judged by, not a slow one", async () => {
  const sent = { 1: every(20_000, NOW - 4 * MINUTE, 5_000), 2: every(15 * MINUTE, NOW - 5 * MINUTE, 900) };
  const { watch, asking, habits } = setUp(sent);
  await habits.load();
  assert.equal(watch.periodOf(watch.devices()[0]).ms, 20_000);
  assert.equal(watch.stateOf("pump"), "offline");
  assert.equal(asking.asked.length, 2);
});

test("a slow device is live between two readings", async () => {
  const { watch, habits } = setUp({ 1: every(15 * MINUTE, NOW - 14 * MINUTE, 900) });
  assert.equal(watch.stateOf("pump"), "offline");
  await habits.load();
  assert.equal(watch.periodOf(watch.devices()[0]).ms, 15 * MINUTE);
  assert.equal(watch.stateOf("pump"), "live");
});

test("a series that stopped before the window that tells counts no more", async () => {
  const sent = { 1: every(1_000, NOW - 60 * MINUTE, 5_000), 2: every(10_000, NOW - 8_000, 500) };
  const { watch, habits } = setUp(sent);
  await habits.load();
  assert.equal(watch.periodOf(watch.devices()[0]).ms, 10_000);
  assert.equal(watch.stateOf("pump"), "live");
});

test("nothing is asked of devices whose period somebody has set, or that are long gone", async () => {
  const set = setUp({ 1: every(1_000, NOW, 9) }, { period: 5 });
  await set.habits.load();
  const gone = setUp({ 1: every(1_000, NOW - WINDOWS_MS.at(-1) - 1, 9) });
  await gone.habits.load();
  assert.deepEqual([set.asking.asked, gone.asking.asked], [[], []]);
});

test("what the hub refuses stays unknown", async () => {
  const { watch } = setUp({ 1: every(1_000, NOW, 9) });
  let count = 0;
  const refusing = { load: async () => { count += 1; throw new Error("413"); } };
  await new Habits({ history: refusing, watch }).load();
  assert.equal(count, 1);
  assert.equal(watch.periodOf(watch.devices()[0]).ms, null);
});

const CASES = [
  ["three readings", { times: [0, 1_000, 2_000] }, null],
  ["four readings", { times: [0, 1_000, 2_000, 3_000] }, 1_000],
  ["equal times", { times: [0, 0, 0, 0, 0] }, null],
  ["one bucket, not full yet", { starts: [0], count: [50] }, null],
  ["buckets of a minute, each of three", { starts: [0, 60_000, 120_000], count: [3, 3, 1] }, 20_000],
  ["buckets with one reading", { starts: [0, 900_000, 1_800_000, 2_700_000], count: [1, 1, 1, 1] }, 900_000],
  ["nothing", { times: [] }, null],
];
for (const [what, one, periodMs] of CASES) {
  test(`${what}: ${periodMs}`, () => assert.equal(usualPeriodMs(one), periodMs));
}
