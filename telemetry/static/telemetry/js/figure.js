// What every display of one metric shares: a figure with a title, a note, a summary.

import { make, nameOf, setText } from "./dom.js";
import { unitBeside } from "./format.js";

export class HubFigure extends HTMLElement {
  isDirty = true;
  minGapMs = 250;

  // page: what the page knows (see live_page.js). spec: {key, name, unit, title, kind,
  // query, lines: [{id, slug, device, style}]}.
  configure(page, spec) {
    this.page = page;
    this.spec = spec;
    this.note = make("span", { class: "figure-note" });
    this.summary = make("figcaption", { class: "off-screen" });
    this.body = make("div");
    const title = make("h2", {}, nameOf(spec.title), " ");
    const unit = unitBeside(spec.title, spec.unit);
    if (unit) title.append(nameOf(unit, { class: "unit" }));
    this.replaceChildren(make(
      "figure", { class: "figure" },
      make("div", { class: "figure-head" }, title, this.note, ...this.extras()),
      this.body,
      this.summary,
    ));
    this.summarizedMs = -Infinity;
    this.build();
  }

  // Read out when somebody comes by; never a live region.
  summarize(nowMs, text) {
    if (nowMs - this.summarizedMs < 10_000) return;
    this.summarizedMs = nowMs;
    setText(this.summary, text());
  }

  setNote(text) {
    setText(this.note, text);
  }

  // What stands at the end of its head.
  extras() {
    return [];
  }

  build() {}

  put() {}

  load() {}

  draw() {}

  isCovering() {
    return true;
  }
}
