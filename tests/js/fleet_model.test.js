import assert from "node:assert/strict";
import test from "node:test";
import { Fleet } from "../../telemetry/static/telemetry/js/fleet_model.js";
import { Store } from "../../telemetry/static/telemetry/js/store.js";

const NOW = 1_000_000;

// Two devices, as /fleet.json says: pump sends temp, door is new.
const answer = (rest = {}) => ({
  now: NOW,
  columns: [["temp", "Temperature", "°C", "number", null], ["hum", "hum", "%", "number", null]],
  followed: ["temp", "hum"],
  groups: [["plant", "Plant A"], ["yard", "Yard"]],
  slug: ["door", "pump"],
  name: [0, "Pump 1"],
  serial: { 1: "SN-1" },
  tags: {},
  in: [[], [0, 1]],
  flags: [0, 6],
  changed: [null, 60_000],
  seen: [null, 500],
  last: [null, 500],
  period: [null, 1_000],
  cells: [
    { id: [null, 7], value: [null, 21.5], heard: [null, 500], unit: {} },
    { id: [null, null], value: [null, null], heard: [null, null], unit: {} },
  ],
  ...rest,
});

const DEVICE = ["pump", "Pump 1", true, NOW - 60_000, NOW, false, 1, true];
const snapshot = (rest = {}) => ({
  type: "snapshot", group: "plant", revision: 1, more: false,
  series: [[7, "pump", "temp", "°C", 1]], devices: [DEVICE], rows: [[7, NOW + 1_000, 22]], ...rest,
});

function live() {
  const fleet = new Fleet();
  const store = new Store();
  const say = (message) => fleet.put(store.apply(message, NOW + 1_000), store.groups.get(message.group));
  fleet.take(answer());
  return { fleet, say, pump: () => fleet.bySlug.get("pump"), door: () => fleet.bySlug.get("door") };
}

test("the hub's columns become rows", () => {
  const { fleet, pump, door } = live();
  fleet.judgeAll(NOW);
  assert.deepEqual([pump().name, pump().serial, pump().state, pump().lastReadingMs], ["Pump 1", "SN-1", "live", NOW - 500]);
  assert.deepEqual(pump().groups.map(({ name }) => name), ["Plant A", "Yard"]);
  assert.deepEqual([door().name, door().state, door().cells], ["door", "new", [null, null]]);
  assert.equal(pump().isEstimated, true);
});

test("live rows move values and what was heard, of its own metrics and others", () => {
  const { say, pump } = live();
  say(snapshot());
  assert.deepEqual([pump().cells[0].value, pump().lastReadingMs], [22, NOW + 1_000]);
  say({ type: "update", group: "plant", revision: 2, time: NOW + 3_000, series: [[9, "pump", "hum", "%"], [10, "pump", "power", "W"]], rows: [[9, NOW + 2_000, 40], [10, NOW + 3_000, 5]] });
  assert.deepEqual([pump().cells[1].value, pump().lastReadingMs], [40, NOW + 3_000]);
});

test("who is followed is judged by now, who is not by the hub's last answer", () => {
  const { fleet, say, pump, door } = live();
  fleet.take(answer({ last: [500, 500], period: [1_000, 1_000], flags: [2, 2], changed: [60_000, 60_000] }));
  say(snapshot());
  fleet.judgeAll(NOW + 20_000);
  assert.deepEqual([pump().state, door().state], ["late", "live"]);
});

test("a new answer does not take back what came live since", () => {
  const { fleet, say, pump } = live();
  say(snapshot());
  fleet.take(answer());
  assert.deepEqual([pump().cells[0].value, pump().lastReadingMs, pump().device !== null], [22, NOW + 1_000, true]);
  fleet.take(answer({ now: NOW + 60_000 }));
  assert.equal(pump().cells[0].value, 21.5);
});

test("a device that nobody told of asks for a new answer", () => {
  const { fleet, say } = live();
  say(snapshot());
  assert.equal(fleet.isIncomplete, false);
  say(snapshot({ revision: 2, devices: [DEVICE, ["fan", "Fan", true, NOW, NOW, false, null, false]] }));
  assert.equal(fleet.isIncomplete, true);
  fleet.take(answer());
  assert.equal(fleet.isIncomplete, false);
});

test("what the socket says of a device counts: paused, gone, renamed", () => {
  const { fleet, say, pump } = live();
  say(snapshot({ devices: [["pump", "Pump one", false, NOW, NOW, true, 5, false]] }));
  fleet.judgeAll(NOW);
  assert.deepEqual([pump().name, pump().state, pump().periodMs, pump().isEstimated], ["Pump one", "paused", 5_000, false]);
});

test("a column has the decimals that its values need", () => {
  const { fleet, say } = live();
  say(snapshot({ rows: [[7, NOW + 1_000, 22.25]] }));
  assert.equal(fleet.decimals[0].count, 2);
});
