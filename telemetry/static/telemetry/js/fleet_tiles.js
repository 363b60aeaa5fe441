// A fleet as tiles: one canvas for all, and one cell of a grid that the keyboard moves.
// A state is a shape as well as a colour.

import { make, nameOf } from "./dom.js";
import { formatAgo } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { stateWord } from "./words.js";

const INKS = { live: "--ok", late: "--late", offline: "--off", new: "--off", paused: "--off", unknown: "--muted" };
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// How large a tile with its gap is: few devices have large ones.
export function tilePx(count) {
  if (count <= 300) return 32;
  return count <= 2_000 ? 22 : 16;
}

// Where an arrow leads to, from place `at` of `count` in rows of `columns`.
export function neighbour(at, key, columns, count) {
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const [across, down] = STEPS[key] ?? [0, 0];
  const next = at + across + down * columns;
  return next >= 0 && next < count ? next : at;
}

export class FleetTiles {
  // page: see fleet_table.js; open(row): somebody has chosen a device.
  constructor(element, page) {
    Object.assign(this, { element, page });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.cell = make("div", { role: "gridcell", id: "tile", class: "off-screen" });
    this.row = make("div", { role: "row" }, this.cell);
    this.grid = make("div", {
      class: "tile-grid", role: "grid", tabindex: "0", "aria-label": gettext("Devices"), "aria-activedescendant": "tile",
    }, this.canvas, this.row);
    this.line = make("p", { class: "tile-line" });
    element.replaceChildren(this.line, this.grid);
    this.shown = [];
    this.at = 0;
    this.pointed = null; // place
    this.grid.addEventListener("keydown", (event) => this.press(event));
    this.grid.addEventListener("focus", () => this.point(this.at));
    this.grid.addEventListener("blur", () => this.point(null));
    this.grid.addEventListener("pointermove", (event) => this.point(this.placeOf(event)));
    this.grid.addEventListener("pointerleave", () => this.point(null));
    this.grid.addEventListener("click", (event) => this.open(this.placeOf(event)));
  }

  show(rows) {
    // The same device stays chosen, wherever it is now.
    const chosen = this.shown[this.at];
    const place = rows.indexOf(chosen);
    this.at = place >= 0 ? place : Math.min(this.at, Math.max(0, rows.length - 1));
    this.shown = rows;
  }

  render(nowMs, isPast) {
    const width = this.grid.clientWidth;
    if (!width) return;
    const px = tilePx(this.shown.length);
    this.px = px;
    this.columns = Math.max(1, Math.floor(width / px));
    const height = Math.ceil(this.shown.length / this.columns) * px;
    const ratio = devicePixelRatio;
    if (this.canvas.width !== width * ratio || this.canvas.height !== height * ratio) {
      this.canvas.width = width * ratio;
      this.canvas.height = height * ratio;
      this.canvas.style.height = `${height}px`;
    }
    this.grid.setAttribute("aria-rowcount", Math.ceil(this.shown.length / this.columns));
    this.grid.setAttribute("aria-colcount", this.columns);
    this.drawAll(this.canvas.getContext("2d"), ratio, isPast);
    this.say(nowMs, isPast);
  }

  drawAll(pen, ratio, isPast) {
    const inks = Object.fromEntries(Object.entries(INKS).map(([state, name]) => [state, this.page.ink(name)]));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.shown.forEach((row, at) => {
      const state = isPast ? "unknown" : row.state;
      const [x, y] = [at % this.columns * this.px, Math.floor(at / this.columns) * this.px];
      pen.fillStyle = pen.strokeStyle = inks[state];
      drawTile(pen, state, x + 2, y + 2, this.px - 4);
    });
    if (!this.shown[this.pointed]) return;
    const [x, y] = [this.pointed % this.columns * this.px, Math.floor(this.pointed / this.columns) * this.px];
    pen.strokeStyle = this.page.ink("--accent");
    pen.lineWidth = 2;
    pen.strokeRect(x + 1, y + 1, this.px - 2, this.px - 2);
  }

