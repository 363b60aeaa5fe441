import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../telemetry/static/telemetry/js/history.js";

const WISH = { name: "temp", unit: "°C", fromMs: 0, toMs: 1_000, points: 100 };

function answering(status, body, type = "application/json") {
  const asked = [];
  const history = new History("/g/plant/readings.json", async (address) => {
    asked.push(address);
    return new Response(JSON.stringify(body), { status, headers: { "content-type": type } });
  });
  return { history, asked };
}

test("an answer comes as it is", async () => {
  const { history } = answering(200, { count: 0, series: {} });
  assert.deepEqual(await history.load(WISH), { count: 0, series: {} });
});

test("a range that holds too much is not asked for again, and the hub's reason is kept", async () => {
  const { history, asked } = answering(413, { error: "expected at most 10 readings" });
  const refused = await history.load(WISH).catch((error) => error);
  assert.equal(refused.reason, "expected at most 10 readings");
  assert.equal(asked.length, 1);
});

test("another refusal has no reason for people", async () => {
  const { history, asked } = answering(400, { error: "from: expected a whole number" });
  const refused = await history.load(WISH).catch((error) => error);
  assert.equal(refused.reason, undefined);
  assert.equal(asked.length, 1);
});

test("a width is asked for only where it has to be that one", async () => {
  const { history, asked } = answering(200, { series: {} });
  await history.load(WISH);
  await history.load({ ...WISH, widthMs: 10_000 });
  assert.deepEqual(asked.map((address) => new URLSearchParams(address.split("?")[1]).get("width")), [null, "10000"]);
});

test("what nobody wants any more is not asked for", async () => {
  const { history, asked } = answering(200, { series: {} });
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(history.load({ ...WISH, signal: stop.signal }));
  assert.equal(asked.length, 0);
});
