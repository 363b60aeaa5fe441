// <hub-chart>: the numbers of one (name, unit), as lines or, above 18, as a band.

import { Band } from "./band.js";
import { BandLegend } from "./band_legend.js";
import { usualGapMs, usualRawGapMs } from "./buckets.js";
import { bindKeys } from "./chart_keys.js";
import { icon, make, nameOf, setText, swatch } from "./dom.js";
import { formatAgo, formatMoment, unitBeside } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { LoadedFigure } from "./loaded_figure.js";
import { marksText, NO_MARKS } from "./marks.js";
import { DASHES, MOST_LINES } from "./palette.js";
import { makePlot } from "./plot.js";
import { edges, isLive } from "./range.js";
import { niceStep } from "./scale.js";
import { nearestPlace } from "./steps.js";

const LEGEND_GAP_MS = 250;
const BAND_POINTS = 400;

class HubChart extends LoadedFigure {
  build() {
    this.isBand = this.spec.lines.length > MOST_LINES;
    this.lanes = new Map(this.spec.lines.map((line, lane) => [line.id, lane]));
    this.host = make("div", { class: "plot" });
    this.keyedS = null; // where the keyboard's cursor is
    this.marks = NO_MARKS;
    bindKeys(this.host, this, `${this.spec.title} ${unitBeside(this.spec.title, this.spec.unit)}`.trim());
    this.legend = make("ul", { class: "legend" });
    this.body.replaceChildren(this.host, this.legend);
    this.band = this.isBand ? new BandLegend(this, this.legend) : null;
    this.items = this.isBand ? [] : this.spec.lines.map((line) => this.lineItem(line));
    this.cursor = null;
    this.legendMs = -Infinity;
    this.sized?.disconnect();
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(this.host);
    this.makeGrid();
  }

