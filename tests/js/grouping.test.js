import assert from "node:assert/strict";
import test from "node:test";
import { byDevice, chosen, readGrouping, writeGrouping } from "../../telemetry/static/telemetry/js/grouping.js";

const line = (id, slug) => ({ id, slug, device: slug.toUpperCase(), style: { hue: 1, dash: 0 } });
const SPECS = [
  { place: "t", key: "temp\u0000°C", name: "temp", unit: "°C", kind: "number", title: "Temperature", lines: [line(1, "b"), line(2, "a")] },
  { place: "r", key: "return\u0000°C", name: "return", unit: "°C", kind: "number", title: "return", lines: [line(3, "a")] },
  { place: "p", key: "power\u0000W", name: "power", unit: "W", kind: "number", title: "power", lines: [line(4, "a")] },
  { place: "d", key: "door\u0000", name: "door", unit: "", kind: "boolean", title: "door", lines: [line(5, "a")] },
];

test("the address says how it is grouped and which metrics are wanted", () => {
  assert.deepEqual(readGrouping("?from=now-1h&to=now"), { isByDevice: false, metrics: null });
  assert.deepEqual(readGrouping("?by=device&m=temp,power"), { isByDevice: true, metrics: new Set(["temp", "power"]) });
  assert.deepEqual(readGrouping("?by=nonsense&m=,"), { isByDevice: false, metrics: null });
});

test("another grouping keeps what else the address says, as people wrote it", () => {
  const search = "?from=2026-11-22T14:03:00Z&to=now&m=temp,power";
  assert.equal(writeGrouping(search, { isByDevice: true }), `${search}&by=device`);
  assert.equal(writeGrouping(`${search}&by=device`, { isByDevice: false }), search);
  assert.equal(writeGrouping("?by=device", { isByDevice: false }), "");
});

test("of metrics that nobody has all are shown", () => {
  assert.deepEqual(chosen(SPECS, new Set(["power"])).map((spec) => spec.name), ["power"]);
  assert.equal(chosen(SPECS, new Set(["nonsense"])), SPECS);
  assert.equal(chosen(SPECS, null), SPECS);
});

test("by device there is one display for each unit and kind, its lines are the metrics", () => {
  const found = byDevice(SPECS);
  assert.deepEqual(found.map((spec) => [spec.title, spec.unit, spec.kind]), [
    ["A", "°C", "number"], ["A", "W", "number"], ["A", "", "boolean"], ["B", "°C", "number"],
  ]);
  assert.deepEqual(found[0].lines.map((one) => [one.id, one.device]), [[2, "Temperature"], [3, "return"]]);
  assert.deepEqual(found[0].query, { device: "a", unit: "°C", m: "temp,return" });
});

test("a metric has the same colour in the charts of all devices", () => {
  const [first, , , last] = byDevice(SPECS);
  assert.deepEqual(first.lines[0].style, last.lines[0].style);
  assert.notDeepEqual(first.lines[0].style, first.lines[1].style);
});
