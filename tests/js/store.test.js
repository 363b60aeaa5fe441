import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { Store } from "../../telemetry/static/telemetry/js/store.js";

const CASES = new URL("../protocol_cases/", import.meta.url);

function held(store) {
  return Object.fromEntries([...store.groups].map(([name, group]) => [name, {
    revision: group.revision,
    rows: Object.fromEntries([...group.rows].map(([id, row]) => [id, [row.time, row.value]])),
  }]));
}

for (const file of readdirSync(CASES).filter((name) => /^live_store_.*\.json$/.test(name))) {
  const found = JSON.parse(readFileSync(new URL(file, CASES)));
  for (const one of Array.isArray(found) ? found : [found]) {
    test(`${file}: ${one.name}`, () => {
      const store = new Store();
      for (const message of one.messages) store.apply(message);
      assert.deepEqual(held(store), one.expect);
    });
  }
}

const WELCOME = { type: "welcome", epoch: "e1", time: 0 };
const snapshot = (rest) => ({ type: "snapshot", group: "g", revision: 5, series: [[1, "pump", "temp", "°C", null]], rows: [[1, 1000, 20]], more: false, ...rest });
const update = (rest) => ({ type: "update", group: "g", revision: 6, time: 2000, rows: [[1, 2000, 21]], ...rest });

test("a snapshot in pages counts when its last page is here", () => {
  const store = new Store();
  assert.equal(store.apply(snapshot({ more: true })), null);
  assert.equal(store.groups.size, 0);
  const change = store.apply(snapshot({ series: [[2, "pump", "door", "", null]], rows: [[2, 1500, true]] }));
  assert.equal(change.ack, 5);
  assert.deepEqual(held(store).g.rows, { 1: [1000, 20], 2: [1500, true] });
});

test("half a snapshot of a socket that has ended is forgotten", () => {
  const store = new Store();
  store.apply(snapshot({ more: true, rows: [[1, 1000, 99]] }));
  store.forgetPages();
  store.apply(snapshot({ rows: [] }));
  assert.deepEqual(held(store).g.rows, {});
});

test("a snapshot takes away what is no longer there", () => {
  const store = new Store();
  store.apply(snapshot());
  store.apply(snapshot({ revision: 2, series: [], rows: [] }));
  assert.deepEqual(held(store), { g: { revision: 2, rows: {} } });
});

test("an update that was applied before changes nothing, and is acknowledged", () => {
  const store = new Store();
  store.apply(snapshot());
  store.apply(update({ revision: 9, rows: [[1, 9000, 29]] }));
  const change = store.apply(update());
  assert.equal(change.ack, 6);
  assert.deepEqual(change.rows, []);
  assert.deepEqual(held(store).g, { revision: 9, rows: { 1: [9000, 29] } });
});

test("an update before any snapshot is not taken for the state", () => {
  const store = new Store();
  assert.equal(store.apply(update()).ack, 6);
  assert.equal(store.groups.size, 0);
});

test("an empty update is a heartbeat: it is acknowledged", () => {
  const store = new Store();
  store.apply(snapshot());
  assert.equal(store.apply(update({ revision: 5, rows: [] })).ack, 5);
});

test("a group that may not be seen any more is forgotten", () => {
  const store = new Store();
  store.apply(snapshot());
  assert.equal(store.apply({ type: "reset", group: "g", reason: "forbidden" }).reason, "forbidden");
  assert.equal(store.groups.size, 0);
});

test("after a gap the old state stays until the new snapshot is here", () => {
  const store = new Store();
  store.apply(snapshot());
  store.apply({ type: "reset", group: "g", reason: "gap" });
  assert.equal(held(store).g.revision, 5);
});

test("resuming says the epoch and the revisions that are held", () => {
  const store = new Store();
  assert.equal(store.resume(["g"]), null);
  store.apply(WELCOME);
  assert.equal(store.resume(["g"]), null);
  store.apply(snapshot());
  assert.deepEqual(store.resume(["g", "other"]), { epoch: "e1", revisions: { g: 5 } });
});

test("a reading is never heard later than it came, nor later than it was read", () => {
  const store = new Store();
  const devices = [["pump", "Pump", true, 0, 1200, false, null, true]];
  store.apply(snapshot({ devices, rows: [[1, 9_000_000, 20]] }), 5000);
  assert.equal(store.groups.get("g").rows.get(1).heardMs, 1200);
  store.apply(update({ rows: [[1, 9_000_000, 21]] }), 7000);
  assert.equal(store.groups.get("g").rows.get(1).heardMs, 2000);
  store.apply(update({ revision: 7, time: 8000, rows: [[1, 500, 22]] }), 8000);
  assert.equal(store.groups.get("g").rows.get(1).heardMs, 500);
});

test("devices come with snapshots and updates, the newest word counts", () => {
  const store = new Store();
  store.apply(snapshot({ devices: [["pump", "Pump", true, 0, 0, false, 1, false]] }));
  store.apply(update({ devices: [["pump", "Pump 1", false, 9, 0, false, 1, false]] }));
  const device = store.groups.get("g").devices.get("pump");
  assert.equal(device.name, "Pump 1");
  assert.equal(device.isOnline, false);
});

test("a series that comes again has another period, and is no new one", () => {
  const store = new Store();
  store.apply(snapshot());
  const again = store.apply(update({ series: [[1, "pump", "temp", "°C", 5]] }));
  assert.equal(again.isNewStructure, false);
  assert.equal(store.groups.get("g").series.get(1).periodMs, 5_000);
  const more = store.apply(update({ revision: 7, series: [[2, "pump", "door", "", null]] }));
  assert.equal(more.isNewStructure, true);
});
