import assert from "node:assert/strict";
import test from "node:test";
import { Traces } from "../../telemetry/static/telemetry/js/traces.js";

function driven(answer = () => ({ ok: true, json: async () => ({ from: 0, width_ms: 15_000, series: {} }) })) {
  const asked = [];
  const waits = [];
  const traces = new Traces({
    url: "/traces",
    onLoad: () => {},
    fetcher: async (address) => { asked.push(address.split("=")[1].split(",").map(Number)); return answer(asked.length); },
    later: (act, ms) => waits.push([act, ms]),
  });
  const go = async () => {
    const [act, ms] = waits.shift();
    await act();
    return ms;
  };
  return { traces, asked, waits, go };
}

test("rows that come in sight together are asked for together, once", async () => {
  const { traces, asked, waits, go } = driven();
  for (const id of [1, 2, 3, 2]) assert.equal(traces.get(id), null);
  assert.equal(waits.length, 1);
  await go();
  assert.deepEqual(asked, [[1, 2, 3]]);
  assert.notEqual(traces.get(2), null);
  assert.equal(waits.length, 0);
});

test("at most 64 at once: those wanted last, as the others have gone by", async () => {
  const { traces, asked, go } = driven();
  for (let id = 0; id < 100; id += 1) traces.get(id);
  await go();
  assert.equal(asked[0].length, 64);
  assert.equal(asked[0].at(-1), 99);
});

test("a hub that does not answer is asked again, later", async () => {
  const { traces, asked, waits, go } = driven((count) => ({ ok: count > 1, status: 503, json: async () => ({ from: 0, width_ms: 1, series: {} }) }));
  traces.get(7);
  await go();
  assert.equal(traces.get(7), null);
  assert.ok(waits[0][1] >= 5_000);
  await go();
  assert.deepEqual(asked, [[7], [7]]);
  assert.notEqual(traces.get(7), null);
});

test("what comes live is put into what is held, and nothing else is kept", async () => {
  const { traces, go } = driven();
  traces.put({ id: 1, time: 20_000, min: 1, max: 2 });
  traces.get(1);
  await go();
  traces.put({ id: 1, time: 20_000, min: 1, max: 2 });
  assert.equal(traces.get(1).buckets.size, 1);
  traces.forget();
  assert.equal(traces.get(1), null);
});

test("a long scroll does not fill the memory", async () => {
  const { traces, go } = driven();
  for (let id = 0; id < 2_000; id += 1) {
    traces.get(id);
    if (id % 50 === 49) await go();
  }
  assert.equal(traces.held.size, 512);
  assert.equal(traces.held.has(1_999), true);
});
