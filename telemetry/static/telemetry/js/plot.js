// The uPlot of one chart: axes, colours, gaps, what a stale or silent line looks like.

import { alone } from "./feed.js";
import { formatTick, formatTimeTick } from "./format.js";
import { gettext } from "./i18n.js";
import { drawMarks, labelRoom, reach } from "./marks.js";
import { niceRange, rangeTicks, timeTicks } from "./scale.js";
import { DASHES } from "./palette.js";
import { offsetMs } from "./zone.js";

const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const LABEL_CHARACTER_PX = 6.6;
let colours = new Map();

// After a change of theme the tokens are read again.
export function forgetColours() {
  colours = new Map();
}

export function colour(token) {
  if (!colours.has(token)) {
    colours.set(token, getComputedStyle(document.documentElement).getPropertyValue(token).trim());
  }
  return colours.get(token);
}

// shape: "raw" (a column a line), "buckets" (three a line: highest, lowest, mean) or
// "band" (three in all); lines: [{style: {hue, dash}}]. page: {zone, language, isStale(),
// staleFromMs()}. isOpen(line): whether the line's end is drawn as a ring, because it is
// not live; isNow(): whether the right edge is now; missing(): [[from, to]…], seconds;
// marks(): see marks.js.
export function makePlot(host, { columns, shape, lines, page, isOpen, isNow, missing, marks, onCursor, onSelect, onReset }) {
  let range = null;
  let stepS = 1;
  const options = {
    width: Math.max(host.clientWidth, 120),
    height: host.clientHeight,
    padding: [8, (plot) => Math.max(20, labelRoom(marks().levels, plot.width / 4)), 0, 0],
    legend: { show: false },
    cursor: {
      x: true,
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: 8 },
      // Only where the pointer is: a selection is made in one chart.
      sync: { key: "group", filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      bind: { dblclick: () => () => { onReset(); return null; } },
    },
    scales: {
      x: { time: true, auto: false },
      y: {
        range: (plot, low, high) => {
          range = niceRange(...reach(low, high, marks().levels), range);
          return [range.min, range.max];
        },
      },
    },
    axes: [
      {
        ...axisLook(),
        size: 26,
        splits: (plot, at, min, max) => {
          const found = timeTicks(min, max, plot.bbox.width / devicePixelRatio, {
            offsetS: (seconds) => offsetMs(seconds * 1000, page.zone) / 1000, hasNow: isNow(),
          });
          ({ stepS } = found);
          return found.ticks;
        },
        values: (plot, ticks) => ticks.map((tick, at) => (
          at === ticks.length - 1 && isNow() ? gettext("now") : formatTimeTick(tick * 1000, stepS, page.zone, page.language)
        )),
        grid: { show: false },
      },
      {
        ...axisLook(),
        size: (plot, labels) => Math.max(46, 16 + LABEL_CHARACTER_PX * longest(labels)),
        splits: () => (range ? rangeTicks(range) : []),
        values: (plot, ticks) => {
          const step = range?.step ?? 1;
          return ticks.map((tick) => formatTick(tick, step, page.language));
        },
        grid: { stroke: () => colour("--grid"), width: 1 },
      },
    ],
    ...seriesOf(shape, lines),
    hooks: {
      // What is being selected stays where it is under the pointer.
      ready: [(plot) => plot.over.addEventListener("mousedown", () => {
        page.isSelecting = true;
        addEventListener("mouseup", () => { page.isSelecting = false; }, { once: true });
      })],
      draw: [(plot) => {
        drawAlone(plot, shape, lines);
        if (shape !== "band" && isNow()) drawEnds(plot, shape, lines, isOpen);
        drawMarks(plot, marks(), colour);
        for (const [from, to] of missing()) drawHatch(plot, from, to);
        if (isNow() && page.isStale()) drawHatch(plot, page.staleFromMs() / 1000, Infinity);
      }],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
      setSelect: [(plot) => {
        const { left, width } = plot.select;
        if (width < 1) return;
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        onSelect(plot.posToVal(left, "x") * 1000, plot.posToVal(left + width, "x") * 1000);
      }],
    },
  };
  return new globalThis.uPlot(options, columns, host);
}

