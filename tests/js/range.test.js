import assert from "node:assert/strict";
import test from "node:test";
import {
  edges, frozen, fixedView, isLive, LONGEST_MS, readRange, SHORTEST_MS, shifted, spanOf, writeRange, writeSpan, zoomed,
} from "../../telemetry/static/telemetry/js/range.js";

const NOW = Date.UTC(2026, 10, 22, 16);
const HOUR = 3_600_000;
const read = (search, zone = "Europe/Berlin") => readRange(search, { nowMs: NOW, zone, fallbackMs: 900_000 });
const span = (from, to) => `?from=${from}&to=${to}`;

const GOOD = [
  ["", "?from=now-15m&to=now"],
  ["?from=now-6h", "?from=now-6h&to=now"],
  ["?from=-5m", "?from=now-5m&to=now"],
  ["?from=now-30d&to=now", "?from=now-30d&to=now"],
  ["?from=now-2w&to=now", "?from=now-14d&to=now"],
  ["?from=now-6h&to=now-1h", span("2026-11-22T10:00:00Z", "2026-11-22T15:00:00Z")],
  ["?from=2026-11-22T14:03&to=2026-11-22T15:03", span("2026-11-22T13:03:00Z", "2026-11-22T14:03:00Z")],
  ["?from=2026-11-22T14:03:05.250Z&to=now", span("2026-11-22T14:03:05.250Z", "2026-11-22T16:00:00Z")],
  ["?from=2026-11-22T14:00:00%2B02:00&to=2026-11-22T14:00:00+01:00", span("2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z")],
  ["?from=1795351535368&to=1795355135368", span("2026-11-22T12:45:35.368Z", "2026-11-22T13:45:35.368Z")],
  ["?to=2026-11-20", span("2026-11-19T22:45:00Z", "2026-11-19T23:00:00Z")],
];
for (const [search, written] of GOOD) {
  test(`${search || "nothing"} is ${written}, and reads back as it was written`, () => {
    const { view, problem } = read(search);
    assert.equal(problem, null);
    assert.equal(writeRange(view), written);
    assert.deepEqual(read(written).view, view);
  });
}

const BAD = [
  ["?from=banana", "?from=now-15m&to=now", /“banana” is no time/],
  ["?from=now-6h&to=later", "?from=now-15m&to=now", /“later” is no time/],
  ["?from=banana&to=2026-01-01", "?from=now-15m&to=now", /banana/],
  ["?from=now-20y&to=now", "?from=now-15m&to=now", /“now-20y” is no time .* so this is the usual range/],
  ["?from=2026-11-22T15:00Z&to=2027-01-01", span("2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z"), /ends in the future/],
  ["?from=now-1h&to=now%2B1h", span("2026-11-22T15:00:00Z", "2026-11-22T16:00:00Z"), /ends in the future/],
  ["?from=now-20000d", "?from=now-3650d&to=now", /10 years/],
  ["?from=0&to=1795351535368", span("2016-11-24T12:45:35.368Z", "2026-11-22T12:45:35.368Z"), /10 years/],
  ["?from=2026-11-22&to=2026-11-20", span("2026-11-19T23:00:00Z", "2026-11-21T23:00:00Z"), /exchanged/],
  ["?from=2027-01-01&to=2027-01-02", span("2026-11-21T16:00:00Z", "2026-11-22T16:00:00Z"), /not come yet/],
  ["?from=now-1s", "?from=now-10s&to=now", /too short/],
  ["?from=1795351535368&to=1795351535368", span("2026-11-22T12:45:34.868Z", "2026-11-22T12:45:35.868Z"), /too short/],
  ["?from=2026-02-31T25:00&to=now", "?from=now-15m&to=now", /no time/],
  [`?from=${"9".repeat(500)}`, "?from=now-15m&to=now", /no time/],
  ["?from=999999999999999&to=now", span("2016-11-24T16:00:00Z", "2026-11-22T16:00:00Z"), /10 years/],
];
for (const [search, written, why] of BAD) {
  test(`${search.slice(0, 60)} is the nearest good range, and says why`, () => {
    const { view, problem } = read(search);
    assert.equal(writeRange(view), written);
    assert.match(problem, why);
    assert.equal(read(written).problem, null);
  });
}

