import assert from "node:assert/strict";
import test from "node:test";
import { ack, afterClose, backoffMs, decode, readDevice, readRow, readSeries, subscribe } from "../../telemetry/static/telemetry/js/protocol.js";

test("a frame that is no message decodes to nothing", () => {
  for (const text of ["", "{", "[]", "null", "3", '{"type":3}', "{}", new ArrayBuffer(2)]) {
    assert.equal(decode(text), null);
  }
  assert.deepEqual(decode('{"type":"pong","time":1}'), { type: "pong", time: 1 });
});

test("a row is one reading, or several that were merged", () => {
  assert.deepEqual(readRow([7, 1000, 2.5]), { id: 7, time: 1000, value: 2.5, min: 2.5, max: 2.5, count: 1 });
  assert.deepEqual(readRow([7, 1000, 2, 1, 9, 4]), { id: 7, time: 1000, value: 2, min: 1, max: 9, count: 4 });
  assert.deepEqual(readRow([7, 1000, "open"]).value, "open");
});

test("a device row is read by its places", () => {
  assert.deepEqual(readDevice(["pump", "Pump", true, 1, 2, false, 2.5, true]), {
    slug: "pump", name: "Pump", isOnline: true, changedMs: 1, lastSeenMs: 2, isPaused: false, periodMs: 2_500, isEstimated: true,
  });
  assert.equal(readDevice(["pump", "Pump", true, 1, 2, false, null, true]).periodMs, null);
});

test("a series row is read by its places", () => {
  assert.deepEqual(readSeries([1, "pump", "t", "°C", 0.5]), { id: 1, device: "pump", metric: "t", unit: "°C", periodMs: 500 });
});

test("a subscription resumes only when there is something to resume", () => {
  assert.equal(subscribe(1, ["a"], null), '{"type":"subscribe","id":1,"groups":["a"]}');
  assert.deepEqual(JSON.parse(subscribe(1, ["a", "device:pump-1"], null)), {
    type: "subscribe", id: 1, groups: ["a"], devices: ["pump-1"],
  });
  assert.deepEqual(JSON.parse(subscribe(2, ["a"], { epoch: "e", revisions: { a: 3 } })).resume, { epoch: "e", revisions: { a: 3 } });
  assert.equal(ack("a", 9), '{"type":"ack","group":"a","revision":9}');
});

test("the backoff grows to fifteen seconds and never is nothing", () => {
  assert.equal(backoffMs(0, () => 0), 500);
  assert.equal(backoffMs(0, () => 1), 1_500);
  assert.equal(backoffMs(50, () => 1), 15_000);
});

const CLOSES = [
  [1000, {}, "stopped", null],
  [1006, {}, "retry", 500],
  [1012, { attempt: 3, random: () => 1 }, "retry", 8_500],
  [4401, {}, "signed-out", null],
  [4403, {}, "refused", 3_600_000],
  [4406, {}, "refused", 3_600_000],
  [4400, {}, "retry", 60_000],
  [4413, { attempt: 5 }, "stopped", null],
  [4408, {}, "retry", 500],
  [4409, { random: () => 0.5 }, "retry", 90_000],
  [4429, { afterMs: 7_000 }, "retry", 7_000],
  [4429, {}, "retry", 30_000],
  [4499, {}, "stopped", null],
  [4503, { afterMs: 10_000, random: () => 1 }, "retry", 10_000],
  [4503, { afterMs: 10_000, attempt: 2 }, "retry", 500],
];

for (const [code, given, state, waitMs] of CLOSES) {
  test(`after ${code} ${JSON.stringify(given)} the page is ${state}`, () => {
    assert.deepEqual(afterClose(code, { random: () => 0, ...given }), { state, waitMs });
  });
}
