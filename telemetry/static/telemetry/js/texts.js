// <hub-texts>: the last text of each device, with its age.

import { make, nameOf, setText } from "./dom.js";
import { HubFigure } from "./figure.js";
import { formatAgo } from "./format.js";
import { fill, gettext } from "./i18n.js";

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
    for (const { line, value, age } of this.rows) {
      const head = this.page.head(line.id);
      setText(value, this.page.format(head?.value, this.spec));
      setText(age, head ? formatAgo(nowMs - head.heardMs) : "");
      value.classList.toggle("is-old", this.page.isOldValue(line));
    }
  }
}

customElements.define("hub-texts", HubTexts);
