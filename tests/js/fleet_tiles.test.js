import assert from "node:assert/strict";
import test from "node:test";
import { neighbour, tilePx } from "../../telemetry/static/telemetry/js/fleet_tiles.js";

test("more devices have smaller tiles, and ten thousand fit on a few screens", () => {
  const sizes = [1, 300, 301, 2_000, 2_001, 10_000].map(tilePx);
  assert.deepEqual(sizes, [...sizes].sort((a, b) => b - a));
  assert.ok(Math.ceil(10_000 / Math.floor(1_400 / tilePx(10_000))) * tilePx(10_000) < 3 * 900);
});

// Seven tiles in rows of three.
for (const [at, key, expected] of [
  [0, "ArrowRight", 1], [2, "ArrowRight", 3], [6, "ArrowRight", 6], [0, "ArrowLeft", 0],
  [4, "ArrowUp", 1], [1, "ArrowUp", 1], [3, "ArrowDown", 6], [4, "ArrowDown", 4],
  [4, "Home", 0], [0, "End", 6], [4, "x", 4],
]) {
  test(`${key} leads from ${at} to ${expected}`, () => {
    assert.equal(neighbour(at, key, 3, 7), expected);
  });
}
