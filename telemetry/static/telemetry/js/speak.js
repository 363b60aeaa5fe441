// What is said to who does not see the page: one polite live region, and at most one
// message in ten seconds; what comes meanwhile is said together. Values are never said.

import { byId } from "./dom.js";

const GAP_MS = 10_000;

export class Speaker {
  // write: puts a text where it is read out.
  constructor(write, { clock = () => performance.now(), later = (act, ms) => setTimeout(act, ms) } = {}) {
    Object.assign(this, { write, clock, later });
    this.waiting = new Map();
    this.freeMs = -Infinity;
    this.isWaiting = false;
  }

  // key: of what it speaks; a later text of the same key takes the earlier one's place.
  say(text, key = text) {
    this.waiting.delete(key);
    this.waiting.set(key, text);
    if (this.isWaiting) return;
    const waitMs = this.freeMs - this.clock();
    if (waitMs <= 0) return this.flush();
    this.isWaiting = true;
    this.later(() => this.flush(), waitMs);
  }

  flush() {
    this.isWaiting = false;
    this.freeMs = this.clock() + GAP_MS;
    this.write([...this.waiting.values()].join(". "));
    this.waiting.clear();
  }
}

const speaker = new Speaker((text) => {
  const region = byId("speak");
  if (region) region.textContent = text;
});

export function speak(text, key) {
  speaker.say(text, key);
}
