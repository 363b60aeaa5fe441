// Keyboard shortcuts: a page binds keys, a list of them is shown by `?` (sheet.js).
// Nothing is bound in inputs and dialogs, or with modifiers; all can be switched off.

const NEXT_MS = 1_500;
const STORED = "shortcuts";
const NOT_IN = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, dialog, [contenteditable]";

export class Shortcuts {
  // storage: gives something like localStorage, or throws; what is switched off stays so.
  constructor(storage = () => null, clock = () => performance.now()) {
    Object.assign(this, { storage, clock });
    this.bindings = new Map();
    this.typed = "";
    this.typedMs = -Infinity;
    this.isOn = this.stored() !== "off";
  }

  stored() {
    try {
      return this.storage()?.getItem(STORED);
    } catch {
      return null; // Storage is switched off.
    }
  }

  turn(isOn) {
    this.isOn = isOn;
    try {
      this.storage()?.setItem(STORED, isOn ? "on" : "off");
    } catch {
      // It lasts as long as the page.
    }
  }

  // keys: as event.key says, one after another with a space: "l", "?", "g f". words:
  // for the list. The later binding of the same keys is the one that counts.
  bind(keys, words, action) {
    this.bindings.set(keys, { words, action });
  }

  unbind(keys) {
    this.bindings.delete(keys);
  }

  // Whether it was one of ours, and is done.
  press(event) {
    if (!this.isOn || event.defaultPrevented || event.isComposing || event.repeat) return false;
    // Some layouts have "[" only with AltGr, which is Ctrl and Alt to some systems.
    const isModified = event.ctrlKey || event.altKey || event.metaKey;
    if (isModified && !event.getModifierState?.("AltGraph")) return false;
    if (event.target?.closest?.(NOT_IN)) return false;
    const key = event.shiftKey ? event.key : event.key.toLowerCase();
    if (["Shift", "AltGraph", "CapsLock"].includes(event.key)) return false;
    const begun = this.clock() - this.typedMs < NEXT_MS ? `${this.typed} ${key}` : key;
    for (const keys of [begun, key]) {
      const found = this.bindings.get(keys);
      if (found) {
        this.typed = "";
        found.action(event);
        return true;
      }
    }
    this.typed = [...this.bindings.keys()].some((keys) => keys.startsWith(`${key} `)) ? key : "";
    this.typedMs = this.clock();
    return false;
  }
}

export const shortcuts = new Shortcuts(() => globalThis.document && localStorage);

export function bind(keys, words, action) {
  shortcuts.bind(keys, words, action);
}

globalThis.document?.addEventListener("keydown", (event) => {
  if (shortcuts.press(event)) event.preventDefault();
});
