import assert from "node:assert/strict";
import test from "node:test";
import { Delays } from "../../telemetry/static/telemetry/js/delays.js";

test("of a hundred delays ninety-five are no longer than what is said", () => {
  const delays = new Delays();
  for (let ms = 1; ms <= 100; ms += 1) delays.note(ms);
  assert.equal(delays.p95Ms, 95);
});

test("too few say nothing, nor do clocks that run ahead or readings that were kept", () => {
  const delays = new Delays();
  for (let at = 0; at < 50; at += 1) {
    delays.note(-5);
    delays.note(60_000);
    delays.note(NaN);
  }
  assert.equal(delays.p95Ms, null);
});

test("only the last two hundred count", () => {
  const delays = new Delays();
  for (let at = 0; at < 1_000; at += 1) delays.note(at < 800 ? 9_000 : 10);
  assert.equal(delays.p95Ms, 10);
});
