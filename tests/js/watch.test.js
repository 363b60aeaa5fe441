import assert from "node:assert/strict";
import test from "node:test";
import { Store } from "../../telemetry/static/telemetry/js/store.js";
import { Watch } from "../../telemetry/static/telemetry/js/watch.js";

function setUp(catalogue = []) {
  const time = { now: 1_000_000 };
  const store = new Store();
  const socket = { clock: () => time.now, hubNow: () => time.now, phase: "open", isInSync: true, get heardMs() { return time.heard ?? time.now; }, offsetMs: 0 };
  const watch = new Watch({ group: "g", store, socket, zone: "UTC", catalogue, language: "en" });
  const take = (message) => {
    const change = store.apply({ group: "g", ...message }, time.now);
    watch.note(change.rows, change.kind === "update");
    watch.judgeAll();
    return change;
  };
  let revision = 1;
  const send = (rest) => { revision += 1; return take({ type: "update", revision, time: time.now, ...rest }); };
  const update = (rows) => send({ rows });
  const snapshot = (series, rows, devices) => take({ type: "snapshot", revision: 1, series, rows, devices, more: false });
  return { time, watch, socket, send, update, snapshot };
}

const PUMP = ["pump", "Pump", true, 0, 1_000_000, false, null, true];

const pump = (periodS, isEstimated = true, rest = {}) => Object.assign([...PUMP], { 6: periodS, 7: isEstimated }, rest);

test("a device is judged by the period that the hub says, and says why", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", "", 1]], [], [pump(10)]);
  update([[1, time.now, 1, 1, 1, 10]]);
  time.now += 9_900;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "live");
  time.now += 30_000;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "late");
  assert.equal(
    watch.evidenceOf(watch.devices()[0]),
    "Late: last reading 40 s ago, one expected every 10 s (estimated). Connected.",
  );
});

test("another period, of a device or of a series, is taken over and changes no display", () => {
  const { time, watch, snapshot, send } = setUp();
  snapshot([[1, "pump", "t", "", null]], [[1, time.now - 20_000, 1]], [pump(null)]);
  assert.equal(watch.stateOf("pump"), "live");
  assert.equal(watch.periodMs("pump", 1), null);
  const change = send({ rows: [], series: [[1, "pump", "t", "", 1]], devices: [pump(1)] });
  assert.equal(change.isNewStructure, false);
  assert.equal(watch.stateOf("pump"), "late");
  assert.equal(watch.ownPeriodMs(1), 1_000);
});

test("a value is old by its own series' period, not by a faster one of its device", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", "", 1], [2, "pump", "battery", "", 600]], [[2, time.now, 3.7]], [pump(1)]);
  for (let second = 0; second < 100; second += 1) {
    time.now += 1_000;
    update([[1, time.now, 1]]);
  }
  assert.equal(watch.isOldValue({ id: 2, slug: "pump" }), false);
  for (let second = 0; second < 1_800; second += 1) {
    time.now += 1_000;
    update([[1, time.now, 1]]);
  }
  assert.equal(watch.isOldValue({ id: 2, slug: "pump" }), true);
  assert.equal(watch.isOldValue({ id: 1, slug: "pump" }), false);
});

test("a device that hovers at the limit does not flip with every look", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", "", 1]], [], [pump(1, false)]);
  let [flips, before] = [0, null];
  for (let halfS = 0; halfS < 240; halfS += 1) {
    if (halfS % 11 === 0) update([[1, time.now, 1]]);
    time.now += 500;
    watch.judgeAll();
    if (before !== null && watch.stateOf("pump") !== before) flips += 1;
    before = watch.stateOf("pump");
  }
  assert.ok(flips <= 3, `${flips} flips`);
  assert.equal(before, "late");
});

test("there is one display for each name, unit and kind; numbers first", () => {
  const { watch, snapshot } = setUp([["temp", "°C", "Temperature", "number", 1]]);
  snapshot(
    [[1, "pump", "temp", "°C"], [2, "pump", "temp", "°F"], [3, "pump", "door", ""], [4, "pump", "mode", ""], [5, "pump", "never", ""], [6, "fan", "temp", "°C"]],
    [[1, 1, 20], [2, 1, 68], [3, 1, true], [4, 1, "on"], [6, 1, 21]],
    [PUMP, ["fan", "Fan", true, 0, 0, false, null, true]],
  );
  const specs = watch.specs((slugs) => new Map(slugs.map((slug) => [slug, { hue: 1, dash: 0 }])));
  assert.deepEqual(specs.map((spec) => [spec.title, spec.unit, spec.kind]), [
    ["Temperature", "°C", "number"], ["temp", "°F", "number"], ["door", "", "boolean"], ["mode", "", "text"],
  ]);
  assert.deepEqual(specs[0].lines.map((line) => line.device), ["Fan", "Pump"]);
  assert.equal(watch.format(20, specs[0]), "20.0");
});

test("readings a second count what was merged", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", ""]], [[1, 1, 1]], [PUMP]);
  assert.equal(watch.readingsPerSecond, 0);
  for (let frame = 0; frame < 20; frame += 1) {
    time.now += 250;
    update([[1, time.now, 1, 1, 1, 25]]);
  }
  assert.ok(Math.abs(watch.readingsPerSecond - 100) < 10);
});

test("what was missed while away is as old as the loss, though the hub is heard again", () => {
  const { time, watch, socket } = setUp();
  watch.trueMs = time.now - 60_000;
  socket.isInSync = false;
  assert.deepEqual(watch.freshness(), { isLive: false, isStale: true, fromMs: time.now - 60_000 });
  watch.trueMs = null;
  socket.isInSync = true;
  assert.equal(watch.freshness().isLive, true);
});

test("when the hub is lost the states stay what they were: nobody knows more", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", ""]], [], [PUMP]);
  update([[1, time.now, 1]]);
  time.heard = time.now;
  time.now += 600_000;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "live");
  assert.equal(watch.freshness().isStale, true);
});
