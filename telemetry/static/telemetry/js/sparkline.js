// Small lines: the lowest and the highest value of each of the last 60 buckets, and
// their drawing on a canvas, one path a line.

const BUCKETS = 60;
const INK = 1.5;

// One series. Pure; times in ms.
export class Trace {
  constructor(widthMs) {
    this.widthMs = widthMs;
    this.buckets = new Map(); // number of the bucket → [lowest, highest]
    this.version = 0; // moves when there is something else to draw
  }

  // {at, min, max} of /fleet/traces.json; what came live since stays.
  load({ at, min, max }, fromMs) {
    const first = Math.round(fromMs / this.widthMs);
    at.forEach((place, index) => this.widen(first + place, min[index], max[index]));
  }

  put(timeMs, min, max) {
    this.widen(Math.floor(timeMs / this.widthMs), Number(min), Number(max));
  }

  widen(number, min, max) {
    if (!Number.isFinite(min) || !Number.isFinite(max)) return;
    const held = this.buckets.get(number);
    if (held && held[0] <= min && held[1] >= max) return;
    this.version += 1;
    this.buckets.set(number, held ? [Math.min(held[0], min), Math.max(held[1], max)] : [min, max]);
    if (this.buckets.size > 2 * BUCKETS) this.forget(number);
  }

  forget(newest) {
    for (const number of this.buckets.keys()) if (number < newest - BUCKETS) this.buckets.delete(number);
  }

  // The line as parts without a gap: [[x, low, high]…]…, x and values from 0 to 1.
  parts(nowMs, gapMs) {
    const last = Math.floor(nowMs / this.widthMs);
    const shown = [...this.buckets].filter(([number]) => number > last - BUCKETS && number <= last).sort((a, b) => a[0] - b[0]);
    const lowest = Math.min(...shown.map(([, [low]]) => low));
    const highest = Math.max(...shown.map(([, [, high]]) => high));
    const place = (value) => (highest > lowest ? (value - lowest) / (highest - lowest) : 0.5);
    const parts = [];
    let before = null;
    for (const [number, [low, high]] of shown) {
      if (before === null || (number - before - 1) * this.widthMs > gapMs) parts.push([]);
      parts.at(-1).push([(number - last + BUCKETS - 0.5) / BUCKETS, place(low), place(high)]);
      before = number;
    }
    return parts;
  }
}

// trace null: nothing is known yet. colour: of the ink.
export function drawTrace(canvas, trace, { nowMs, gapMs, colour }) {
  const ratio = devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (!trace || !width) return;
  const edge = INK * ratio;
  const y = (value) => edge + (1 - value) * (height - 2 * edge);
  pen.strokeStyle = colour;
  pen.lineWidth = INK * ratio;
  pen.lineJoin = pen.lineCap = "round";
  pen.beginPath();
  const half = 0.25 / BUCKETS * width;
  for (const part of trace.parts(nowMs, gapMs)) {
    let last = null;
    for (const [x, low, high] of part) {
      // To the nearer end first: a slope stays a slope.
      const isUp = last === null || Math.abs(last - low) <= Math.abs(last - high);
      const [near, far] = isUp ? [low, high] : [high, low];
      if (last === null) pen.moveTo(x * width - half, y(near));
      else pen.lineTo(x * width - half, y(near));
      pen.lineTo(x * width + half, y(far));
      last = far;
    }
  }
  pen.stroke();
}
