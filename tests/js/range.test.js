import assert from "node:assert/strict";
import test from "node:test";
import {
  edges, fixedView, frozen, LONGEST_MS, SHORTEST_MS, shifted, spanOf, writeRange, writeSpan, zoomed,
} from "../../telemetry/static/telemetry/js/range.js";

const NOW = Date.UTC(2026, 10, 22, 16);
const HOUR = 3_600_000;
const PRESETS_MS = [300_000, 900_000, HOUR, 30 * 24 * HOUR];

test("whatever is drawn, the range is one that the hub takes", () => {
  for (const from of [-5, 0, 0.5, NOW - HOUR, NOW - 0.25, NOW, NOW + HOUR, 1e15]) {
    for (const to of [-9, 0, NOW - HOUR + 0.5, NOW, NOW + 1, NOW + 9 * HOUR]) {
      const [fromMs, toMs] = edges(fixedView(from, to, NOW + 0.5), NOW);
      assert.ok(fromMs >= 0 && toMs <= NOW && toMs - fromMs >= SHORTEST_MS && toMs - fromMs <= LONGEST_MS, `${from} ${to}: ${fromMs} ${toMs}`);
      assert.ok(Number.isInteger(fromMs) && Number.isInteger(toMs));
    }
  }
});

const SPANS = [[300_000, "now-5m"], [3_600_000, "now-1h"], [86_400_000, "now-24h"], [604_800_000, "now-7d"], [90_000, "now-90s"]];
for (const [ms, text] of SPANS) test(`${ms} ms are ${text}`, () => assert.equal(writeSpan(ms), text));

test("a fixed range is written in UTC, with the fraction that it has", () => {
  assert.equal(writeRange({ fromMs: NOW - HOUR, toMs: NOW + 250 }), "?from=2026-11-22T15:00:00Z&to=2026-11-22T16:00:00.250Z");
});

test("zooming in and out keeps the middle, and ends at the limits", () => {
  const view = { fromMs: NOW - 10 * HOUR, toMs: NOW - 6 * HOUR };
  assert.deepEqual(zoomed(view, false, NOW), { fromMs: NOW - 9 * HOUR, toMs: NOW - 7 * HOUR });
  assert.deepEqual(zoomed(view, true, NOW), { fromMs: NOW - 12 * HOUR, toMs: NOW - 4 * HOUR });
  assert.equal(spanOf(zoomed({ fromMs: NOW - HOUR, toMs: NOW - HOUR + SHORTEST_MS }, false, NOW)), SHORTEST_MS);
  assert.equal(spanOf(zoomed({ fromMs: NOW - LONGEST_MS, toMs: NOW }, true, NOW)), LONGEST_MS);
});

test("a live view takes the next span of the picker", () => {
  assert.deepEqual(zoomed({ spanMs: 900_000 }, true, NOW, PRESETS_MS), { spanMs: HOUR });
  assert.deepEqual(zoomed({ spanMs: 900_000 }, false, NOW, PRESETS_MS), { spanMs: 300_000 });
  assert.deepEqual(zoomed({ spanMs: 30 * 24 * HOUR }, true, NOW, PRESETS_MS), { spanMs: 60 * 24 * HOUR });
});

test("an earlier range stands still, a later one goes on live when it reaches now", () => {
  const earlier = shifted({ spanMs: HOUR }, false, NOW);
  assert.deepEqual(earlier, { fromMs: NOW - 1.5 * HOUR, toMs: NOW - HOUR / 2 });
  assert.deepEqual(shifted(earlier, true, NOW), { spanMs: HOUR });
  assert.deepEqual(shifted({ fromMs: NOW - SHORTEST_MS, toMs: NOW }, true, NOW), { spanMs: 10_000 });
  assert.deepEqual(shifted({ fromMs: 0, toMs: HOUR }, false, NOW).fromMs, 0);
});

test("what else the address holds stays", () => {
  assert.equal(writeRange({ spanMs: 300_000 }, "?tab=history&from=now-6h&to=now"), "?from=now-5m&to=now&tab=history");
});

test("a view is frozen from whole second to whole second, a fixed one stays", () => {
  assert.deepEqual(frozen({ spanMs: 300_000 }, 1_000_000_789), { fromMs: 999_700_000, toMs: 1_000_000_000 });
  assert.deepEqual(frozen({ fromMs: 1_000, toMs: 90_000 }, 1_000_000_789), { fromMs: 1_000, toMs: 90_000 });
});
