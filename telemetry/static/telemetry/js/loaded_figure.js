// A display that loads history over HTTP and lets live rows go on where it ends.
//
// The order that leaves no gap and no duplicate: live rows come in first (the page has
// subscribed), then history is asked for. What comes in while it is on its way is kept
// and put in again after it; each grid knows what it has already. A new view is loaded
// into a new grid: until that is there the old one stays on the screen.

import { make } from "./dom.js";
import { FigureMenu } from "./figure_menu.js";
import { AHEAD_MS, GridFigure } from "./grid_figure.js";
import { gettext } from "./i18n.js";
import { edges, isLive } from "./range.js";

const RELOAD_GAP_MS = 2_000;
// How soon means that live rows have only estimated are asked for.
const EXACT_GAP_MS = 20_000;

export class LoadedFigure extends GridFigure {
  constructor() {
    super();
    this.isWanted = false; // has been in sight since the view was chosen
    this.wantedFromMs = null; // what is to be loaded again, from when
    this.wishes = new Set(); // what is being loaded
  }

  get loading() {
    return this.wishes.size > 0;
  }

  extras() {
    this.menu = new FigureMenu(this);
    return [this.menu.element];
  }

  // What is to be asked for, of the hub.
  get query() {
    return this.spec.query ?? { name: this.spec.name, unit: this.spec.unit };
  }

  // What is to be asked for to get what is shown.
  shown() {
    const [fromMs, toMs] = this.shownEdges();
    return { ...this.query, fromMs, toMs, points: this.points, widthMs: this.widthMs };
  }

  shownEdges() {
    return this.drawn(this.page.drawnNow());
  }

  // The page shows another range: all is loaded again, at once where somebody looks.
  restart(isInSight) {
    this.forget();
    this.message(null);
    this.isWanted = false;
    if (isInSight) this.load();
  }

  forget() {
    for (const wish of this.wishes) wish.stop.abort();
    this.wishes.clear();
    this.wantedFromMs = null;
    this.exactMs = this.page.hubNow();
  }

  // Called when the display comes in sight, and to catch up from a time on. Resolves to
  // how many of the readings are later than lostMs and earlier than now.
  async load(fromMs = null, lostMs = Infinity) {
    this.isWanted = true;
    const { page } = this;
    const isWhole = fromMs === null || this.view !== page.view || !this.hasLoaded;
    const view = page.view;
    const nowMs = page.hubNow();
    const [viewFromMs, viewToMs] = edges(view, nowMs);
    const widthMs = isWhole ? null : this.widthMs;
    const askedMs = isWhole ? viewFromMs : this.startOf(Math.max(fromMs, viewFromMs), widthMs);
    const wish = { rows: [], isOverflown: false, stop: new AbortController(), grid: this.grid };
    this.wishes.add(wish);
    this.message(null);
    this.writeNote?.();
    try {
      const found = await page.history.load({
        ...this.query, fromMs: askedMs, toMs: viewToMs + (isLive(view) ? AHEAD_MS : 0),
        points: this.points, widthMs, signal: wish.stop.signal,
      });
      if (!this.wishes.has(wish)) return 0;
      this.wishes.delete(wish);
      this.take(found, wish, view, { isWhole, fromMs: askedMs, nowMs });
      return countBetween(found, lostMs, nowMs);
    } catch (error) {
      if (this.wishes.has(wish)) this.message(error.reason ?? gettext("History could not be loaded."));
      return 0;
    } finally {
      this.wishes.delete(wish);
      this.writeNote?.();
    }
  }

  take(found, wish, view, { isWhole, fromMs, nowMs }) {
    if (!isWhole && (wish.grid !== this.grid || (found.width_ms ?? null) !== this.widthMs)) {
      // What was raw has become too much for that, or another view is shown by now.
      this.load();
      return;
    }
    if (isWhole) {
      this.setGrid(this.gridFor(found.width_ms, view), view);
      this.hasLoaded = true;
      this.shownAnswer(found, view);
    } else this.shownMissing(found, fromMs, view);
    this.merge(found, fromMs, nowMs);
    for (const row of wish.rows) this.putRow(row);
    this.isDirty = true;
    if (wish.isOverflown) this.reloadFrom(fromMs);
    // The old picture goes when the new one is there.
    if (isWhole) this.draw(this.page.drawnNow());
  }

  // Older readings came in: load that part again, soon, once for many.
  reloadFrom(fromMs) {
    if (!this.isWanted || fromMs >= edges(this.page.view, this.page.hubNow())[1]) return;
    const isPlanned = this.wantedFromMs !== null;
    this.wantedFromMs = Math.min(fromMs, this.wantedFromMs ?? Infinity);
    if (isPlanned) return;
    setTimeout(() => {
      const from = this.wantedFromMs;
      this.wantedFromMs = null;
      if (from !== null) this.load(from);
    }, RELOAD_GAP_MS);
  }

  // In sight: means that are only estimates are made exact now and then.
  settleMeans(nowMs) {
    const { inexactMs } = this.grid;
    if (typeof inexactMs !== "number" || this.loading || this.page.isStale()) return;
    if (nowMs - this.exactMs < Math.max(EXACT_GAP_MS, this.grid.stepMs)) return;
    this.exactMs = nowMs;
    this.load(inexactMs);
  }

  message(text) {
    this.messageElement?.remove();
    if (text === null) return;
    const again = make("button", { type: "button" }, gettext("Try again"));
    again.addEventListener("click", () => this.load());
    this.messageElement = make("p", { class: "plot-message" }, text, again);
    this.body.append(this.messageElement);
  }
}

// Exact for readings; for buckets those of the ones that begin after it.
function countBetween({ series }, afterMs, untilMs) {
  if (afterMs === Infinity) return 0;
  let sum = 0;
  for (const one of Object.values(series)) {
    const times = one.times ?? one.starts;
    for (let at = 0; at < times.length; at += 1) {
      if (times[at] > afterMs && times[at] <= untilMs) sum += one.count?.[at] ?? 1;
    }
  }
  return sum;
}
