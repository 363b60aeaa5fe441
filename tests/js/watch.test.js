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
  };
  let revision = 1;
  const update = (rows) => { revision += 1; take({ type: "update", revision, time: time.now, rows }); };
  const snapshot = (series, rows, devices) => take({ type: "snapshot", revision: 1, series, rows, devices, more: false });
  return { time, watch, socket, update, snapshot };
}

const PUMP = ["pump", "Pump", true, 0, 1_000_000, false, null];

test("a device that sends ten readings every ten seconds stays live between them", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", ""]], [], [PUMP]);
  for (let batch = 0; batch < 5; batch += 1) {
    time.now += 10_000;
    update([[1, time.now, 1, 1, 1, 10]]);
  }
  time.now += 9_900;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "live");
  time.now += 30_000;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "late");
});

test("a period that somebody has set is taken at its word", () => {
  const { time, watch, update, snapshot } = setUp();
  snapshot([[1, "pump", "t", ""]], [], [["pump", "Pump", true, 0, 0, false, 1]]);
  update([[1, time.now, 1]]);
  time.now += 6_000;
  watch.judgeAll();
  assert.equal(watch.stateOf("pump"), "late");
  assert.deepEqual(watch.periodOf(watch.devices()[0]), { ms: 1000, isEstimated: false });
});

test("there is one display for each name, unit and kind; numbers first", () => {
  const { watch, snapshot } = setUp([["temp", "°C", "Temperature", "number", 1]]);
  snapshot(
    [[1, "pump", "temp", "°C"], [2, "pump", "temp", "°F"], [3, "pump", "door", ""], [4, "pump", "mode", ""], [5, "pump", "never", ""], [6, "fan", "temp", "°C"]],
    [[1, 1, 20], [2, 1, 68], [3, 1, true], [4, 1, "on"], [6, 1, 21]],
    [PUMP, ["fan", "Fan", true, 0, 0, false, null]],
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
