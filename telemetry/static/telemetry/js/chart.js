// <hub-chart>: the numbers of one (name, unit), as lines or, above 18, as a band.

import { Band } from "./band.js";
import { usualGapMs, usualRawGapMs } from "./buckets.js";
import { icon, make, nameOf, setText, swatch } from "./dom.js";
import { formatAgo, formatMoment, unitBeside } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { LoadedFigure } from "./loaded_figure.js";
import { DASHES, MOST_LINES } from "./palette.js";
import { makePlot } from "./plot.js";
import { edges, isLive } from "./range.js";
import { niceStep } from "./scale.js";

const LEGEND_GAP_MS = 450;
const BAND_POINTS = 400;

class HubChart extends LoadedFigure {
  build() {
    this.isBand = this.spec.lines.length > MOST_LINES;
    this.lanes = new Map(this.spec.lines.map((line, lane) => [line.id, lane]));
    this.host = make("div", { class: "plot" });
    this.legend = make("ul", { class: "legend" });
    this.body.replaceChildren(this.host, this.legend);
    this.items = this.isBand ? this.bandItems() : this.spec.lines.map((line) => this.lineItem(line));
    this.cursor = null;
    this.legendMs = -Infinity;
    this.sized ??= new ResizeObserver(() => this.resize());
    this.sized.observe(this.host);
    this.makeGrid();
  }

  get points() {
    return this.isBand ? BAND_POINTS : super.points;
  }

  gridFor(widthMs, view) {
    if (!this.isBand) return super.gridFor(widthMs, view);
    const [fromMs, toMs] = edges(view, this.page.hubNow());
    const stepMs = widthMs ?? niceStep(toMs - fromMs, this.points);
    return new Band({ stepMs, buckets: Math.ceil((toMs - fromMs) / stepMs), nowMs: toMs, gapMs: Math.max(15_000, 1.5 * stepMs) });
  }

  // Another grid has another shape: its plot takes the old one's place when it is drawn.
  setGrid(grid, view) {
    super.setGrid(grid, view);
    this.isPlotOld = true;
    this.cursor = null;
    this.legendMs = -Infinity;
    this.minGapMs = Math.min(1_000, Math.max(100, grid.stepMs / 2));
  }

  putLane(lane, row) {
    if (this.isBand) this.grid.put(row.id, row.time, Number(row.min), Number(row.max), Number(row.value));
    else super.putLane(lane, row);
  }

  merge(found, fromMs, nowMs) {
    if (!this.isBand) return super.merge(found, fromMs);
    this.spec.lines.forEach((line, lane) => {
      const one = found.series[line.id];
      if (one) this.noteGap(lane, one.times ? usualRawGapMs(one.times) : usualGapMs(one));
    });
    const gaps = this.spec.lines.map((line, lane) => this.gapMs(line, lane)).sort((a, b) => a - b);
    this.grid.gapMs = Math.max(gaps[gaps.length >> 1], 1.5 * this.grid.stepMs);
    return this.grid.load(found.series, fromMs, isLive(this.view) ? nowMs : this.view.toMs);
  }

  draw(nowMs) {
    if (!this.host.clientWidth || this.page.isSelecting) return;
    if (isLive(this.view)) this.grid.advance(nowMs);
    if (!this.isBand) this.setGaps();
    this.settleMeans(nowMs);
    const plot = this.plotOfGrid();
    const [fromMs, toMs] = this.drawn(nowMs);
    plot.batch(() => {
      plot.setData(this.grid.columns, false);
      plot.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
    });
    this.isDirty = false;
    if (nowMs - this.legendMs >= LEGEND_GAP_MS || nowMs < this.legendMs) {
      this.legendMs = nowMs;
      this.writeNote();
      this.writeEmpty(nowMs);
      if (this.isBand) this.writeBand(nowMs);
      else this.writeLines(nowMs);
      this.summarize(nowMs, () => this.describe());
    }
  }

  plotOfGrid() {
    if (!this.plot || this.isPlotOld) {
      this.plot?.destroy();
      this.plot = this.makePlot();
      this.isPlotOld = false;
    }
    return this.plot;
  }

