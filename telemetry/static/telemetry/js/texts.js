// <hub-texts>: the last text of each device, with its age; in a range that has ended the
// last one of then, where it is at hand.

import { make, nameOf, setText } from "./dom.js";
import { HubFigure } from "./figure.js";
import { formatAgo, formatDateTime } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { isLive } from "./range.js";

const MOST_ROWS = 18;

class HubTexts extends HubFigure {
  minGapMs = 500;

  build() {
    const table = make("table", { class: "texts" }, make("tbody"));
    this.rows = this.spec.lines.slice(0, MOST_ROWS).map((line) => {
      const row = { line, value: nameOf(""), age: make("td") };
      table.tBodies[0].append(make(
        "tr", {}, make("th", { scope: "row" }, nameOf(line.device)), make("td", {}, row.value), row.age,
      ));
      return row;
    });
    this.body.replaceChildren(table);
    const more = this.spec.lines.length - this.rows.length;
    this.setNote(more > 0 ? fill(gettext("and %(n)s more"), { n: more }) : "");
  }

  put() {
    this.isDirty = true;
  }

  draw(nowMs) {
    this.isDirty = false;
    const { view } = this.page;
    for (const row of this.rows) {
      const head = this.page.head(row.line.id);
      if (isLive(view)) this.drawNow(row, head, nowMs);
      else this.drawThen(row, head, view.toMs);
    }
  }

  drawNow({ line, value, age }, head, nowMs) {
    setText(value, this.page.format(head?.value, this.spec));
    setText(age, head ? formatAgo(nowMs - head.heardMs) : "");
    value.classList.toggle("is-old", this.page.isOldValue(line));
  }

  // In a range that has ended only what held at its end belongs: the last text, unless
  // it came later.
  drawThen({ value, age }, head, toMs) {
    const isOfThen = head !== undefined && head.time < toMs;
    setText(value, isOfThen ? this.page.format(head.value, this.spec) : "–");
    setText(age, isOfThen ? formatDateTime(head.time, this.page.zone) : gettext("not shown for past ranges"));
    value.classList.toggle("is-old", !isOfThen);
  }
}

customElements.define("hub-texts", HubTexts);
