// What one can take away of a display: its readings as a table or a file, its picture.

import { icon, make } from "./dom.js";
import { closeOutside } from "./fold.js";
import { fill, gettext } from "./i18n.js";
import { edges } from "./range.js";
import { compose } from "./picture.js";
import { csvOf, fileName, rangeText } from "./readings_list.js";
import { ReadingsTable } from "./readings_table.js";

export class FigureMenu {
  // figure offers: spec, page, body, list(), picture(), cellText(), shownEdges().
  constructor(figure) {
    this.figure = figure;
    this.table = null;
    this.toggle = this.button(gettext("View as table"), () => this.toggleTable());
    this.toggle.setAttribute("aria-expanded", "false");
    const name = fill(gettext("More of %(title)s"), { title: figure.spec.title });
    this.element = make(
      "details", { class: "figure-menu" }, make("summary", { "aria-label": name, title: gettext("Table, CSV, picture") }, icon("more")),
      make("div", { class: "fold" }, this.toggle,
        this.button(gettext("Save as CSV"), () => this.saveCsv()),
        this.button(gettext("Save as PNG"), () => this.savePng())),
    );
    closeOutside(this.element);
  }

  button(text, act) {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      this.element.open = false;
      this.element.querySelector("summary").focus();
      act();
    });
    return button;
  }

  toggleTable() {
    const { figure } = this;
    const isOpen = this.table === null;
    this.table?.element.remove();
    this.table = isOpen ? new ReadingsTable(figure) : null;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    this.toggle.textContent = isOpen ? gettext("Hide the table") : gettext("View as table");
    if (!isOpen) return;
    figure.body.after(this.table.element);
    this.table.load();
  }

  async saveCsv() {
    const { figure } = this;
    const range = figure.shownEdges();
    try {
      const list = await figure.list();
      // With a mark of its coding, for who opens it in a spreadsheet.
      save(new Blob(["\ufeff", csvOf(list, figure.spec)], { type: "text/csv;charset=utf-8" }), this.name(range, "csv"));
    } catch (error) {
      figure.message(error.reason ?? gettext("History could not be loaded."));
    }
  }

  savePng() {
    const { figure } = this;
    figure.draw(figure.page.drawnNow());
    const range = figure.shownEdges();
    const note = [rangeText(range, figure.page.zone), figure.page.zone, figure.note.textContent].filter(Boolean).join(" · ");
    compose({ note, ...figure.picture() }).toBlob((blob) => save(blob, this.name(range, "png")), "image/png");
  }

  name(range, ending) {
    const { page, spec } = this.figure;
    return fileName([page.group.replace(/^device:/, ""), spec.title], range, ending);
  }
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