  // An empty chart says that it is, and since when nothing came.
  writeEmpty(nowMs) {
    const isEmpty = this.hasLoaded && !this.loading && this.grid.isEmpty();
    if (!isEmpty && !this.empty) return;
    this.empty ??= make("p", { class: "plot-message" });
    if (!this.empty.isConnected) this.host.append(this.empty);
    this.empty.hidden = !isEmpty;
    const last = Math.max(...this.spec.lines.map((line) => this.page.head(line.id)?.heardMs ?? -Infinity));
    const ago = this.isNow() && Number.isFinite(last) ? fill(gettext("The last one came %(ago)s."), { ago: formatAgo(nowMs - last) }) : "";
    setText(this.empty, [gettext("No reading in this range."), ago].filter(Boolean).join(" "));
  }

  makePlot() {
    const { page } = this;
    return makePlot(this.host, {
      columns: this.grid.columns,
      shape: this.isBand ? "band" : this.widthMs === null ? "raw" : "buckets",
      lines: this.spec.lines,
      page,
      isOpen: (line) => page.isStale() || page.isOldValue(line),
      isNow: () => this.isNow(),
      missing: () => this.missing.map(([, from, to]) => [from / 1000, to / 1000]),
      onCursor: (index) => { this.cursor = index; this.legendMs = -Infinity; },
      onSelect: (fromMs, toMs) => page.choose({ fromMs, toMs }),
      onReset: () => page.choose(null),
    });
  }

  resize() {
    if (this.plot && this.host.clientWidth) {
      this.plot.setSize({ width: this.host.clientWidth, height: this.host.clientHeight });
    }
  }

  // Where the pointer is, else the newest place, where this is no longer now.
  get then() {
    const [times] = this.grid.columns;
    return this.cursor !== null && times[this.cursor] !== undefined ? this.cursor : null;
  }

  writeNote() {
    const { then, page } = this;
    const nowMs = page.hubNow();
    if (then !== null) return this.setNote(formatMoment(this.grid.columns[0][then] * 1000, page.zone));
    if (!this.isBand) return this.setNote(this.rollup(nowMs));
    const devices = fill(ngettext("%(n)s device", "%(n)s devices", this.spec.lines.length), { n: this.spec.lines.length });
    return this.setNote(`${fill(gettext("%(devices)s: median, lowest to highest"), { devices })} · ${this.rollup(nowMs)}`);
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
    const { then } = this;
    const isThen = then !== null || !this.isNow();
    this.spec.lines.forEach((line, lane) => {
      const item = this.items[lane];
      const head = this.page.head(line.id);
      const state = isThen ? "live" : this.page.stateOf(line.slug);
      const isOld = !isThen && this.page.isOldValue(line);
      const shown = isThen ? this.valueThen(lane, then) : { value: head?.value };
      const format = (value) => this.page.format(value, this.spec, line.id);
      setText(item.value, format(shown.value));
      const spread = typeof shown.low === "number" && shown.low !== shown.high ? `${format(shown.low)} – ${format(shown.high)}` : "";
      setText(item.age, isOld && head ? formatAgo(nowMs - head.heardMs) : spread);
      if (item.state !== state) {
        item.element.querySelector(".icon")?.remove();
        if (state !== "live" && state !== "new") item.value.before(icon(state, state));
        item.state = state;
      }
      item.element.classList.toggle("is-old", isOld);
    });
  }

  // {value, low, high} at an index, or the last of the range.
  valueThen(lane, index) {
    if (index === null) return { value: this.grid.newest(lane) };
    const found = this.grid.at(lane, index);
    return this.widthMs === null ? { value: found } : found;
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
    const [, high, low, middle] = this.grid.columns;
    const isThen = this.then !== null || !this.isNow();
    const at = this.then ?? middle.findLastIndex((value) => typeof value === "number");
    setText(this.items.middle, this.page.format(middle[at], this.spec));
    const parts = [];
    if (isThen) {
      parts.push([gettext("highest"), "", high[at]], [gettext("lowest"), "", low[at]]);
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
    const valueOf = (line, lane) => (this.isNow() ? this.page.head(line.id)?.value : this.grid.newest(lane));
    const now = this.isBand
      ? this.page.format(this.grid.columns[3].findLast((value) => typeof value === "number"), this.spec)
      : lines.map((line, lane) => `${line.device} ${this.page.format(valueOf(line, lane), this.spec, line.id)}`).join(", ");
    return fill(gettext("%(title)s %(unit)s, %(count)s. Last: %(now)s"), { title, unit: unitBeside(title, unit), count, now });
  }
}

customElements.define("hub-chart", HubChart);
