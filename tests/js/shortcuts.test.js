import assert from "node:assert/strict";
import test from "node:test";
import { Shortcuts } from "../../telemetry/static/telemetry/js/shortcuts.js";

const press = (key, more = {}) => ({ key, ...more });

function made({ storage, keys = ["l", "g f", "g g", "?", "g"] } = {}) {
  const done = [];
  const now = { ms: 0 };
  const shortcuts = new Shortcuts(() => storage ?? null, () => now.ms);
  for (const each of keys) shortcuts.bind(each, `to ${each}`, () => done.push(each));
  return { shortcuts, done, now };
}

function type(shortcuts, ...keys) {
  return keys.map((key) => shortcuts.press(typeof key === "string" ? press(key) : key));
}

const PRESSED = [
  ["one key", ["l"], ["l"]],
  ["a key with shift, as the layout has it", [press("?", { shiftKey: true })], ["?"]],
  ["two keys one after another", ["g", "f"], ["g f"]],
  ["the second of two when nothing begins with the first", ["x", "l"], ["l"]],
  ["a key again after a pair", ["g", "g", "l"], ["g g", "l"]],
  ["a capital letter of caps lock", ["L"], ["l"]],
  ["nothing for a capital letter of shift", [press("L", { shiftKey: true })], []],
  ["a bracket that takes AltGr", [press("l", { ctrlKey: true, altKey: true, getModifierState: (name) => name === "AltGraph" })], ["l"]],
  ["shift between two keys changes nothing", ["g", press("Shift", { shiftKey: true }), "f"], ["g f"]],
  ...["ctrlKey", "altKey", "metaKey"].map((name) => [`nothing with ${name}`, [press("l", { [name]: true })], []]),
  ["nothing while a key is held", [press("l", { repeat: true })], []],
  ["nothing while a character is composed", [press("l", { isComposing: true })], []],
  ["nothing that somebody else has done", [press("l", { defaultPrevented: true })], []],
  ["nothing in an input", [press("l", { target: { closest: () => ({}) } })], []],
  ["something on a button", [press("l", { target: { closest: () => null } })], ["l"]],
];

for (const [what, keys, expected] of PRESSED) {
  test(`pressed: ${what}`, () => {
    const { shortcuts, done } = made({ keys: ["l", "g f", "g g", "?"] });
    type(shortcuts, ...keys);
    assert.deepEqual(done, expected);
  });
}

test("the second key has to come soon", () => {
  const { shortcuts, done, now } = made({ keys: ["g f", "f"] });
  type(shortcuts, "g");
  now.ms += 1_500;
  type(shortcuts, "f");
  assert.deepEqual(done, ["f"]);
});

test("says whether a key was one of its own", () => {
  const { shortcuts } = made({ keys: ["g f"] });
  assert.deepEqual(type(shortcuts, "x", "g", "f"), [false, false, true]);
});

test("the later binding counts, and one can be taken away", () => {
  const { shortcuts, done } = made({ keys: ["l"] });
  shortcuts.bind("l", "live", () => done.push("later"));
  type(shortcuts, "l");
  shortcuts.unbind("l");
  type(shortcuts, "l");
  assert.deepEqual(done, ["later"]);
  assert.equal(shortcuts.bindings.size, 0);
});

test("what is switched off does nothing, and stays so in this browser", () => {
  const kept = new Map();
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };
  const first = made({ storage });
  first.shortcuts.turn(false);
  type(first.shortcuts, "l");
  const second = made({ storage });
  type(second.shortcuts, "l");
  assert.deepEqual([...first.done, ...second.done], []);
  second.shortcuts.turn(true);
  type(second.shortcuts, "l");
  assert.deepEqual(second.done, ["l"]);
  assert.equal(made({ storage }).shortcuts.isOn, true);
});

test("works where storage is forbidden", () => {
  const done = [];
  const shortcuts = new Shortcuts(() => { throw new Error("SecurityError"); }, () => 0);
  shortcuts.bind("l", "live", () => done.push("l"));
  shortcuts.press(press("l"));
  shortcuts.turn(false);
  shortcuts.press(press("l"));
  assert.deepEqual(done, ["l"]);
});