  // What is pointed at, in words: for the eye and for who listens.
  say(nowMs, isPast) {
    const at = this.pointed ?? this.at;
    const row = this.shown[at];
    const parts = row ? this.describe(row, nowMs, isPast) : [];
    write(this.line, this.pointed === null ? [gettext("Point at a tile, or use the arrow keys.")] : parts);
    if (document.activeElement !== this.grid) return;
    this.row.setAttribute("aria-rowindex", Math.floor(at / this.columns) + 1);
    this.cell.setAttribute("aria-colindex", at % this.columns + 1);
    if (this.said !== `${row?.slug} ${row?.state}`) write(this.cell, parts);
    this.said = `${row?.slug} ${row?.state}`;
  }

  describe(row, nowMs, isPast) {
    const values = row.cells.map((cell, at) => (cell ? `${this.page.fleet.columns[at].title} ${this.page.format(cell, at)} ${cell.unit}`.trim() : ""));
    const age = row.lastReadingMs === null ? gettext("no reading yet") : fill(gettext("last reading %(ago)s"), { ago: formatAgo(nowMs - row.lastReadingMs) });
    return [row.name, stateWord(row.state, isPast), ...values, age].filter(Boolean);
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.px);
    const at = Math.floor((event.clientY - box.top) / this.px) * this.columns + column;
    return column < this.columns && this.shown[at] ? at : null;
  }

  point(at) {
    if (at === null && document.activeElement === this.grid) at = this.at;
    if (this.pointed === at) return;
    this.pointed = at;
    if (at !== null) this.at = at;
    this.page.redraw();
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") return this.open(this.at);
    if (!(event.key in STEPS) && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    this.point(neighbour(this.at, event.key, this.columns, this.shown.length));
    const top = this.canvas.getBoundingClientRect().top + Math.floor(this.at / this.columns) * this.px;
    if (top < 0 || top + this.px > innerHeight) scrollBy(0, top - innerHeight / 2);
  }

  open(at) {
    const row = at === null ? null : this.shown[at];
    if (row) location.assign(this.page.config.device + encodeURIComponent(row.slug));
  }
}

// Each part by itself: a name that is written from right to left turns no other round.
function write(host, parts) {
  const text = parts.join(" · ");
  if (host.textContent !== text) host.replaceChildren(...parts.flatMap((part, at) => [at ? " · " : "", nameOf(part)]));
}

// The shapes of the icons, as large as a tile lets them be.
function drawTile(pen, state, x, y, size) {
  pen.lineWidth = Math.max(1.5, size / 9);
  const inset = pen.lineWidth / 2;
  if (state === "live") {
    // Small: what is well is not what one looks for.
    pen.beginPath();
    pen.arc(x + size / 2, y + size / 2, size * 0.34, 0, 2 * Math.PI);
    return pen.fill();
  }
  if (state === "late") {
    pen.strokeRect(x + inset, y + inset, size - 2 * inset, size - 2 * inset);
    return pen.fillRect(x + size / 2, y, size / 2, size);
  }
  if (state === "paused") {
    pen.fillRect(x + size * 0.22, y + size * 0.1, size * 0.18, size * 0.8);
    return pen.fillRect(x + size * 0.6, y + size * 0.1, size * 0.18, size * 0.8);
  }
  if (state === "offline") {
    pen.beginPath();
    pen.moveTo(x + inset, y + inset);
    pen.lineTo(x + size - inset, y + size - inset);
    pen.moveTo(x + size - inset, y + inset);
    pen.lineTo(x + inset, y + size - inset);
    return pen.stroke();
  }
  if (state === "new") pen.setLineDash([size / 6, size / 8]);
  pen.strokeRect(x + inset, y + inset, size - 2 * inset, size - 2 * inset);
  return pen.setLineDash([]);
}
