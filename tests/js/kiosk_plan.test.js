import assert from "node:assert/strict";
import { test } from "node:test";

import { decide, isOver, nextGroup, nextTop, rotateMs, shiftPx } from "../../telemetry/static/telemetry/js/kiosk_plan.js";

test("rotation comes from the address, within bounds", () => {
  const cases = [
    ["?kiosk=1", null], ["?rotate=", null], ["?rotate=x", null], ["?rotate=-5", null],
    ["?rotate=1.5", null], ["?rotate=0", null], ["?rotate=9999999", null],
    ["?rotate=4", 5_000], ["?rotate=5", 5_000], ["?rotate=30", 30_000],
    ["?rotate=86400", 86_400_000], ["?rotate=86401", 86_400_000],
  ];
  for (const [search, expected] of cases) assert.equal(rotateMs(search), expected, search);
});

test("groups go round", () => {
  assert.equal(nextGroup(["a", "b", "c"], "a"), "b");
  assert.equal(nextGroup(["a", "b", "c"], "c"), "a");
  assert.equal(nextGroup(["a"], "a"), "a");
  assert.equal(nextGroup(["a", "b"], "gone"), "a");
  assert.equal(nextGroup([], "a"), null);
});

test("the picture moves by 4 px an hour and comes back", () => {
  const hour = 3_600_000;
  const places = [0, 1, 2, 3, 4].map((n) => shiftPx(n * hour));
  assert.deepEqual(places, [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]);
  assert.deepEqual(shiftPx(hour - 1), [0, 0]);
});

test("a page longer than its screen is seen to its end", () => {
  assert.equal(nextTop(0, 900, 1000), 0);
  assert.equal(nextTop(0, 1004, 1000), 0);
  const seen = [0];
  for (let n = 0; n < 4; n += 1) seen.push(nextTop(seen.at(-1), 2500, 1000));
  assert.deepEqual(seen, [0, 850, 1500, 0, 850]);
});

test("only what does not come back by itself is over", () => {
  for (const phase of ["signed-out", "refused", "stopped"]) assert.ok(isOver(phase), phase);
  for (const phase of ["", "open", "waiting", "connecting"]) assert.ok(!isOver(phase), phase);
});

test("what the hub says decides", () => {
  const page = { group: "a", version: "1", isLink: true, isOver: false };
  const answer = { version: "1", groups: ["a", "b"] };
  assert.equal(decide(200, answer, page), "stay");
  assert.equal(decide(200, answer, { ...page, version: null }), "stay");
  assert.equal(decide(200, { ...answer, version: "2" }, page), "reload");
  assert.deepEqual(decide(200, { ...answer, groups: ["b"] }, page), { go: "b" });
  assert.equal(decide(200, { ...answer, groups: [] }, page), "stay");
  assert.equal(decide(200, answer, { ...page, isOver: true }), "reload");
  assert.equal(decide(404, null, page), "reload");
  assert.equal(decide(404, null, { ...page, isLink: false }), "stay");
  for (const status of [0, 500, 502, 503]) assert.equal(decide(status, null, page), "stay");
});
