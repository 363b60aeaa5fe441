// The table of a fleet: the rows around what is in sight, each patched in place. A row
// of the page belongs to a place in the order, so that nothing jumps when that changes.

import { icon, make, nameOf, setText } from "./dom.js";
import { evidence } from "./evidence.js";
import { windowOf } from "./fleet_rows.js";
import { formatAgo, formatDateTime } from "./format.js";
import { gettext } from "./i18n.js";
import { lateAfterMs } from "./presence.js";
import { drawTrace } from "./sparkline.js";
import { stateWord } from "./words.js";

// Fewer rows than there are out of sight on either side.
const LEAP_ROWS = 8;
export const MOST_PRINTED = 500;

export class FleetTable {
  // page: {config, fleet, traces, format(cell, column), ink(name)}.
  constructor(table, page) {
    Object.assign(this, { table, page });
    this.body = table.tBodies[0];
    this.shown = [];
    this.slots = new Map(); // place → {element, …} of the row that is there
    this.top = spacer();
    this.bottom = spacer();
    this.from = 0;
    this.rowPx = 0;
    this.isTaken = false;
  }

  // rows: what is to be shown, in order.
  show(rows) {
    this.shown = rows;
    this.table.setAttribute("aria-rowcount", rows.length + 1);
  }

  // The rows that the hub has written give way, at the same places.
  takeOver() {
    this.isTaken = true;
    this.rowPx = this.body.rows[0]?.getBoundingClientRect().height || 36;
    this.body.replaceChildren(this.top, this.bottom);
  }

  // The rows are not to be seen: none is kept.
  rest() {
    if (this.slots.size || !this.isTaken) this.takeOver();
    this.slots.clear();
  }

  render(nowMs, isPast) {
    if (!this.isTaken) this.takeOver();
    this.place();
    this.tints = { live: this.page.ink("--s1"), other: this.page.ink("--off") };
    for (const [at, slot] of this.slots) this.patch(slot, this.shown[at], nowMs, isPast);
  }

  // Another size of the window, other heights.
  measure() {
    const first = this.slots.values().next().value;
    if (first) this.rowPx = first.element.getBoundingClientRect().height || this.rowPx;
  }

  // The rows around what is in sight are in the page, at their places.
  place() {
    const [from, to] = this.isPrinted ? [0, Math.min(MOST_PRINTED, this.shown.length)] : windowOf({
      topPx: -this.topPx(),
      viewPx: innerHeight,
      rowPx: this.rowPx,
      count: this.shown.length,
    });
    // After a leap all are new: one that moves within sight would be seen to jump.
    const isLeap = Math.abs(from - this.from) > LEAP_ROWS;
    this.from = from;
    const gone = [...this.slots].filter(([at]) => at < from || at >= to);
    const free = isLeap ? [] : [...gone];
    let before = this.top;
    for (const [at] of gone) this.slots.delete(at);
    for (let at = from; at < to; at += 1) {
      let slot = this.slots.get(at);
      if (!slot) {
        slot = free.pop()?.[1] ?? this.make();
        this.slots.set(at, slot);
        slot.row = null;
        slot.element.setAttribute("aria-rowindex", at + 2);
      }
      if (before.nextSibling !== slot.element) before.after(slot.element);
      before = slot.element;
    }
    for (const [, slot] of isLeap ? gone : free) slot.element.remove();
    setHeight(this.top, from * this.rowPx);
    setHeight(this.bottom, (this.shown.length - to) * this.rowPx);
  }

  // Where the first row is or would be. Not the spacer: it may be hidden.
  topPx() {
    return this.body.getBoundingClientRect().top;
  }

  make() {
    const slot = {
      state: make("td"),
      word: document.createTextNode(""),
      link: make("a"),
      group: make("td", { class: "of-group" }),
      values: this.page.fleet.columns.map(() => make("td", { class: "num" }, "")),
      canvas: make("canvas", { "aria-hidden": "true" }),
      age: make("time"),
    };
    slot.element = make(
      "tr", {}, slot.state, make("th", { scope: "row" }, slot.link), slot.group, ...slot.values,
      make("td", { class: "of-trace" }, slot.canvas), make("td", { class: "num" }, slot.age),
    );
    return slot;
  }

