// <hub-states>: the booleans of one name, a lane of time for each device.

import { make, nameOf, setText } from "./dom.js";
import { formatAgo } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { shareBars, stepBars, unknownParts } from "./lane.js";
import { LoadedFigure } from "./loaded_figure.js";
import { colour, hatch } from "./plot.js";

const MOST_LANES = 18;

class HubStates extends LoadedFigure {
  build() {
    this.shown = this.spec.lines.slice(0, MOST_LANES);
    this.lanes = new Map(this.spec.lines.map((line, lane) => [line.id, lane]));
    this.rows = this.shown.map((line) => ({
      line,
      canvas: make("canvas", { "aria-hidden": "true" }),
      value: make("b"),
      age: make("span", { class: "muted" }),
    }));
    const table = make("div", { class: "lanes" });
    for (const row of this.rows) {
      row.cell = make("span", { class: "lane-value" }, row.value, " ", row.age);
      table.append(nameOf(row.line.device, { class: "name", title: row.line.device }), row.canvas, row.cell);
    }
    this.body.replaceChildren(table);
    this.makeGrid();
  }

  minGapMs = 500;

  // A lane is about a third of the display narrower than a chart.
  get points() {
    return Math.min(2_000, Math.max(200, 2 * (this.rows?.[0]?.canvas.clientWidth || 300)));
  }

  draw(nowMs) {
    if (!this.clientWidth) return;
    this.advance(nowMs);
    this.setGaps();
    this.settleMeans(nowMs);
    this.isDirty = false;
    this.writeNote();
    const isNow = this.isNow();
    this.rows.forEach((row, lane) => {
      const head = this.page.head(row.line.id);
      const isLive = isNow && !this.page.isOldValue(row.line);
      const newest = this.grid.newest(lane);
      const value = isNow ? head?.value : newest === null ? null : Boolean(newest);
      setText(row.value, this.page.format(value, this.spec));
      setText(row.age, isNow && !isLive && head ? formatAgo(nowMs - head.heardMs) : "");
      row.cell.classList.toggle("is-old", isNow && !isLive);
      this.drawLane(row, lane, nowMs, isLive && !this.page.isStale());
    });
    this.summarize(nowMs, () => this.describe(this.countOn()));
  }

  countOn() {
    return this.spec.lines.filter((line) => this.page.head(line.id)?.value === true).length;
  }

  picture() {
    const rows = this.rows.map(({ line, canvas, cell }) => ({ canvas, label: `${line.device} ${cell.textContent}`.trim() }));
    return { title: this.spec.title, images: rows, legend: [] };
  }

  writeNote() {
    const rollup = this.rollup(this.page.hubNow());
    const now = fill(gettext("%(on)s of %(all)s on"), { on: this.countOn(), all: this.spec.lines.length });
    this.setNote(this.isNow() ? [now, rollup].filter(Boolean).join(" · ") : rollup);
  }

  drawLane({ canvas, line }, lane, nowMs, isLive) {
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const [fromMs, toMs] = this.drawn(nowMs);
    const place = (seconds) => Math.min(width, Math.max(0, (seconds * 1000 - fromMs) / (toMs - fromMs) * width));
    const pen = {
      context, height, place,
      on: colour(`--s${line.style.hue}`), off: colour("--control"), none: colour("--bg"), cursor: colour("--text"),
    };
    const bars = this.widthMs === null
      ? stepBars([this.grid.columns[0], this.grid.columns[lane + 1]], isLive ? nowMs / 1000 : null)
      : shareBars(this.grid, lane);
    // What is live holds until now, in whichever bucket that is.
    const untilS = isLive ? nowMs / 1000 : toMs / 1000;
    const leastS = Math.max(this.gapMs(line, lane), 2 * this.grid.stepMs) / 1000;
    for (const [from, to] of unknownParts(bars, fromMs / 1000, untilS, leastS)) drawHatch(pen, from, to, pen.off, true);
    for (const bar of bars) drawPart(pen, bar);
    for (const [id, from, to] of this.missing) if (id === line.id) drawHatch(pen, from / 1000, to / 1000, pen.off);
    const { cursorS } = this.page;
    if (typeof cursorS === "number") drawCursor(pen, cursorS);
  }

  describe(on) {
    const all = this.spec.lines.length;
    return fill(
      ngettext("%(title)s: %(on)s of %(all)s device on", "%(title)s: %(on)s of %(all)s devices on", all),
      { title: this.spec.title, on, all },
    );
  }
}

// A bucket is as high as the share of its time that was on; pale up to the full height
// where it was both.
function drawPart(pen, { from, to, share, isMixed }) {
  if (isMixed) {
    pen.context.globalAlpha = 0.2;
    drawBar(pen, from, to, 0.7);
    pen.context.globalAlpha = 1;
  }
  drawBar(pen, from, to, 0.7 * share);
}

// A bar of this share of the lane's height, from its foot; of none a line. On is a full
// bar, off a line: shape, not colour alone.
function drawBar({ context, height, place, on, off }, from, to, share) {
  const [left, right] = [place(from), place(to)];
  if (right <= left && (right === 0 || left === context.canvas.width)) return;
  const tall = Math.max(share * height, (share > 0 ? 1 : 2) * devicePixelRatio);
  context.fillStyle = share > 0 ? on : off;
  context.fillRect(left, height * 0.85 - tall, Math.max(right - left, 1), tall);
}

// Nobody knows, neither on nor off (the lane itself is away), or it cannot be read.
function drawHatch({ context, place, height, none }, from, to, ink, isCleared) {
  const [left, right] = [place(from), place(to)];
  context.fillStyle = none;
  if (isCleared) context.fillRect(left, 0, right - left, height);
  hatch(context, { left, top: 0, width: right - left, height }, ink);
}

// Where the cursor of the charts is.
function drawCursor({ context, height, place, cursor }, seconds) {
  context.fillStyle = cursor;
  for (let y = 0; y < height; y += 4 * devicePixelRatio) {
    context.fillRect(place(seconds), y, devicePixelRatio, 2 * devicePixelRatio);
  }
}

customElements.define("hub-states", HubStates);
