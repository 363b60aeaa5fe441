import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { bitsPerSecond, burstBytes, figures } from "../../telemetry/static/telemetry/js/link_figures.js";

const GOLDEN = JSON.parse(readFileSync(new URL("../golden/link_figures.json", import.meta.url)));

for (const { name, round_trips, figures: expected } of GOLDEN.figures) {
  test(`figures: ${name}`, () => {
    const found = figures(round_trips);
    assert.deepEqual(found && {
      round_trips: found.roundTrips, p50_ms: found.p50, p99_ms: found.p99,
      jitter_ms: found.jitter, kind: found.kind, is_steady: found.isSteady,
    }, expected);
  });
}

for (const { name, guess_ms, p50_ms, bytes } of GOLDEN.bursts) {
  test(`burst: ${name}`, () => assert.equal(burstBytes(guess_ms, p50_ms), bytes));
}

for (const { name, bytes, span_ms, bits_per_second } of GOLDEN.rates) {
  test(`rate: ${name}`, () => assert.equal(Math.round(bitsPerSecond(bytes, span_ms)), bits_per_second));
}
