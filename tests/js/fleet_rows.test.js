import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import {
  countMoves, nextSort, rankNames, readView, searchText, select, windowOf, writeView,
} from "../../telemetry/static/telemetry/js/fleet_rows.js";

const { rows, cases } = JSON.parse(readFileSync(new URL("../dashboard/fleet/cases.json", import.meta.url)));
const fleet = rows.map((row) => ({
  ...row,
  text: searchText(row),
  groups: row.groups.map(([slug, name]) => ({ slug, name })),
  cells: row.values.map((value) => (value === null ? null : { value })),
  lastReadingMs: row.last,
}));
rankNames(fleet);

for (const { name, address, expect } of cases) {
  test(name, () => {
    assert.deepEqual(select(fleet, readView(address)).map((row) => row.slug), expect);
  });
}

test("booleans are in order of their numbers", () => {
  const two = ["on", "off"].map((slug) => ({ slug, name: slug, place: 0, cells: [{ value: slug === "on" }] }));
  assert.deepEqual(select(two.map((row) => ({ ...row, text: "", groups: [] })), readView("?sort=m1")).map((row) => row.slug), ["off", "on"]);
});

const ADDRESSES = ["", "?q=north+wing", "?status=late", "?group=yard&sort=-m1", "?view=tiles&m=temp,hum", "?m=a.b:c/d-e"];
for (const address of ADDRESSES) {
  test(`the address ${address || "without a query"} stays as it is`, () => {
    assert.equal(decodeURIComponent(writeView(readView(address))), decodeURIComponent(address));
  });
}

test("two metrics at most, each once, in one field or several", () => {
  assert.deepEqual(readView("?m=a,b,c").m, ["a", "b"]);
  assert.deepEqual(readView("?m=a&m=b").m, ["a", "b"]);
  assert.deepEqual(readView("?m=a,a,,").m, ["a"]);
});

test("a search is cut where the hub cuts it", () => {
  assert.equal(readView(`?q=${"x".repeat(101)}`).q.length, 100);
});

test("a second click on a head turns the order round", () => {
  assert.equal(nextSort("state", "name"), "name");
  assert.equal(nextSort("name", "name"), "-name");
  assert.equal(nextSort("-name", "name"), "name");
});

const named = (text) => [...text].map((slug) => ({ slug }));
for (const [shown, wanted, moves] of [
  ["abcd", "abcd", 0],
  ["abcd", "dabc", 1],
  ["abcd", "dcba", 3],
  ["abcd", "abc", 1],
  ["abc", "abcd", 1],
  ["ab", "cd", 4],
  ["", "", 0],
  ["abcdef", "bafedc", 4],
]) {
  test(`from “${shown}” to “${wanted}” ${moves} rows move`, () => {
    assert.equal(countMoves(named(shown), named(wanted)), moves);
  });
}

test("a window is around what is in sight, never beyond the ends, and never large", () => {
  const one = { viewPx: 900, rowPx: 36, count: 1_000 };
  assert.deepEqual(windowOf({ ...one, topPx: -200 }), [0, 60]);
  assert.deepEqual(windowOf({ ...one, topPx: 36 * 1_000 }), [940, 1_000]);
  assert.deepEqual(windowOf({ ...one, topPx: 0, count: 3 }), [0, 3]);
  assert.deepEqual(windowOf({ ...one, topPx: 0, count: 0 }), [0, 0]);
  for (let topPx = 0; topPx < 36_000 - 900; topPx += 333) {
    const [from, to] = windowOf({ ...one, topPx });
    assert.equal(to - from, 60);
    assert.ok(from * 36 <= topPx && to * 36 >= topPx + 900, `${from} to ${to} at ${topPx}`);
  }
});

test("a very high screen gets as many rows as it shows", () => {
  const [from, to] = windowOf({ topPx: 0, viewPx: 4_000, rowPx: 36, count: 1_000 });
  assert.ok(to - from >= 112);
});
