// “Copy link”: relative, so that it goes on with the time, or frozen to what is shown now.

import { write } from "./clipboard.js";
import { byId, setText } from "./dom.js";
import { closeOutside } from "./fold.js";
import { frozen, isLive, writeRange } from "./range.js";
import { speak } from "./speak.js";

const SAID_MS = 2_500;

export class CopyLink {
  // view(): what is shown.
  constructor(view, hubNow) {
    Object.assign(this, { view, hubNow });
    this.element = byId("copy");
    this.summary = this.element.querySelector("summary");
    this.word = this.summary.textContent;
    closeOutside(this.element);
    byId("copy-relative").addEventListener("click", () => this.copy());
    byId("copy-frozen").addEventListener("click", () => this.copy(true));
    this.element.hidden = false;
  }

  // A range that stands still has one link only.
  show(view) {
    byId("copy-relative").hidden = !isLive(view);
  }

  async copy(isFrozen = false) {
    const view = this.view();
    const shown = isFrozen ? frozen(view, this.hubNow()) : view;
    const isDone = await write(location.origin + location.pathname + writeRange(shown, location.search));
    this.element.open = false;
    this.say(this.element.dataset[isDone ? "done" : "refused"]);
  }

  say(text) {
    setText(this.summary, text);
    speak(text);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => setText(this.summary, this.word), SAID_MS);
  }
}
