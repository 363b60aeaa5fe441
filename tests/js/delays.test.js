import assert from "node:assert/strict";
import test from "node:test";
import { Delays } from "../../telemetry/static/telemetry/js/delays.js";

test("of a hundred delays ninety-five are no longer than what is said", () => {
  const delays = new Delays();
  for (let ms = 1; ms <= 100; ms += 1) delays.note(ms, ms);
  assert.equal(delays.p95Ms(100), 95);
});

test("too few say nothing, nor do clocks that run ahead or readings that were kept", () => {
  const delays = new Delays();
  for (let at = 0; at < 50; at += 1) for (const ms of [-5, 60_000, NaN]) delays.note(ms, at);
  assert.equal(delays.p95Ms(50), null);
});

test("only the last minute counts, and of that a thousand", () => {
  const delays = new Delays();
  for (let at = 0; at < 100; at += 1) delays.note(9_000, at);
  for (let at = 0; at < 100; at += 1) delays.note(10, 60_000 + at);
  assert.equal(delays.p95Ms(60_099), 10);
  for (let at = 0; at < 3_000; at += 1) delays.note(20, 61_000);
  assert.equal(delays.kept.length, 1_000);
  assert.equal(delays.p95Ms(121_001), null);
});
