// What one can take away of a display: its readings as a table or a file, both of the
// hub's making, and its picture.

import { byId, make } from "./dom.js";
import { closeOutside } from "./fold.js";
import { formatMoment } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { Part } from "./part.js";
import { compose } from "./picture.js";
import { isLive } from "./range.js";

export class FigureMenu {
  // figure offers: spec, page, body, picture(), shown(), shownEdges().
  constructor(figure) {
    this.figure = figure;
    this.element = byId("figure-menu").content.firstElementChild.cloneNode(true);
    const [summary, { children: [toggle, file, picture] }] = this.element.children;
    summary.setAttribute("aria-label", fill(gettext("More of %(title)s"), { title: figure.spec.title }));
    this.element.addEventListener("click", ({ target }) => {
      if (!target.matches(".fold > *")) return;
      this.element.open = false;
      summary.focus();
      if (target === toggle) this.toggleTable(toggle);
      else if (target === file) file.href = this.address("csv");
      else if (target === picture) this.savePng();
    });
    closeOutside(this.element);
  }

  // Where the hub has what is shown in another form.
  address(form) {
    const { figure } = this;
    const { page, spec } = figure;
    return page.history.address({
      ...figure.shown(), kind: spec.kind, title: spec.title, ...(isLive(page.view) ? { live: 1 } : {}),
    }, form);
  }

  toggleTable(toggle) {
    const { table } = this;
    this.table = null;
    toggle.setAttribute("aria-expanded", !table);
    [toggle.textContent, toggle.dataset.other] = [toggle.dataset.other, toggle.textContent];
    if (table) return table.remove();
    this.table = make(
      "div", { class: "readings" },
      make("div", { class: "part-body", tabindex: "-1", "data-url": this.address("html") }, gettext("loading…")),
      make("p", { class: "panel-problem", role: "status", hidden: "" }),
    );
    this.figure.body.after(this.table);
    return new Part(this.table).refresh();
  }

  savePng() {
    const { figure } = this;
    const { page, spec } = figure;
    figure.draw(page.drawnNow());
    const [from, to] = figure.shownEdges().map((ms) => formatMoment(Math.round(ms / 1000) * 1000, page.zone));
    const note = [`${from} – ${to}`, page.zone, figure.note.textContent].filter(Boolean).join(" · ");
    const name = [page.group.replace(/^device:/, ""), spec.title, from, to].join(" ").replaceAll(/[^\p{L}\p{N}]+/gu, "-");
    compose({ note, ...figure.picture() }).toBlob((blob) => save(blob, `${name}.png`), "image/png");
  }
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
