import assert from "node:assert/strict";
import { test } from "node:test";

import { ageText, Tiles } from "../../telemetry/static/telemetry/js/tiles.js";

const NOW = 1_795_348_800_000;
const HOUR = 3_600_000;
const head = (value, agoMs) => ({ value, time: NOW - agoMs, heardMs: NOW - agoMs });

test("a number has the age of its reading", () => {
  assert.equal(ageText(head(21.5, 22_000), undefined, true, NOW), "22 s ago");
});

test("a boolean says when it changed, and an old one how old it is as well", () => {
  const held = { value: true, sinceMs: NOW - 2 * HOUR, isLeast: false };
  assert.equal(ageText(head(true, 400), held, false, NOW), "changed 2 h ago");
  assert.equal(ageText(head(true, 22_000), held, true, NOW), "22 s ago, changed 2 h ago");
});

test("what may have been so before says so", () => {
  const held = { value: "ok", sinceMs: NOW - 5 * 24 * HOUR, isLeast: true };
  assert.equal(ageText(head("ok", 400), held, false, NOW), "the same for 5 d");
});

test("until the hub has looked there is only the age", () => {
  assert.equal(ageText(head(true, 400), { value: true, sinceMs: null }, false, NOW), "0.4 s ago");
});

test("one age is enough for the reading that changed it", () => {
  const held = { value: "off", sinceMs: NOW - 90_000, isLeast: false };
  assert.equal(ageText(head("off", 90_000), held, true, NOW), "changed 90 s ago");
});

const row = (value, time, rest = {}) => ({ id: 7, value, min: value, max: value, time, count: 1, ...rest });
const tiles = () => new Tiles(null, { head: () => ({ value: true }) });

test("a value that comes again has not changed", () => {
  const some = tiles();
  some.note([row(true, NOW)]);
  some.learn({ 7: [NOW - HOUR, false] });
  some.note([row(true, NOW + 1_000)]);
  assert.equal(some.held.get(7).sinceMs, NOW - HOUR);
});

test("another value has changed with its reading, also within a merged row", () => {
  const some = tiles();
  some.note([row(true, NOW)]);
  some.note([row(false, NOW + 1_000)]);
  assert.deepEqual(some.held.get(7), { value: false, sinceMs: NOW + 1_000, isLeast: false });
  some.note([row(false, NOW + 2_000, { min: false, max: true, count: 4 })]);
  assert.equal(some.held.get(7).sinceMs, NOW + 2_000);
});

test("what changed while the hub looked stays", () => {
  const some = tiles();
  some.note([row(true, NOW)]);
  some.note([row(false, NOW + 1_000)]);
  some.learn({ 7: [NOW - HOUR, false] });
  assert.equal(some.held.get(7).sinceMs, NOW + 1_000);
});
