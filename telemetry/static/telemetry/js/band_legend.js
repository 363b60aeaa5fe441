// The legend of a band: the median, and who stands out: now, where the cursor is, or in all
// of a range that has ended.

import { make, nameOf, setText, swatch } from "./dom.js";
import { formatMoment } from "./format.js";
import { gettext } from "./i18n.js";
import { DASHES } from "./palette.js";

export class BandLegend {
  // chart: a <hub-chart>; list: the element of its legend.
  constructor(chart, list) {
    Object.assign(this, { chart, list, items: [] });
    this.median = make("b");
    list.append(make("li", {}, swatch({ hue: 1, dash: 0 }, DASHES), make("span", {}, gettext("median")), this.median));
  }

  // [[word, name, value, time]…], the median first.
  parts(nowMs) {
    const { chart } = this;
    const { grid, then } = chart;
    const [, high, low, middle] = grid.columns;
    const at = then ?? middle.findLastIndex((value) => typeof value === "number");
    const parts = [[gettext("median"), "", this.format(middle[at])]];
    if (then === null && chart.isNow()) {
      const { highest, lowest, far } = grid.outliers(nowMs);
      parts.push(this.part(gettext("highest"), highest), this.part(gettext("lowest"), lowest));
      parts.push(...far.map((one) => this.part(gettext("far off"), one)));
    } else {
      const who = then === null ? null : grid.who[then];
      const { highest, lowest } = then === null
        ? grid.extremes(...chart.shownEdges().map((ms) => ms / 1000))
        : { highest: who && { id: who.high, value: high[then] }, lowest: who && { id: who.low, value: low[then] } };
      parts.push(this.part(gettext("highest"), highest), this.part(gettext("lowest"), lowest));
    }
    return parts.filter(Boolean);
  }

  part(word, one) {
    if (!one) return null;
    const { lanes, spec, page } = this.chart;
    const name = spec.lines[lanes.get(one.id)]?.device ?? "";
    return [word, name, this.format(one.value), one.seconds ? formatMoment(one.seconds * 1000, page.zone) : ""];
  }

  format(value) {
    return this.chart.page.format(value, this.chart.spec);
  }

  write(nowMs) {
    const [[, , median], ...parts] = this.parts(nowMs);
    setText(this.median, median);
    parts.forEach(([word, name, value, at], place) => {
      const item = this.item(place);
      setText(item.word, word);
      setText(item.name, name);
      setText(item.value, value);
      setText(item.at, at);
    });
    while (this.list.children.length > parts.length + 1) this.list.lastChild.remove();
  }

  // Those that stay are only written anew.
  item(place) {
    const { items } = this;
    items[place] ??= { word: make("span"), name: nameOf(""), value: make("span"), at: make("span", { class: "age" }) };
    const item = items[place];
    item.element ??= make("li", {}, item.word, make("b", {}, item.name, " ", item.value), item.at);
    if (!item.element.isConnected) this.list.append(item.element);
    return item;
  }
}
