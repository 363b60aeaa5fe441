// A part of a page that loads itself every so often: its mistakes stay its own.

import { make, setText } from "./dom.js";
import { gettext } from "./i18n.js";

// What has just happened is known a moment later.
const SOON_MS = 1_000;

export class Panel {
  // take(answer): shows it. everyMs: how often, while somebody looks.
  constructor(element, url, everyMs) {
    Object.assign(this, { element, url, everyMs });
    this.problem = element.querySelector(".panel-problem");
    this.loadedMs = performance.now();
    this.isLoading = false;
  }

  // Call it now and then.
  tick() {
    const isSeen = !document.hidden && this.element.getClientRects().length > 0;
    if (isSeen && performance.now() - this.loadedMs >= this.everyMs) this.refresh();
  }

  // Something is about to be known.
  soon() {
    this.loadedMs = performance.now() - this.everyMs + SOON_MS;
  }

  async refresh() {
    this.loadedMs = performance.now();
    const answer = await this.load(this.url);
    if (answer) this.take(answer);
  }

  // → the answer, or null: then the panel says so, and keeps what it shows.
  async load(url) {
    if (this.isLoading) return null;
    this.isLoading = true;
    try {
      const response = await fetch(url);
      const isJson = response.headers.get("content-type")?.startsWith("application/json");
      // The sign-in page is none.
      if (!response.ok || !isJson) throw new Error(`expected JSON, got status ${response.status}`);
      const answer = await response.json();
      this.problem.hidden = true;
      return answer;
    } catch {
      this.say(gettext("This part could not be loaded: what it shows may be old."));
      return null;
    } finally {
      this.isLoading = false;
    }
  }

  say(text) {
    if (!this.problem.hidden) return;
    const again = make("button", { type: "button" }, gettext("Try again"));
    again.addEventListener("click", () => this.refresh());
    setText(this.problem, text);
    this.problem.append(" ", again);
    this.problem.hidden = false;
  }
}
