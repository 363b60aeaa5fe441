// <hub-chart>: the numbers of one (name, unit), as lines or, above 18, as a band.

import { Band } from "./band.js";
import { icon, make, nameOf, setText, swatch } from "./dom.js";
import { Grid } from "./feed.js";
import { formatAgo, formatClock, unitBeside } from "./format.js";
import { GridFigure } from "./grid_figure.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { DASHES, MOST_LINES } from "./palette.js";
import { makePlot } from "./plot.js";

const LEGEND_GAP_MS = 450;
const BAND_POINTS = 400;
const LINE_POINTS = 2_000;

class HubChart extends GridFigure {
  build() {
    this.isBand = this.spec.lines.length > MOST_LINES;
    this.lanes = new Map(this.spec.lines.map((line, lane) => [line.id, lane]));
    this.points = this.isBand ? BAND_POINTS : LINE_POINTS;
    this.host = make("div", { class: "plot" });
    this.legend = make("ul", { class: "legend" });
    this.body.replaceChildren(this.host, this.legend);
    this.items = this.isBand ? this.bandItems() : this.spec.lines.map((line) => this.lineItem(line));
    this.cursor = null;
    this.legendMs = -Infinity;
    this.plot?.destroy();
    this.plot = null;
    this.sized ??= new ResizeObserver(() => this.resize());
    this.sized.observe(this.host);
    this.makeGrid();
  }

  makeGrid() {
    const { stepMs, buckets } = this.page.grid;
    const nowMs = this.page.hubNow();
    this.minGapMs = Math.min(1_000, Math.max(100, stepMs / 2));
    this.grid = this.isBand
      ? new Band({ stepMs, buckets, nowMs, gapMs: 15_000 })
      : new Grid({ stepMs, buckets, nowMs, lanes: this.spec.lines.length });
    this.plot?.setData(this.grid.columns, false);
  }

  put(row) {
    if (!this.isBand) this.putLane(row);
    else if (this.lanes.has(row.id)) {
      const { id, time, min, max, value } = this.placed(row);
      this.grid.put(id, time, Number(min), Number(max), Number(value));
      this.isDirty = true;
    }
  }

  merge(series, fromMs) {
    if (!this.isBand) return this.mergeLanes(series);
    for (const [id, one] of Object.entries(series)) this.page.notePeriod(Number(id), one.times);
    const gaps = this.spec.lines.map((line) => this.gapMs(line)).sort((a, b) => a - b);
    this.grid.gapMs = gaps[gaps.length >> 1];
    return this.grid.load(series, fromMs, this.page.hubNow());
  }

  draw(nowMs) {
    if (!this.host.clientWidth) return;
    this.grid.advance(nowMs);
    if (!this.isBand) {
      this.spec.lines.forEach((line, lane) => this.grid.setGap(lane, this.gapMs(line)));
      this.grid.settle();
    }
    this.plot ??= makePlot(this.host, {
      columns: this.grid.columns,
      lines: this.isBand ? null : this.spec.lines,
      page: this.page,
      isOpen: (line) => this.page.isStale() || this.page.isOldValue(line),
      onCursor: (index) => { this.cursor = index; this.legendMs = -Infinity; },
    });
    const plot = this.plot;
    plot.batch(() => {
      plot.setData(this.grid.columns, false);
      plot.setScale("x", { min: (nowMs - this.page.spanMs) / 1000, max: nowMs / 1000 });
    });
    this.isDirty = false;
    if (nowMs - this.legendMs >= LEGEND_GAP_MS || nowMs < this.legendMs) {
      this.legendMs = nowMs;
      if (this.isBand) this.writeBand(nowMs);
      else this.writeLines(nowMs);
      this.summarize(nowMs, () => this.describe());
    }
  }

  resize() {
    if (this.plot && this.host.clientWidth) {
      this.plot.setSize({ width: this.host.clientWidth, height: this.host.clientHeight });
    }
  }

  lineItem(line) {
    const item = {
      element: make("li"), value: make("b"), age: make("span", { class: "age" }), state: "live",
    };
    item.element.append(
      swatch(line.style, DASHES), nameOf(line.device, { class: "name", title: line.device }),
      item.value, item.age,
    );
    this.legend.append(item.element);
    return item;
  }

  writeLines(nowMs) {
    const isThen = this.cursor !== null && this.grid.columns[0][this.cursor] !== undefined;
    this.setNote(isThen
      ? formatClock(this.grid.columns[0][this.cursor] * 1000, this.page.zone)
      : this.page.spanNote());
    this.spec.lines.forEach((line, lane) => {
      const item = this.items[lane];
      const head = this.page.head(line.id);
      const state = this.page.stateOf(line.slug);
      const isOld = !isThen && this.page.isOldValue(line);
      const value = isThen ? this.grid.at(lane, this.cursor) : head?.value;
      setText(item.value, this.page.format(value, this.spec, line.id));
      setText(item.age, isOld && head ? formatAgo(nowMs - head.heardMs) : "");
      if (item.state !== state) {
        item.element.querySelector(".icon")?.remove();
        if (state !== "live" && state !== "new") item.value.before(icon(state, state));
        item.state = state;
      }
      item.element.classList.toggle("is-old", isOld);
    });
  }

  bandItems() {
    const middle = make("b");
    this.legend.append(make(
      "li", {}, swatch({ hue: 1, dash: 0 }, DASHES), make("span", {}, gettext("median")), middle,
    ));
    const others = make("li");
    this.legend.append(others);
    return { middle, others };
  }

  writeBand(nowMs) {
    const { lines } = this.spec;
    const columns = this.grid.columns;
    const isThen = this.cursor !== null && columns[0][this.cursor] !== undefined;
    const at = isThen ? this.cursor : columns[3].length - 1;
    const devices = ngettext("%(n)s device", "%(n)s devices", lines.length);
    this.setNote(isThen
      ? formatClock(columns[0][at] * 1000, this.page.zone)
      : fill(gettext("%(devices)s: median, lowest to highest"), { devices: fill(devices, { n: lines.length }) }));
    setText(this.items.middle, this.page.format(columns[3][at], this.spec));
    const parts = [];
    if (isThen) {
      parts.push([gettext("highest"), "", columns[1][at]], [gettext("lowest"), "", columns[2][at]]);
    } else {
      const { highest, lowest, far } = this.grid.outliers(nowMs);
      if (highest) parts.push([gettext("highest"), this.nameOf(highest.id), highest.value]);
      if (lowest) parts.push([gettext("lowest"), this.nameOf(lowest.id), lowest.value]);
      for (const one of far) parts.push([gettext("far off"), this.nameOf(one.id), one.value]);
    }
    const items = parts.map(([word, name, value]) => make(
      "li", {}, make("span", {}, word),
      make("b", {}, nameOf(name), " ", this.page.format(value, this.spec)),
    ));
    while (this.legend.children.length > 1) this.legend.lastChild.remove();
    this.legend.append(...items);
  }

  nameOf(id) {
    return this.spec.lines[this.lanes.get(id)]?.device ?? "";
  }

  describe() {
    const { lines, title, unit } = this.spec;
    const count = fill(ngettext("%(n)s device", "%(n)s devices", lines.length), { n: lines.length });
    const now = this.isBand
      ? this.page.format(this.grid.columns[3].at(-1), this.spec)
      : lines.map((line) => `${line.device} ${this.page.format(this.page.head(line.id)?.value, this.spec, line.id)}`).join(", ");
    return fill(gettext("%(title)s %(unit)s, %(count)s. Last: %(now)s"), { title, unit: unitBeside(title, unit), count, now });
  }
}

customElements.define("hub-chart", HubChart);
