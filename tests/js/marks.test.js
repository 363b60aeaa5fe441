import assert from "node:assert/strict";
import test from "node:test";
import { drawMarks, labelRoom, labelRows, marksText, reach } from "../../telemetry/static/telemetry/js/marks.js";

test("the axis reaches to a level that is near, not to one that is far", () => {
  assert.deepEqual(reach(60, 80, [{ value: 85 }]), [60, 85]);
  assert.deepEqual(reach(60, 80, [{ value: 50 }, { value: 500 }]), [50, 80]);
  assert.deepEqual(reach(20, 20, [{ value: 30 }]), [20, 30]);
  assert.deepEqual(reach(null, null, [{ value: 1 }]), [null, null]);
  assert.deepEqual(reach(1, 2, []), [1, 2]);
});

test("labels that would lie over each other go into rows, and none where there is no room", () => {
  const at = (left) => ({ left, width: 50 });
  assert.deepEqual(labelRows([at(0), at(20), at(60), at(70)]), [0, 1, 0, 1]);
  assert.deepEqual(labelRows([at(0), at(1), at(2), at(3)]), [0, 1, 2, null]);
});

test("the labels of levels have room beside the plot, within bounds", () => {
  assert.equal(labelRoom([], 100), 0);
  assert.ok(labelRoom([{ label: "critical" }], 100) > 40);
  assert.equal(labelRoom([{ label: "x".repeat(99) }], 100), 100);
});

test("what is marked is said in words", () => {
  assert.equal(marksText({ levels: [{ label: "critical 85 °C" }], moments: [{ label: "restart" }] }), "critical 85 °C, restart");
});

test("levels and moments are dashed and labelled; a far one has an arrow", () => {
  globalThis.devicePixelRatio = 1;
  const said = [];
  const dashes = [];
  const ctx = new Proxy({}, {
    get: (held, name) => held[name] ?? ((...args) => {
      if (name === "fillText") said.push(args[0]);
      if (name === "setLineDash") dashes.push(args[0].length);
      return { width: 40 };
    }),
    set: (held, name, value) => { held[name] = value; return true; },
  });
  const plot = {
    ctx, bbox: { left: 0, top: 0, width: 100, height: 100 }, scales: { y: { min: 0, max: 100 } },
    valToPos: (value, scale) => (scale === "x" ? value : 100 - value),
  };
  drawMarks(plot, {
    levels: [{ value: 85, label: "critical", kind: "crit" }, { value: 300, label: "far" }],
    moments: [{ from: 10, label: "restart" }, { from: 50, to: 80, label: "service" }, { from: 300, label: "not here" }],
  }, () => "#000");
  assert.deepEqual(said, ["far ↑", "critical", "restart", "service"]);
  assert.ok(dashes.length > 0 && dashes.every((count) => count === 2));
});
