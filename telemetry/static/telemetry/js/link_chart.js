// The points of a link check on a canvas: when each was sent, how long it took.

import { formatTick } from "./format.js";
import { niceRange, rangeTicks } from "./scale.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 30, 10, 24];
const FONT = "11px system-ui, sans-serif";

export class LinkChart {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear(10);
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("hub:theme", () => this.draw());
  }

  clear(seconds) {
    Object.assign(this, { seconds, points: [], p50: null, range: null });
    this.draw();
  }

  // sentMs counts from the start of the measurement.
  add(sentMs, ms, p50) {
    this.points.push([sentMs / 1000, ms]);
    this.p50 = p50;
    // As many as come between two frames are one drawing.
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { canvas, seconds } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const draw = canvas.getContext("2d");
    draw.scale(scale, scale);
    draw.font = FONT;
    const token = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();
    const most = Math.max(1, ...this.points.map(([, ms]) => ms));
    this.range = niceRange(0, most, this.range);
    const x = (s) => LEFT + (s / seconds) * (width - LEFT - RIGHT);
    const y = (ms) => height - BOTTOM - (ms / this.range.max) * (height - TOP - BOTTOM);
    this.drawAxes(draw, { x, y, width, height, ink: token("--muted"), grid: token("--grid") });
    draw.fillStyle = token("--s1");
    for (const [s, ms] of this.points) {
      draw.beginPath();
      draw.arc(x(s), y(ms), 2.5, 0, 2 * Math.PI);
      draw.fill();
    }
    if (this.p50 === null) return;
    line(draw, [x(0), y(this.p50)], [x(seconds), y(this.p50)], token("--text"), [6, 4]);
    Object.assign(draw, { fillStyle: token("--text"), textAlign: "start", textBaseline: "middle" });
    draw.fillText("p50", x(seconds) + 5, y(this.p50));
  }

  drawAxes(draw, { x, y, width, height, ink, grid }) {
    draw.fillStyle = ink;
    draw.textAlign = "end";
    draw.textBaseline = "middle";
    // Without a point there is a sentence where the lines would be.
    for (const tick of this.points.length ? rangeTicks(this.range) : [0]) {
      line(draw, [LEFT, y(tick)], [width - RIGHT, y(tick)], grid);
      draw.fillText(formatTick(tick, this.range.step), LEFT - 8, y(tick));
    }
    draw.textBaseline = "alphabetic";
    const step = this.seconds <= 3 ? 1 : this.seconds / 5;
    for (let s = 0; s <= this.seconds; s += step) {
      draw.textAlign = s === 0 ? "start" : s + step > this.seconds ? "end" : "center";
      draw.fillText(`${s} s`, x(s), height - 6);
    }
  }
}

function line(draw, from, to, ink, dash = []) {
  draw.strokeStyle = ink;
  draw.setLineDash(dash);
  draw.beginPath();
  draw.moveTo(from[0], Math.round(from[1]) + 0.5);
  draw.lineTo(to[0], Math.round(to[1]) + 0.5);
  draw.stroke();
  draw.setLineDash([]);
}