test("whatever is asked for, the range is one that the hub takes", () => {
  const words = ["", "now", "now-0s", "now+5h", "-999999999w", "0", "-5", "1e9", "1795351535368.5", "2026-11-22", "<b>", "null", "١٢"];
  for (const from of words) {
    for (const to of words) {
      const { view } = read(`?from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`);
      const [fromMs, toMs] = edges(view, NOW);
      assert.ok(toMs <= NOW && toMs - fromMs >= SHORTEST_MS && toMs - fromMs <= LONGEST_MS, `${from} ${to}: ${fromMs} ${toMs}`);
      if (!isLive(view)) assert.ok(fromMs >= 0 && Number.isInteger(fromMs) && Number.isInteger(toMs));
    }
  }
});

const SPANS = [[300_000, "now-5m"], [3_600_000, "now-1h"], [86_400_000, "now-24h"], [604_800_000, "now-7d"], [90_000, "now-90s"]];
for (const [ms, text] of SPANS) test(`${ms} ms are ${text}`, () => assert.equal(writeSpan(ms), text));

test("zooming in and out keeps the middle, and ends at the limits", () => {
  const view = { fromMs: NOW - 10 * HOUR, toMs: NOW - 6 * HOUR };
  assert.deepEqual(zoomed(view, false, NOW), { fromMs: NOW - 9 * HOUR, toMs: NOW - 7 * HOUR });
  assert.deepEqual(zoomed(view, true, NOW), { fromMs: NOW - 12 * HOUR, toMs: NOW - 4 * HOUR });
  assert.equal(spanOf(zoomed({ fromMs: NOW - HOUR, toMs: NOW - HOUR + SHORTEST_MS }, false, NOW)), SHORTEST_MS);
  assert.equal(spanOf(zoomed({ fromMs: NOW - LONGEST_MS, toMs: NOW }, true, NOW)), LONGEST_MS);
});

test("a live view takes the next span of the picker", () => {
  assert.deepEqual(zoomed({ spanMs: 900_000 }, true, NOW), { spanMs: HOUR });
  assert.deepEqual(zoomed({ spanMs: 900_000 }, false, NOW), { spanMs: 300_000 });
  assert.deepEqual(zoomed({ spanMs: 30 * 24 * HOUR }, true, NOW), { spanMs: 60 * 24 * HOUR });
});

test("an earlier range stands still, a later one goes on live when it reaches now", () => {
  const earlier = shifted({ spanMs: HOUR }, false, NOW);
  assert.deepEqual(earlier, { fromMs: NOW - 1.5 * HOUR, toMs: NOW - HOUR / 2 });
  assert.deepEqual(shifted(earlier, true, NOW), { spanMs: HOUR });
  assert.deepEqual(shifted({ fromMs: 0, toMs: HOUR }, false, NOW).fromMs, 0);
});

test("a fixed range never reaches beyond now", () => {
  const { view, problem } = fixedView(NOW - HOUR, NOW + HOUR, NOW);
  assert.deepEqual(view, { fromMs: NOW - HOUR, toMs: NOW });
  assert.match(problem, /ends in the future/);
  assert.equal(fixedView(NOW - HOUR, NOW + 900, NOW).problem, null);
});

test("what else the address holds stays", () => {
  assert.equal(writeRange({ spanMs: 300_000 }, "?tab=history&from=now-6h&to=now"), "?from=now-5m&to=now&tab=history");
});

test("a view is frozen from whole second to whole second, a fixed one stays", () => {
  assert.deepEqual(frozen({ spanMs: 300_000 }, 1_000_000_789), { fromMs: 999_700_000, toMs: 1_000_000_000 });
  assert.deepEqual(frozen({ fromMs: 1_000, toMs: 90_000 }, 1_000_000_789), { fromMs: 1_000, toMs: 90_000 });
});
