// The uPlot of one chart: axes, colours, gaps, what a stale or silent line looks like.

import { formatClock, formatTick } from "./format.js";
import { gettext } from "./i18n.js";
import { niceRange, rangeTicks, timeTicks } from "./scale.js";
import { DASHES } from "./palette.js";

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

// lines: [{style: {hue, dash}}], or null for a band. page: {zone, isStale(), staleFromMs()}.
// isOpen(line): whether the line's end is drawn as a ring, because it is not live.
export function makePlot(host, { columns, lines, page, isOpen, onCursor }) {
  let range = null;
  let hasSeconds = false;
  const options = {
    width: Math.max(host.clientWidth, 120),
    height: host.clientHeight,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: {
      x: true,
      y: false,
      points: { show: false },
      drag: { x: false, y: false },
      sync: { key: "group" },
    },
    scales: {
      x: { time: true, auto: false },
      y: {
        range: (plot, low, high) => {
          range = niceRange(low, high, range);
          return [range.min, range.max];
        },
      },
    },
    axes: [
      {
        ...axisLook(),
        size: 26,
        splits: (plot, at, min, max) => {
          const found = timeTicks(min, max, plot.bbox.width / devicePixelRatio);
          hasSeconds = found.hasSeconds;
          return found.ticks;
        },
        values: (plot, ticks) => ticks.map((tick, at) => (
          at === ticks.length - 1 && !page.isStale()
            ? gettext("now")
            : formatClock(tick * 1000, page.zone, hasSeconds)
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
    series: [{}, ...(lines ? lines.map(lineSeries) : bandSeries())],
    bands: lines ? [] : [{ series: [1, 2], fill: () => `${colour("--s1")}2e` }],
    hooks: {
      draw: [(plot) => {
        if (lines) drawEnds(plot, lines, isOpen);
        if (page.isStale()) drawHatch(plot, page.staleFromMs() / 1000);
      }],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
  return new globalThis.uPlot(options, columns, host);
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

function bandSeries() {
  const edge = { stroke: "transparent", width: 0, points: { show: false } };
  return [edge, { ...edge }, { stroke: () => colour("--s1"), width: 1.6, points: { show: false } }];
}

// A line that has fallen silent ends in a ring, at its last reading.
function drawEnds(plot, lines, isOpen) {
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.setLineDash([]);
  for (let at = 0; at < lines.length; at += 1) {
    if (!isOpen(lines[at])) continue;
    const column = plot.data[at + 1];
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

// From the moment that the page was last true on, it knows nothing: hatched.
function drawHatch(plot, fromS) {
  const { ctx, bbox } = plot;
  const left = Math.max(bbox.left, plot.valToPos(fromS, "x", true));
  const width = bbox.left + bbox.width - left;
  if (width <= 0) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, width, bbox.height);
  ctx.clip();
  ctx.setLineDash([]);
  ctx.strokeStyle = colour("--control");
  ctx.globalAlpha = 0.5;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  const step = 8 * devicePixelRatio;
  for (let x = left - bbox.height; x < left + width; x += step) {
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x + bbox.height, bbox.top);
  }
  ctx.stroke();
  ctx.restore();
}
