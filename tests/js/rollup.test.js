import assert from "node:assert/strict";
import test from "node:test";
import { missingText } from "../../telemetry/static/telemetry/js/missing.js";
import { formatWidth, rollupText } from "../../telemetry/static/telemetry/js/rollup.js";

const WIDTHS = [[5, "5 ms"], [100, "0.1 s"], [500, "0.5 s"], [10_000, "10 s"], [60_000, "1 min"], [1_800_000, "30 min"], [3_600_000, "1 h"], [86_400_000, "1 d"], [1_296_000_000, "15 d"]];
for (const [ms, text] of WIDTHS) test(`${ms} ms are ${text}`, () => assert.equal(formatWidth(ms), text));

const ROLLUPS = [
  [{ widthMs: null }, "raw"],
  [{ widthMs: 10_000 }, "10 s, min–max"],
  [{ widthMs: 300_000, resolution: 300 }, "5 min summaries, min–max"],
  [{ widthMs: 3_600_000, resolution: 300 }, "1 h, min–max, of 5 min summaries"],
  [{ widthMs: null, isShare: true }, "raw"],
  [{ widthMs: 300_000, resolution: 300, isShare: true }, "5 min, share of time on"],
];
for (const [facts, text] of ROLLUPS) test(`it is called ${text}`, () => assert.equal(rollupText(facts), text));

const LINES = [{ id: 1, device: "Boiler" }, { id: 2, device: "Pump" }, { id: 3, device: "Fan" }];
const AT = Date.UTC(2026, 10, 22, 14);

test("what is missing is said, by device and time, as far as it is shown", () => {
  const text = missingText([[1, AT, AT + 60_500], [9, AT, AT + 1]], LINES, "UTC", [AT + 30_000, AT + 3_600_000]);
  assert.equal(text, "A part is missing: stored readings of Boiler between 2026-11-22 14:00:30 and 2026-11-22 14:01:01 cannot be read.");
  assert.match(missingText(LINES.map(({ id }) => [id, AT, AT + 1]), LINES, "UTC", [AT, AT + 9]), /of 3 devices/);
  assert.equal(missingText([[9, AT, AT + 1]], LINES, "UTC", [AT, AT + 9]), "");
});
