import assert from "node:assert/strict";
import test from "node:test";
import { Speaker } from "../../telemetry/static/telemetry/js/speak.js";

function made() {
  const said = [];
  const now = { ms: 0, due: [] };
  const speaker = new Speaker((text) => said.push([now.ms, text]), {
    clock: () => now.ms,
    later: (run, waitMs) => now.due.push([now.ms + waitMs, run]),
  });
  const go = (toMs) => {
    now.ms = toMs;
    const due = now.due.filter(([ms]) => ms <= toMs);
    now.due = now.due.filter(([ms]) => ms > toMs);
    for (const [, run] of due) run();
  };
  return { speaker, said, go };
}

test("the first is said at once, what comes within ten seconds together after them", () => {
  const { speaker, said, go } = made();
  speaker.say("a went offline");
  go(1_000);
  speaker.say("b went offline");
  go(9_000);
  speaker.say("c is back");
  go(10_000);
  assert.deepEqual(said, [[0, "a went offline"], [10_000, "b went offline. c is back"]]);
});

test("there is never more than one message in ten seconds", () => {
  const { speaker, said, go } = made();
  for (let ms = 0; ms <= 60_000; ms += 500) {
    go(ms);
    speaker.say(`at ${ms}`);
  }
  const times = said.map(([ms]) => ms);
  assert.equal(times.length, 7);
  assert.ok(times.every((ms, at) => at === 0 || ms - times[at - 1] >= 10_000));
});

test("of one thing only the last is said", () => {
  const { speaker, said, go } = made();
  speaker.say("hello");
  speaker.say("3 offline", "offline");
  speaker.say("2 late", "late");
  speaker.say("4 offline", "offline");
  go(10_000);
  assert.deepEqual(said.at(-1), [10_000, "2 late. 4 offline"]);
});

test("after a silence the next is said at once", () => {
  const { speaker, said, go } = made();
  speaker.say("one");
  go(12_000);
  speaker.say("two");
  assert.deepEqual(said.map(([ms]) => ms), [0, 12_000]);
});