  // Gone for good (not only moved): a plot that stays in the others' cursor group would
  // be kept for ever.
  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.plot?.destroy();
      this.plot = null;
      this.sized?.disconnect();
      this.forget();
    });
  }

  // Thresholds and annotations, see marks.js.
  setMarks({ levels = [], moments = [] }) {
    this.marks = { levels, moments };
    this.isDirty = true;
    this.summarizedMs = -Infinity;
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
    // A place is a pixel or two: what has come in there is seen by its height as well.
    this.minGapMs = Math.min(1_000, Math.max(100, grid.stepMs / 10));
  }

  put(row) {
    super.put(row);
    this.freshMs = row.time;
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
    if (!this.isConnected) return;
    // Not measured each time: after a legend has changed that lays the page out anew.
    this.widthPx ||= this.host.clientWidth;
    if (!this.widthPx || this.page.isSelecting) return;
    if (isLive(this.view)) this.grid.advance(nowMs);
    if (!this.isBand) this.setGaps();
    this.settleMeans(nowMs);
    const plot = this.plotOfGrid();
    const [fromMs, toMs] = this.drawn(nowMs);
    plot.batch(() => {
      plot.setData(this.grid.columns, false);
      plot.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
    });
    if (this.keyedS !== null) this.pointAtTime(this.keyedS);
    this.isDirty = false;
    if (this.freshMs && this.isNow()) this.page.delays.note(nowMs - this.freshMs, nowMs);
    this.freshMs = null;
    if (nowMs - this.legendMs >= LEGEND_GAP_MS || nowMs < this.legendMs) this.writeReadout(nowMs);
  }

  // What the legend and the note say, of now or of where the cursor is.
  writeReadout(nowMs) {
    this.isPointed = false;
    this.legendMs = nowMs;
    this.writeNote();
    this.writeEmpty(nowMs);
    if (this.isBand) this.band.write(nowMs);
    else this.writeLines(nowMs);
    this.summarize(nowMs, () => this.describe());
  }

  // --- the cursor -------------------------------------------------------------------

  notePointer(index) {
    if (index === this.cursor || !this.plot) return;
    this.cursor = index;
    this.isPointed = true; // the next frame writes it, see scheduler.js
    this.page.cursorS = index === null ? null : this.plot.data[0][index];
  }

  get isKeyed() {
    return this.keyedS !== null;
  }

  // The index of the keyboard's cursor, null for none.
  get pointed() {
    return this.keyedS === null || !this.plot.data[0].length ? null : nearestPlace(this.plot.data[0], this.keyedS);
  }

  pointAt(index) {
    this.pointAtTime(index === null ? null : this.plot.data[0][index]);
  }

  // All charts show the same time; a cursor that time has left behind is gone.
  pointAtTime(seconds) {
    const { plot } = this;
    const left = seconds === null ? -1 : plot.valToPos(seconds, "x");
    const isGone = left < 0;
    this.keyedS = isGone ? null : seconds;
    plot.setCursor(isGone ? { left: -10, top: -10 } : { left, top: 0 }, true, true);
    this.notePointer(this.pointed);
  }

  zoom(isOut) {
    if (!this.isKeyed) return this.page.zoom(isOut);
    const [fromMs, toMs] = this.shownEdges();
    const half = (toMs - fromMs) * (isOut ? 1 : 0.25);
    return this.page.choose({ fromMs: this.keyedS * 1000 - half, toMs: this.keyedS * 1000 + half });
  }

  // What is at the keyboard's cursor, to be read out.
  spoken() {
    const at = this.pointed;
    if (at === null) return this.describe();
    const values = this.isBand
      ? this.band.parts(this.page.hubNow()).map((part) => part.filter(Boolean).join(" "))
      : this.spec.lines.map((line, lane) => [line, this.valueThen(lane, at).value])
        .filter(([, value]) => typeof value === "number")
        .map(([line, value]) => `${line.device} ${this.formatOf(line, value)}`);
    return `${formatMoment(this.plot.data[0][at] * 1000, this.page.zone)}: ${values.join(", ")}`;
  }

  formatOf(line, value) {
    return this.page.format(value, line.key ? line : this.spec, line.id);
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
      marks: () => this.marks,
      onCursor: (index) => this.notePointer(index),
      onSelect: (fromMs, toMs) => page.choose({ fromMs, toMs }),
      onReset: () => page.choose(null),
    });
  }

  resize() {
    this.widthPx = this.host.clientWidth;
    if (this.plot && this.widthPx) this.plot.setSize({ width: this.widthPx, height: this.host.clientHeight });
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
    return this.setNote(`${fill(gettext("%(devices)s: median, lowest to highest"), { devices: this.countText(nowMs) })} · ${this.rollup(nowMs)}`);
  }

  // Of how many the band is: who is silent now is not in it.
  countText(nowMs = null) {
    const all = this.spec.lines.length;
    const on = this.isBand && nowMs !== null && this.isNow() ? this.grid.countFresh(nowMs) : all;
    const words = this.spec.isByDevice
      ? ngettext("%(n)s metric", "%(n)s metrics", all)
      : ngettext("%(n)s device", "%(n)s devices", all);
    return fill(words, { n: on && on < all ? fill(gettext("%(on)s of %(all)s"), { on, all }) : all });
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
      const format = (value) => this.formatOf(line, value);
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

  // --- what can be taken away -------------------------------------------------------

  picture() {
    const legend = this.isBand
      ? this.band.parts(this.page.hubNow()).map((part, at) => ({ style: at ? null : { hue: 1, dash: 0 }, text: part.filter(Boolean).join(" ") }))
      : this.spec.lines.map((line, lane) => ({ style: line.style, text: `${line.device} ${this.items[lane].value.textContent}` }));
    const { title, unit } = this.spec;
    return { title: `${title} ${unitBeside(title, unit)}`.trim(), images: [{ canvas: this.plot.ctx.canvas }], legend };
  }

  describe() {
    const { lines, title, unit } = this.spec;
    const valueOf = (line, lane) => (this.isNow() ? this.page.head(line.id)?.value : this.grid.newest(lane));
    const now = this.isBand
      ? this.page.format(this.grid.columns[3].findLast((value) => typeof value === "number"), this.spec)
      : lines.map((line, lane) => `${line.device} ${this.formatOf(line, valueOf(line, lane))}`).join(", ");
    const said = fill(gettext("%(title)s %(unit)s, %(count)s. Last: %(now)s"), { title, unit: unitBeside(title, unit), count: this.countText(), now });
    const marked = marksText(this.marks);
    return marked ? `${said}. ${fill(gettext("Marked: %(what)s"), { what: marked })}` : said;
  }
}

customElements.define("hub-chart", HubChart);
