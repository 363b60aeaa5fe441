import assert from "node:assert/strict";
import test from "node:test";
import { offsetMs, writeWall } from "../../telemetry/static/telemetry/js/zone.js";

const HOUR = 3_600_000;

test("an offset is that of its moment, before 1970 too", () => {
  assert.equal(offsetMs(Date.UTC(2026, 6, 1), "Europe/Berlin"), 2 * HOUR);
  assert.equal(offsetMs(Date.UTC(2026, 0, 1) + 0.25, "Europe/Berlin"), HOUR);
  assert.equal(offsetMs(-1, "UTC"), 0);
});

test("a datetime-local input gets whole seconds", () => {
  assert.equal(writeWall(Date.UTC(2026, 10, 22, 14, 3, 5, 250), "Europe/Berlin"), "2026-11-22T15:03:05");
});