  patch(slot, row, nowMs, isPast) {
    const { page } = this;
    if (slot.row !== row) this.fill(slot, row);
    setText(slot.link, row.name);
    // Nobody tells more of it: it is as of the hub's last answer.
    const isThen = isPast || (!page.fleet.isFollowed(row) && nowMs - row.knownMs > page.oldMs);
    const mark = isThen ? "unknown" : row.state;
    const state = `${row.state} ${isThen}`;
    if (slot.mark !== state) {
      slot.mark = state;
      slot.state.className = `state-${mark}`;
      slot.state.replaceChildren(icon(mark), slot.word);
      setText(slot.word, stateWord(row.state, isThen));
      slot.element.className = !isThen && (row.state === "late" || row.state === "offline") ? `is-${row.state}` : "";
      slot.titledMs = -Infinity;
    }
    const limitMs = lateAfterMs(row.periodMs);
    row.cells.forEach((cell, at) => {
      const element = slot.values[at];
      setText(element, page.format(cell, at));
      element.classList.toggle("is-old", row.state !== "live" || (cell?.heardMs ?? nowMs) < nowMs - 2 * limitMs);
    });
    setText(slot.age, row.lastReadingMs === null ? gettext("never") : formatAgo(nowMs - row.lastReadingMs));
    this.title(slot, row, nowMs);
    this.draw(slot, row, nowMs, isThen);
  }

  // Another device is shown in this place.
  fill(slot, row) {
    const { config, fleet } = this.page;
    fleet.columns.forEach(({ title, unit }, at) => { slot.values[at].dataset.label = `${title} ${unit}`; });
    slot.row = row;
    slot.drawn = null;
    slot.titledMs = -Infinity;
    slot.link.href = config.device + encodeURIComponent(row.slug);
    const [group] = row.groups;
    const more = row.groups.length > 1 ? ` +${row.groups.length - 1}` : "";
    slot.group.replaceChildren(...(group ? [make("a", { href: config.group + encodeURIComponent(group.slug) }, nameOf(group.name)), more] : []));
  }

  // What one reads on pointing at it; no more often than one can.
  title(slot, row, nowMs) {
    if (nowMs - slot.titledMs < 2_000) return;
    slot.titledMs = nowMs;
    slot.state.title = evidence(row, nowMs, this.page.config.zone, row.status);
    if (row.lastReadingMs === null) return;
    slot.age.dateTime = new Date(row.lastReadingMs).toISOString();
    slot.age.title = formatDateTime(row.lastReadingMs, this.page.config.zone);
  }

  draw(slot, row, nowMs, isThen) {
    // Measured one by one, a thousand of them would take seconds.
    if (this.isPrinted) return;
    const id = row.cells[0]?.id;
    if (id === undefined) {
      if (slot.drawn !== "") drawTrace(slot.canvas, null, {});
      slot.drawn = "";
      return;
    }
    const trace = this.page.traces.get(id);
    const isLive = row.state === "live" && !isThen;
    const drawn = [slot.canvas.clientWidth, id, trace?.version, Math.floor(nowMs / 5_000), isLive, this.tints.live].join();
    if (drawn === slot.drawn) return;
    slot.drawn = drawn;
    drawTrace(slot.canvas, trace, { nowMs, gapMs: Math.max(45_000, lateAfterMs(row.periodMs)), colour: isLive ? this.tints.live : this.tints.other });
  }

  // --- the keyboard -----------------------------------------------------------------

  // The place that has the focus, or null.
  focused() {
    const element = document.activeElement?.closest("tr");
    for (const [at, slot] of this.slots) if (slot.element === element) return at;
    return null;
  }

  // Focus the row `step` further, and bring it in sight; the first time the first one.
  step(step, nowMs, isPast) {
    const held = this.focused();
    const at = held === null ? this.firstInSight() : Math.min(this.shown.length - 1, Math.max(0, held + step));
    if (!this.shown.length) return;
    const topPx = this.topPx() + at * this.rowPx;
    const headPx = this.table.tHead.getBoundingClientRect().height;
    if (topPx < headPx) scrollBy(0, topPx - headPx);
    else if (topPx + this.rowPx > innerHeight - 8) scrollBy(0, topPx + 2 * this.rowPx - innerHeight);
    this.render(nowMs, isPast);
    this.slots.get(at)?.link.focus({ preventScroll: true });
  }

  firstInSight() {
    return Math.max(0, Math.ceil(-this.topPx() / this.rowPx));
  }
}

function spacer() {
  return make("tr", { class: "spacer", "aria-hidden": "true" }, make("td", { colspan: 7 }));
}

function setHeight(row, px) {
  const height = `${Math.max(0, px)}px`;
  row.hidden = px <= 0;
  if (row.style.height !== height) row.style.height = height;
}
