// “View as table”: the readings of a display, 25 a page, the newest first. It stays as it
// was when it was asked for, so that nothing moves under who reads it.

import { make, nameOf, setText } from "./dom.js";
import { formatClock, formatMoment } from "./format.js";
import { fill, gettext } from "./i18n.js";

export const PAGE_ROWS = 25;

export class ReadingsTable {
  // figure offers: list(), spec, page and cellText(number, row, column).
  constructor(figure) {
    this.figure = figure;
    this.at = 0;
    this.title = gettext("Readings as a table");
    this.body = make("tbody");
    this.head = make("tr");
    this.place = make("span", { role: "status" });
    this.newer = this.button(gettext("Newer"), () => this.turn(-1));
    this.older = this.button(gettext("Older"), () => this.turn(1));
    this.again = this.button(gettext("Renew"), () => this.load());
    this.element = make(
      "div", { class: "readings" },
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${this.title}: ${figure.spec.title}` },
        make("table", { class: "rows" }, make("thead", {}, this.head), this.body)),
      make("div", { class: "readings-foot" }, this.place, this.newer, this.older, this.again),
    );
  }

  button(text, onClick) {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", onClick);
    return button;
  }

  async load() {
    setText(this.place, gettext("loading…"));
    try {
      this.list = await this.figure.list();
    } catch (error) {
      return setText(this.place, error.reason ?? gettext("History could not be loaded."));
    }
    this.askedMs = this.figure.page.hubNow();
    this.at = 0;
    this.render();
  }

  turn(by) {
    this.at += by;
    this.render();
  }

  render() {
    const { figure, list } = this;
    const { rows, hasLines, columns } = list;
    const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
    this.head.replaceChildren(
      headCell(fill(gettext("Time (%(zone)s)"), { zone: figure.page.zone })),
      ...(hasLines ? [headCell(figure.spec.isByDevice ? gettext("Metric") : gettext("Device"))] : []),
      ...columns.map((name) => headCell(columnWord(name, figure.spec.kind), "num")),
    );
    const end = rows.length - this.at * PAGE_ROWS;
    const shown = rows.slice(Math.max(0, end - PAGE_ROWS), end).reverse();
    this.body.replaceChildren(...shown.map((row) => this.row(row)));
    this.newer.disabled = this.at === 0;
    this.older.disabled = this.at >= pages - 1;
    const text = rows.length
      ? gettext("Page %(page)s of %(pages)s, %(n)s rows, as of %(time)s")
      : gettext("No reading in this range, as of %(time)s");
    setText(this.place, fill(text, {
      page: this.at + 1, pages, n: rows.length.toLocaleString(), time: formatClock(this.askedMs, figure.page.zone),
    }));
  }

  row(row) {
    const { figure, list } = this;
    const [ms, ...rest] = row;
    const line = list.hasLines ? figure.spec.lines[rest.shift()] : null;
    return make(
      "tr", {}, make("th", { scope: "row" }, make("time", { datetime: new Date(ms).toISOString() }, formatMoment(ms, figure.page.zone))),
      ...(line ? [make("td", {}, nameOf(line.device))] : []),
      ...rest.map((number, at) => make("td", { class: "num" }, figure.cellText(number, line, list.columns[at]))),
    );
  }
}

function headCell(text, style = null) {
  return make("th", { scope: "col", class: style }, text);
}

function columnWord(name, kind) {
  const words = {
    value: gettext("Value"), mean: kind === "boolean" ? gettext("Share of time on") : gettext("Mean"),
    lowest: gettext("Lowest"), highest: gettext("Highest"), median: gettext("Median"), readings: gettext("Readings"),
  };
  return words[name];
}
