// A part of a page that the hub writes, and that is renewed every so often: its mistakes
// stay its own. A link in it with data-part puts another one in its place.

import { make, setText } from "./dom.js";
import { gettext } from "./i18n.js";

// What has just happened is known a moment later.
const SOON_MS = 1_000;

export class Part {
  // element: has .part-body, whose data-url is where it comes from, and .panel-problem.
  // everyMs: how often, while somebody looks.
  constructor(element, everyMs = Infinity) {
    Object.assign(this, { element, everyMs });
    this.body = element.querySelector(".part-body");
    this.problem = element.querySelector(".panel-problem");
    this.url = this.body.dataset.url;
    this.loadedMs = performance.now();
    this.body.addEventListener("click", (event) => this.follow(event));
  }

  follow(event) {
    const link = event.target.closest("a[data-part]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.url = link.dataset.part;
    this.refresh();
  }

  // Call it now and then.
  tick() {
    const isSeen = !document.hidden && this.element.getClientRects().length > 0;
    if (isSeen && !this.loading && performance.now() - this.loadedMs >= this.everyMs) this.refresh();
  }

  // Something is about to be known.
  soon() {
    this.loadedMs = performance.now() - this.everyMs + SOON_MS;
  }

  // Where it cannot be loaded, that is said, and what is shown stays.
  async refresh() {
    this.loadedMs = performance.now();
    const loading = this.loading = {};
    let text = null;
    try {
      const response = await fetch(this.url);
      // The sign-in page is no part of this one.
      if (response.ok && !response.redirected) text = await response.text();
    } catch {
      // Said below.
    }
    if (loading !== this.loading) return;
    this.loading = null;
    if (text === null) return this.say();
    this.problem.hidden = true;
    this.take(text);
  }

  take(text) {
    if (text === this.text) return;
    this.text = text;
    const step = this.body.contains(document.activeElement) && document.activeElement.dataset.step;
    this.body.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.children);
    // Who goes on by keyboard goes on from there.
    if (step) (this.body.querySelector(`[data-step=${step}]`) ?? this.body).focus();
  }

  say() {
    if (!this.problem.hidden) return;
    const again = make("button", { type: "button" }, gettext("Try again"));
    again.addEventListener("click", () => this.refresh());
    setText(this.problem, gettext("This part could not be loaded: what it shows may be old."));
    this.problem.append(" ", again);
    this.problem.hidden = false;
  }
}
