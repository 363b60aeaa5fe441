// “Copy link”: relative, so that it goes on with the time, or frozen to what is shown now.

import { write } from "./clipboard.js";
import { setText } from "./dom.js";
import { closeOutside } from "./fold.js";
import { gettext } from "./i18n.js";
import { frozen, isLive, writeRange } from "./range.js";

const SAID_MS = 2_500;

export class CopyLink {
  // view(): what is shown.
  constructor(view, hubNow) {
    Object.assign(this, { view, hubNow });
    this.element = document.getElementById("copy");
    this.summary = this.element.querySelector("summary");
    this.word = this.summary.textContent;
    this.said = document.getElementById("speak");
    closeOutside(this.element);
    document.getElementById("copy-relative").addEventListener("click", () => this.copy());
    document.getElementById("copy-frozen").addEventListener("click", () => this.copy(true));
    this.element.hidden = false;
  }

  // A range that stands still has one link only.
  show(view) {
    document.getElementById("copy-relative").hidden = !isLive(view);
  }

  async copy(isFrozen = false) {
    const view = this.view();
    const shown = isFrozen ? frozen(view, this.hubNow()) : view;
    const isDone = await write(location.origin + location.pathname + writeRange(shown, location.search));
    this.element.open = false;
    this.say(isDone ? gettext("Link copied") : gettext("Copying is not allowed here: the address bar has the link"));
  }

  say(text) {
    setText(this.summary, text);
    setText(this.said, text);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { setText(this.summary, this.word); setText(this.said, ""); }, SAID_MS);
  }
}
