// A display whose readings lie on a grid of time: which grid it has, what is drawn of it,
// what is said of it, and how live rows go in.

import { gettext } from "./i18n.js";
import { make, setText } from "./dom.js";
import { BucketGrid, usualGapMs, usualRawGapMs } from "./buckets.js";
import { Grid } from "./feed.js";
import { lateAfterMs } from "./presence.js";
import { HubFigure } from "./figure.js";
import { missingText } from "./missing.js";
import { edges, isLive, spanOf } from "./range.js";
import { rollupText } from "./rollup.js";
import { niceStep } from "./scale.js";

// Devices may run ahead of the hub; their readings belong to the history as well.
export const AHEAD_MS = 60_000;
const MOST_POINTS = 2_000;
// More live rows than this while history is loaded: it is loaded once more.
const MOST_ROWS = 20_000;

export class GridFigure extends HubFigure {
  configure(page, spec) {
    // Series id → time of its last row: from there on only live rows tell.
    this.lastTimes = new Map(spec.lines.map((line) => [line.id, page.head(line.id)?.time]));
    super.configure(page, spec);
  }

  // An empty grid for the page's view, at its beginning: live rows are shown at once.
  makeGrid() {
    this.forget();
    this.hasLoaded = false;
    this.shownAnswer({ width_ms: null, resolution: 0, missing: [] }, this.page.view);
    this.setGrid(this.gridFor(null, this.page.view), this.page.view);
  }

  get points() {
    const width = this.host?.clientWidth || this.clientWidth || 600;
    return Math.min(MOST_POINTS, Math.max(200, Math.round(2 * width)));
  }

  // A grid of readings (widthMs null) or of buckets for a view.
  gridFor(widthMs, view) {
    const [fromMs, toMs] = edges(view, this.page.hubNow());
    const lanes = this.spec.lines.length;
    if (widthMs !== null) {
      return new BucketGrid({ stepMs: widthMs, lanes, fromMs, toMs, aheadMs: isLive(view) ? AHEAD_MS : 0 });
    }
    const stepMs = niceStep(toMs - fromMs, this.points);
    return new Grid({ stepMs, buckets: Math.ceil((toMs - fromMs) / stepMs), nowMs: toMs, lanes });
  }

  setGrid(grid, view) {
    this.grid = grid;
    this.view = view;
    this.gaps = new Map(); // lane → ms, what was loaded says
  }

  // What there is to say of an answer: its rollup, and what could not be read.
  shownAnswer({ width_ms: widthMs, resolution, missing }, view) {
    this.widthMs = widthMs;
    this.resolution = resolution;
    this.missing = missing;
    this.sayMissing(view);
  }

  shownMissing({ missing }, fromMs, view) {
    this.missing = [...this.missing.filter(([, , toMs]) => toMs < fromMs), ...missing];
    this.sayMissing(view);
  }

  sayMissing(view) {
    const text = this.missing.length ? missingText(this.missing, this.spec.lines, this.page.zone, edges(view, this.page.hubNow())) : "";
    if (!text && !this.missingElement) return;
    this.missingElement ??= make("p", { class: "missing", role: "status" });
    if (!this.missingElement.isConnected) this.body.after(this.missingElement);
    setText(this.missingElement, text);
    this.missingElement.hidden = !text;
  }

  // Out of sight as well: the window goes on.
  advance(nowMs) {
    if (isLive(this.view)) this.grid.advance(nowMs);
  }

  // What is drawn: the page's range as soon as this grid holds it, else still its own.
  drawn(nowMs) {
    const wanted = edges(this.page.view, nowMs);
    if (this.view === this.page.view) return wanted;
    const have = edges(this.view, nowMs);
    return have[0] <= wanted[0] && wanted[1] <= have[1] ? wanted : have;
  }

  isNow() {
    return isLive(this.view) && isLive(this.page.view);
  }

  rollup(nowMs) {
    if (!this.hasLoaded) return this.loading ? gettext("loading…") : "";
    const isThinned = this.widthMs === null && !(this.grid.isRaw?.(nowMs - spanOf(this.view)) ?? true);
    const text = rollupText({
      widthMs: isThinned ? this.grid.stepMs : this.widthMs,
      resolution: this.resolution,
      isShare: this.spec.kind === "boolean",
    });
    return this.view !== this.page.view && this.loading ? `${text} · ${gettext("loading…")}` : text;
  }

  startOf(timeMs, widthMs) {
    return widthMs === null ? timeMs : Math.floor(timeMs / widthMs) * widthMs;
  }

  // How long a lane may be silent before its line breaks: what was loaded says it, and
  // in a range that goes on what comes in now.
  gapMs(line, lane) {
    const loadedMs = this.gaps.get(lane) ?? 0;
    if (!loadedMs) return lateAfterMs(this.page.periodMs(line.slug, line.id));
    const ownMs = isLive(this.view) ? this.page.ownPeriodMs(line.id) : null;
    return Math.max(loadedMs, lateAfterMs(ownMs ?? 0));
  }

  setGaps() {
    this.spec.lines.forEach((line, lane) => this.grid.setGap(lane, this.gapMs(line, lane)));
    this.grid.settle();
  }

  // History into the lanes of a grid, by the order of the lines.
  merge(found, fromMs) {
    this.spec.lines.forEach((line, lane) => {
      const one = found.series[line.id];
      if (this.widthMs === null) this.mergeReadings(line, lane, one);
      else {
        this.grid.load(lane, one, fromMs);
        if (one) this.noteGap(lane, usualGapMs(one));
      }
    });
    this.grid.settle();
  }

  mergeReadings(line, lane, one) {
    if (!one) return;
    this.noteGap(lane, usualRawGapMs(one.times));
    for (let at = 0; at < one.times.length; at += 1) this.grid.put(lane, one.times[at], one.values[at]);
  }

  // A part that is loaded again says little of what is usual.
  noteGap(lane, gapMs) {
    this.gaps.set(lane, Math.max(gapMs, this.gaps.get(lane) ?? 0));
  }

  // A live row.
  put(row) {
    if (!this.lanes.has(row.id)) return;
    const placed = this.placed(row);
    for (const wish of this.wishes) {
      if (wish.rows.length < MOST_ROWS) wish.rows.push(placed);
      else wish.isOverflown = true;
    }
    this.putRow(placed);
  }

  putRow(row) {
    // Nothing joins a fixed range at its end; what falls into it belongs to it.
    if (!isLive(this.view) && !(row.time >= this.view.fromMs && row.time < this.view.toMs)) return;
    this.putLane(this.lanes.get(row.id), row);
    this.isDirty = true;
  }

  putLane(lane, row) {
    const [min, max, value] = [Number(row.min), Number(row.max), Number(row.value)];
    if (this.widthMs === null) this.grid.put(lane, row.time, min, max, value, row.count);
    else this.grid.put(lane, { time: row.time, min, max, value, count: row.count });
  }

  // A row that merges more than two buckets (a device has sent what it had kept, or this
  // page was behind) does not say where its extremes lie: history is asked.
  placed(row) {
    const before = this.lastTimes.get(row.id);
    this.lastTimes.set(row.id, row.time);
    if (before === undefined || row.count < 2) return row;
    const spanMs = (row.time - before) * (row.count - 1) / row.count;
    if (spanMs <= 2 * this.grid.stepMs) return row;
    this.reloadFrom(before);
    return { ...row, min: row.value, max: row.value, count: 1 };
  }
}
