import assert from "node:assert/strict";
import test from "node:test";
import { Scheduler } from "../../telemetry/static/telemetry/js/scheduler.js";

// A browser whose time goes on only where a test says so.
function browser({ isStill = false } = {}) {
  const made = { nowMs: 1_000, frames: [], see: null };
  Object.defineProperty(globalThis, "performance", { value: { now: () => made.nowMs }, configurable: true });
  globalThis.requestAnimationFrame = (callback) => made.frames.push(callback);
  globalThis.matchMedia = () => ({ matches: isStill });
  globalThis.addEventListener = () => {};
  globalThis.IntersectionObserver = class {
    constructor(seen) { made.see = seen; }
    observe() {}
    unobserve() {}
  };
  made.frame = (ms = 16) => {
    made.nowMs += ms;
    made.frames.shift()();
  };
  return made;
}

function chart(made, costMs, rest = {}) {
  return {
    isDirty: true, minGapMs: 100, drawn: 0, ...rest,
    draw() {
      this.drawn += 1;
      made.nowMs += costMs;
    },
  };
}

function scheduler(made, charts, visible = charts) {
  const found = new Scheduler({ hubNow: () => 0, onVisible: () => {} });
  for (const one of charts) found.add(one);
  found.unseen.clear();
  made.see(visible.map((target) => ({ target, isIntersecting: true })));
  return found;
}

test("a frame takes no more than its budget, and the others have their turn in the next ones", () => {
  const made = browser();
  const charts = Array.from({ length: 5 }, () => chart(made, 2));
  scheduler(made, charts);
  const counts = () => charts.reduce((sum, one) => sum + one.drawn, 0);
  const start = made.nowMs;
  made.frame();
  // Two take 4 ms; a third would leave nothing of the 6.
  assert.equal(counts(), 2);
  assert.ok(made.nowMs - start - 16 <= 6);
  made.frame();
  made.frame();
  assert.deepEqual(charts.map((one) => one.drawn), [1, 1, 1, 1, 1]);
});

test("one that takes longer than the budget is drawn all the same", () => {
  const made = browser();
  const slow = chart(made, 30);
  scheduler(made, [slow]);
  made.frame();
  assert.equal(slow.drawn, 1);
});

test("what has new readings is drawn at its gap, what is silent once a second", () => {
  const made = browser();
  const [dirty, silent] = [chart(made, 0), chart(made, 0, { isDirty: false })];
  scheduler(made, [dirty, silent]);
  for (let at = 0; at < 100; at += 1) made.frame(20);
  assert.equal(dirty.drawn, 20);
  assert.equal(silent.drawn, 2);
});

test("who wants less motion gets a picture a second", () => {
  const made = browser({ isStill: true });
  const dirty = chart(made, 0);
  scheduler(made, [dirty]);
  for (let at = 0; at < 100; at += 1) made.frame(20);
  assert.equal(dirty.drawn, 2);
});

test("what is out of sight is not drawn, and no longer when it has gone", () => {
  const made = browser();
  const [seen, hidden] = [chart(made, 0), chart(made, 0)];
  const found = scheduler(made, [seen, hidden], [seen]);
  for (let at = 0; at < 10; at += 1) made.frame(100);
  assert.equal(hidden.drawn, 0);
  found.remove(seen);
  const before = seen.drawn;
  for (let at = 0; at < 10; at += 1) made.frame(100);
  // The round that had begun may still hold it.
  assert.ok(seen.drawn <= before + 1);
});

test("where the cursor has moved the readout is written at once", () => {
  const made = browser();
  let written = 0;
  const still = chart(made, 0, { isDirty: false, isPointed: true, writeReadout() { written += 1; this.isPointed = false; } });
  scheduler(made, [still]);
  made.frame();
  made.frame();
  assert.equal(written, 1);
  still.isPointed = true;
  made.frame();
  assert.equal(written, 2);
  assert.equal(still.drawn, 1);
});
