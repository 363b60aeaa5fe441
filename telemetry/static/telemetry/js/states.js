// <hub-states>: the booleans of one name, a lane of time for each device.

import { make, nameOf, setText } from "./dom.js";
import { Grid } from "./feed.js";
import { formatAgo } from "./format.js";
import { GridFigure } from "./grid_figure.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { colour } from "./plot.js";

const MOST_LANES = 18;

class HubStates extends GridFigure {
  points = 2_000;

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

  makeGrid() {
    const { stepMs, buckets } = this.page.grid;
    this.minGapMs = 500;
    this.grid = new Grid({ stepMs, buckets, nowMs: this.page.hubNow(), lanes: this.spec.lines.length });
  }

  put(row) {
    this.putLane(row);
  }

  merge(series) {
    this.mergeLanes(series);
  }

  draw(nowMs) {
    this.grid.advance(nowMs);
    this.isDirty = false;
    const on = this.spec.lines.filter((line) => this.page.head(line.id)?.value === true).length;
    this.setNote(fill(gettext("%(on)s of %(all)s on"), { on, all: this.spec.lines.length }));
    this.rows.forEach((row, lane) => {
      const head = this.page.head(row.line.id);
      const isLive = !this.page.isOldValue(row.line);
      setText(row.value, this.page.format(head?.value, this.spec));
      setText(row.age, !isLive && head ? formatAgo(nowMs - head.heardMs) : "");
      row.cell.classList.toggle("is-old", !isLive);
      this.grid.setGap(lane, this.gapMs(row.line));
      this.grid.settle();
      this.drawLane(row, lane, nowMs, isLive && !this.page.isStale());
    });
    this.summarize(nowMs, () => this.describe(on));
  }

  drawLane({ canvas, line }, lane, nowMs, isLive) {
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const [times] = this.grid.columns;
    const column = this.grid.columns[lane + 1];
    const from = (nowMs - this.page.spanMs) / 1000;
    const place = (time) => Math.min(width, Math.max(0, (time - from) / this.page.spanMs * 1000 * width));
    let value = null;
    let since = 0;
    // On is a full bar, off a thin line: shape, not colour alone.
    const close = (until) => {
      if (value === null || until <= from) return;
      const [left, right] = [place(since), place(until)];
      context.fillStyle = colour(value ? `--s${line.style.hue}` : "--control");
      if (value) context.fillRect(left, height * 0.15, Math.max(right - left, 1), height * 0.7);
      else context.fillRect(left, height * 0.5 - devicePixelRatio / 2, Math.max(right - left, 1), devicePixelRatio);
    };
    let last = 0;
    for (let at = 0; at < times.length; at += 1) {
      const next = column[at];
      if (next === undefined) continue;
      if (next !== value) {
        close(next === null ? last : times[at]);
        value = next;
        since = times[at];
      }
      last = times[at];
    }
    close(isLive ? nowMs / 1000 : last);
  }

  describe(on) {
    const all = this.spec.lines.length;
    return fill(
      ngettext("%(title)s: %(on)s of %(all)s device on", "%(title)s: %(on)s of %(all)s devices on", all),
      { title: this.spec.title, on, all },
    );
  }
}

customElements.define("hub-states", HubStates);
