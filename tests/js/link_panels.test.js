import assert from "node:assert/strict";
import { test } from "node:test";

import { mergeEvents, cutOldest, MOST_EVENTS } from "../../telemetry/static/telemetry/js/link_panels.js";

const event = (id, time, words = "") => ({ id, time, words });
const ids = (events) => events.map(({ id }) => id);

test("events are listed once, the newest first", () => {
  assert.deepEqual(ids(mergeEvents([event(2, 20), event(1, 10)], [event(3, 30), event(2, 20)])), [3, 2, 1]);
});

test("events of one moment are in the order in which they were written", () => {
  assert.deepEqual(ids(mergeEvents([], [event(1, 10), event(2, 10)])), [2, 1]);
});

test("a row that counts on is the newer one", () => {
  const [merged] = mergeEvents([event(1, 10, "2 more")], [event(1, 10, "5 more")]);
  assert.equal(merged.words, "5 more");
});

test("older ones go to the end", () => {
  assert.deepEqual(ids(mergeEvents([event(5, 50)], [event(2, 20), event(1, 10)])), [5, 2, 1]);
});

test("an open page keeps so many events, and knows where older ones begin", () => {
  const events = (count) => Array.from({ length: count }, (_, at) => ({ id: 5_000 - at }));
  const full = events(MOST_EVENTS);
  assert.equal(cutOldest(full), null);
  assert.equal(full.length, MOST_EVENTS);
  const more = events(MOST_EVENTS + 1);
  assert.equal(cutOldest(more), 5_000 - MOST_EVENTS + 1);
  assert.equal(more.length, MOST_EVENTS);
});