// The series of each shape, and the bands between their edges.
function seriesOf(shape, lines) {
  if (shape === "raw") return { series: [{}, ...lines.map(lineSeries)], bands: [] };
  const shown = shape === "band" ? [{ style: { hue: 1, dash: 0 } }] : lines;
  // Many bands over each other must not hide the lines.
  const alpha = shown.length > 3 ? "1c" : "2e";
  return {
    series: [{}, ...shown.flatMap((line) => [edgeSeries(line), edgeSeries(line), lineSeries(line)])],
    bands: shown.map(({ style }, at) => ({
      series: [3 * at + 1, 3 * at + 2], fill: () => `${colour(`--s${style.hue}`)}${alpha}`,
    })),
  };
}

// Thin, so that a spike of one bucket is still seen.
function edgeSeries({ style }) {
  return { stroke: () => `${colour(`--s${style.hue}`)}60`, width: 0.75, points: { show: false } };
}

function axisLook() {
  return {
    font: FONT,
    gap: 6,
    stroke: () => colour("--muted"),
    ticks: { show: false },
    border: { show: false },
  };
}

function longest(labels) {
  return Math.max(0, ...(labels ?? []).map((label) => label.length));
}

function lineSeries({ style }) {
  return {
    stroke: () => colour(`--s${style.hue}`),
    width: 1.6,
    dash: DASHES[style.dash],
    points: { show: false },
  };
}

// The columns of a line: [of its value, of its highest, of its lowest].
function columnsOf(plot, shape, at) {
  if (shape === "raw") return [plot.data[at + 1], null, null];
  const [high, low, middle] = plot.data.slice(3 * at + 1, 3 * at + 4);
  return [middle, high, low];
}

// A reading between two gaps is on no line: it is drawn as a dot, a bucket with the
// stretch from its lowest to its highest.
function drawAlone(plot, shape, lines) {
  const { ctx } = plot;
  const [from, to] = [Math.max(0, (plot.series[0].idxs?.[0] ?? 0) - 2), plot.series[0].idxs?.[1] ?? 0];
  const place = (value, scale) => plot.valToPos(value, scale, true);
  ctx.save();
  ctx.setLineDash([]);
  for (let line = 0; line < (shape === "band" ? 1 : lines.length); line += 1) {
    const [column, high, low] = columnsOf(plot, shape, line);
    ctx.fillStyle = ctx.strokeStyle = colour(`--s${shape === "band" ? 1 : lines[line].style.hue}`);
    for (const at of alone(column, from, to)) {
      const x = place(plot.data[0][at], "x");
      if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
      if (high) {
        ctx.globalAlpha = 0.35;
        ctx.lineWidth = 3 * devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(x, place(high[at], "y"));
        ctx.lineTo(x, place(low[at], "y"));
        ctx.stroke();
        ctx.globalAlpha = 1;
      }
      ctx.beginPath();
      ctx.arc(x, place(column[at], "y"), 2.5 * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fill();
    }
  }
  ctx.restore();
}

// A line that has fallen silent ends in a ring, at its last reading.
function drawEnds(plot, shape, lines, isOpen) {
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.setLineDash([]);
  for (let at = 0; at < lines.length; at += 1) {
    if (!isOpen(lines[at])) continue;
    const [column] = columnsOf(plot, shape, at);
    let last = column.length - 1;
    while (last >= 0 && (column[last] === undefined || column[last] === null)) last -= 1;
    if (last < 0 || plot.data[0][last] < plot.scales.x.min) continue;
    ctx.strokeStyle = colour(`--s${lines[at].style.hue}`);
    ctx.fillStyle = colour("--bg");
    ctx.beginPath();
    ctx.arc(
      plot.valToPos(plot.data[0][last], "x", true),
      plot.valToPos(column[last], "y", true),
      3 * devicePixelRatio, 0, 2 * Math.PI,
    );
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

// Of these times nothing is known (the page was last true before them, or what was
// stored cannot be read): hatched.
function drawHatch(plot, fromS, toS) {
  const { ctx, bbox } = plot;
  const place = (seconds) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(seconds, "x", true)));
  const left = place(fromS);
  const width = (toS === Infinity ? bbox.left + bbox.width : place(toS)) - left;
  if (width > 0) hatch(ctx, { left, top: bbox.top, width, height: bbox.height }, colour("--control"));
}

// Slanting lines over a box of a canvas.
export function hatch(ctx, { left, top, width, height }, ink) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.setLineDash([]);
  ctx.strokeStyle = ink;
  ctx.globalAlpha = 0.5;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let x = left - height; x < left + width; x += 8 * devicePixelRatio) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.stroke();
  ctx.restore();
}
