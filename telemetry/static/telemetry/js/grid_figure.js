// A display whose readings lie on a grid of time: loads history, takes live rows.

import { gettext } from "./i18n.js";
import { make } from "./dom.js";
import { lateAfterMs } from "./presence.js";
import { HubFigure } from "./figure.js";

const RELOAD_GAP_MS = 2_000;
// Devices may run ahead of the hub; their readings belong to the history as well.
const AHEAD_MS = 60_000;

export class GridFigure extends HubFigure {
  constructor() {
    super();
    this.isWanted = false; // has been in sight since the span was chosen
    this.wantedFromMs = null; // what is to be loaded again, from when
    this.loading = null;
  }

  configure(page, spec) {
    // Series id → time of its last row: from there on only live rows tell.
    this.lastTimes = new Map(spec.lines.map((line) => [line.id, page.head(line.id)?.time]));
    super.configure(page, spec);
  }

  // A new span: everything is loaded again.
  restart() {
    this.makeGrid();
    this.loading = null;
    this.wantedFromMs = null;
    if (this.isWanted) this.load();
  }

  // Called when the display comes in sight, and to catch up. Resolves to how many of
  // the readings are later than lostMs and earlier than now.
  async load(fromMs = this.page.hubNow() - this.page.spanMs, lostMs = Infinity) {
    this.isWanted = true;
    const { page, spec, grid } = this;
    const nowMs = page.hubNow();
    const wish = {};
    this.loading = wish;
    this.message(null);
    try {
      const found = await page.history.load({
        name: spec.name, unit: spec.unit, fromMs, toMs: nowMs + AHEAD_MS, points: this.points,
      });
      if (grid !== this.grid) return 0;
      this.merge(found.series, fromMs);
      this.isDirty = true;
      return countBetween(found, lostMs, nowMs);
    } catch (error) {
      if (wish === this.loading) this.message(error.reason ?? gettext("History could not be loaded."));
      return 0;
    } finally {
      if (wish === this.loading) this.loading = null;
    }
  }

  // Older readings came in: load that part again, soon, once for many.
  reloadFrom(fromMs) {
    if (!this.isWanted) return;
    const isPlanned = this.wantedFromMs !== null;
    this.wantedFromMs = Math.min(fromMs, this.wantedFromMs ?? Infinity);
    if (isPlanned) return;
    setTimeout(() => {
      const from = this.wantedFromMs;
      this.wantedFromMs = null;
      if (from !== null) this.load(Math.max(from, this.page.hubNow() - this.page.spanMs));
    }, RELOAD_GAP_MS);
  }

  // Out of sight as well: the window goes on.
  advance(nowMs) {
    this.grid.advance(nowMs);
  }

  gapMs(line) {
    return lateAfterMs(this.page.periodMs(line.slug, line.id));
  }

  message(text) {
    this.messageElement?.remove();
    if (text === null) return;
    const again = make("button", { type: "button" }, gettext("Try again"));
    again.addEventListener("click", () => this.load());
    this.messageElement = make("p", { class: "plot-message" }, text, again);
    this.body.append(this.messageElement);
  }

  // Into the lanes of a Grid, by the order of the lines.
  mergeLanes(series) {
    this.spec.lines.forEach((line, lane) => {
      const one = series[line.id];
      if (!one) return;
      if (one.times.length < this.points) this.page.notePeriod(line.id, one.times);
      for (let at = 0; at < one.times.length; at += 1) {
        this.grid.put(lane, one.times[at], Number(one.values[at]));
      }
    });
    this.grid.settle();
  }

  putLane(row) {
    const lane = this.lanes.get(row.id);
    if (lane === undefined) return;
    const { time, min, max, value } = this.placed(row);
    this.grid.put(lane, time, Number(min), Number(max), Number(value));
    this.isDirty = true;
  }

  // A row that merges more than two buckets (a device has sent what it had kept, or this
  // page was behind) does not say where its extremes lie: history is asked.
  placed(row) {
    const before = this.lastTimes.get(row.id);
    this.lastTimes.set(row.id, row.time);
    if (before === undefined || row.count < 2) return row;
    const spanMs = (row.time - before) * (row.count - 1) / row.count;
    if (spanMs <= 2 * this.page.grid.stepMs) return row;
    this.reloadFrom(before);
    return { ...row, min: row.value, max: row.value };
  }
}

// Exact, unless so many came that the hub has thinned them: then all that it read.
function countBetween({ count, series }, afterMs, untilMs) {
  const times = Object.values(series).flatMap((one) => one.times);
  if (afterMs !== Infinity && times.length < count) return count;
  return times.filter((time) => time > afterMs && time <= untilMs).length;
}
