import assert from "node:assert/strict";
import test from "node:test";
import { fromWallMs, offsetMs, readWall, toWallMs, writeWall } from "../../telemetry/static/telemetry/js/zone.js";

const HOUR = 3_600_000;

const WALLS = [
  ["2026-11-22T14:03", "UTC", "2026-11-22T14:03:00.000Z"],
  ["2026-11-22T14:03:05", "Europe/Berlin", "2026-11-22T13:03:05.000Z"],
  ["2026-07-01 14:03:05.250", "Europe/Berlin", "2026-07-01T12:03:05.250Z"],
  ["2026-11-22T14:03", "Asia/Kathmandu", "2026-11-22T08:18:00.000Z"],
  ["2026-11-22T14:03", "America/New_York", "2026-11-22T19:03:00.000Z"],
  // Skipped in spring: what the clocks go on to. Twice in autumn: the first.
  ["2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00.000Z"],
  ["2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00.000Z"],
];
for (const [text, zone, utc] of WALLS) {
  test(`${text} in ${zone} is ${utc}`, () => assert.equal(new Date(readWall(text, zone)).toISOString(), utc));
}

test("what is no wall clock time is none", () => {
  for (const text of ["", "now", "2026-11-22", "2026-13-40T99:00", "2026-11-22T14:03Z"]) assert.equal(readWall(text, "UTC"), null);
});

test("to the wall and back is the same moment, but for the hour that comes twice", () => {
  for (const zone of ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]) {
    for (let at = 0; at < 9_000; at += 7) {
      const ms = Date.UTC(2026, 0, 1) + at * HOUR;
      const back = fromWallMs(toWallMs(ms, zone), zone);
      assert.ok(back === ms || (back < ms && ms - back <= HOUR), `${zone} ${new Date(ms).toISOString()}`);
    }
  }
});

test("an offset is that of its moment, before 1970 too", () => {
  assert.equal(offsetMs(Date.UTC(2026, 6, 1), "Europe/Berlin"), 2 * HOUR);
  assert.equal(offsetMs(Date.UTC(2026, 0, 1) + 0.25, "Europe/Berlin"), HOUR);
  assert.equal(offsetMs(-1, "UTC"), 0);
});

test("a datetime-local input gets whole seconds", () => {
  assert.equal(writeWall(Date.UTC(2026, 10, 22, 14, 3, 5, 250), "Europe/Berlin"), "2026-11-22T15:03:05");
});
