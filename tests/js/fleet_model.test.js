import assert from "node:assert/strict";
import test from "node:test";
import { Fleet, metricsOf } from "../../telemetry/static/telemetry/js/fleet_model.js";
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
  return { fleet, store, say, pump: () => fleet.bySlug.get("pump"), door: () => fleet.bySlug.get("door") };
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

test("who has no metric that is followed is judged by the hub's last answer", () => {
  const { fleet, say, pump } = live();
  fleet.take(answer({ flags: [0, 2 + 8] }));
  say(snapshot({ rows: [] }));
  fleet.judgeAll(NOW + 60_000);
  assert.deepEqual([pump().state, fleet.isFollowed(pump())], ["live", false]);
  fleet.take(answer());
  fleet.judgeAll(NOW + 60_000);
  assert.deepEqual([pump().state, fleet.isFollowed(pump())], ["late", true]);
  // That it is paused comes live, and time changes nothing of it.
  fleet.take(answer({ flags: [0, 8] }));
  say(snapshot({ devices: [["pump", "Pump 1", false, NOW, NOW, true, 1, true]] }));
  assert.equal(fleet.isFollowed(pump()), true);
});

test("who is in no group any more is let go of, and the hub is asked", () => {
  const { fleet, store, say, pump } = live();
  say(snapshot());
  fleet.letGo([...store.groups.values()]);
  assert.equal(fleet.isIncomplete, false);
  say(snapshot({ revision: 2, series: [], devices: [], rows: [] }));
  fleet.letGo([...store.groups.values()]);
  assert.equal(fleet.isIncomplete, true);
  fleet.judgeAll(NOW + 60_000);
  assert.deepEqual([pump().device, pump().state], [null, "live"]);
  // Still there, for one who sees those without a group: as the answer says.
  fleet.take(answer({ flags: [0, 1] }));
  fleet.judgeAll(NOW + 60_000);
  assert.deepEqual([pump().state, pump().cells[0].value, fleet.isIncomplete], ["paused", 21.5, false]);
  fleet.take(answer({ slug: ["door"], in: [[]] }));
  assert.deepEqual(fleet.rows.map(({ slug }) => slug), ["door"]);
});

test("who is left in one of its groups stays", () => {
  const { fleet, store, say, pump } = live();
  say(snapshot());
  say(snapshot({ group: "yard" }));
  store.apply({ type: "reset", group: "plant", reason: "forbidden" });
  fleet.letGo([...store.groups.values()]);
  assert.deepEqual([pump().device !== null, fleet.isIncomplete], [true, false]);
  fleet.letGo([]);
  assert.deepEqual([pump().device, fleet.isIncomplete], [null, true]);
});

const MANY = Array.from({ length: 32 }, (_, at) => `m${at}`);
for (const [what, followed, before, expected] of [
  ["none is known: all", [], null, null],
  ["none is left: all", [], ["a"], null],
  ["the first", ["a"], null, ["a"]],
  ["one more", ["a", "b"], ["a"], ["a", "b"]],
  ["one less: as before", ["a"], ["b", "a"], ["b", "a"]],
  ["no more than there is room for", ["new"], MANY, ["new", ...MANY.slice(0, 31)]],
]) {
  test(`metrics to subscribe to: ${what}`, () => assert.deepEqual(metricsOf(followed, before), expected));
}
