// Thresholds and annotations over a chart: dashed lines and pale bands, each with its
// label. marks: {levels: [{value, label, kind?}], moments: [{from, to?, label, kind?}]};
// from and to in seconds; kind "crit", "late" or "note".

const INKS = { crit: "--crit-ink", late: "--late-ink", note: "--muted" };
const FONT_PX = 11;
const CHARACTER_PX = 6.4;
const ROWS = 3;
// Of the values' own range: a level further away would press them flat.
const REACH = 0.75;

export const NO_MARKS = { levels: [], moments: [] };

// The lowest and the highest that the axis has to show: of the values, and of the levels
// that are near enough.
export function reach(low, high, levels) {
  if (low === null || low === undefined) return [low, high];
  const room = REACH * (high - low || Math.abs(high) || 1);
  const near = levels.map(({ value }) => value).filter((value) => value >= low - room && value <= high + room);
  return [Math.min(low, ...near), Math.max(high, ...near)];
}

// How wide the labels of the levels are, beside the plot.
export function labelRoom(levels, most) {
  const longest = Math.max(0, ...levels.map(({ label }) => label.length));
  return longest ? Math.min(most, 10 + CHARACTER_PX * longest) : 0;
}

// The row of each label, so that none lies over another: [{left, width}] → [row], null
// where there is no room.
export function labelRows(places, most = ROWS) {
  const ends = new Array(most).fill(-Infinity);
  return places.map(({ left, width }) => {
    const row = ends.findIndex((end) => end <= left);
    if (row < 0) return null;
    ends[row] = left + width;
    return row;
  });
}

// What is marked, in words.
export function marksText({ levels, moments }) {
  return [...levels, ...moments].map(({ label }) => label).join(", ");
}

export function drawMarks(plot, { levels, moments }, colour) {
  if (!levels.length && !moments.length) return;
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.font = `${FONT_PX * devicePixelRatio}px system-ui, sans-serif`;
  drawLevels(plot, levels, colour);
  drawMoments(plot, moments, colour);
  ctx.restore();
}

// Lines across the plot, labels beside it, one below the other; an arrow where the level
// itself is out of the plot.
function drawLevels({ ctx, bbox, scales, valToPos }, levels, colour) {
  const right = bbox.left + bbox.width;
  const row = (FONT_PX + 2) * devicePixelRatio;
  let lowest = bbox.top - row;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { value, label, kind } of [...levels].sort((a, b) => b.value - a.value)) {
    ctx.strokeStyle = ctx.fillStyle = colour(INKS[kind] ?? INKS.note);
    const arrow = value > scales.y.max ? " ↑" : value < scales.y.min ? " ↓" : "";
    const y = Math.min(bbox.top + bbox.height, Math.max(bbox.top, valToPos(value, "y", true)));
    if (!arrow) stroke(ctx, bbox.left, y, right, y);
    lowest = Math.max(y, lowest + row);
    ctx.fillText(label + arrow, right + 5 * devicePixelRatio, lowest);
  }
}

function drawMoments({ ctx, bbox, valToPos }, moments, colour) {
  const [left, right] = [bbox.left, bbox.left + bbox.width];
  const place = (seconds) => Math.min(right, Math.max(left, valToPos(seconds, "x", true)));
  const shown = moments
    .map((moment) => ({ ...moment, start: valToPos(moment.from, "x", true), end: valToPos(moment.to ?? moment.from, "x", true) }))
    .filter(({ start, end }) => end >= left && start <= right)
    .sort((a, b) => a.start - b.start);
  const labels = shown.map(({ from, label }) => {
    const width = ctx.measureText(label).width + 8 * devicePixelRatio;
    return { left: Math.min(place(from), right - width), width };
  });
  const rows = labelRows(labels);
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  shown.forEach(({ from, to, label, kind }, at) => {
    ctx.strokeStyle = ctx.fillStyle = colour(INKS[kind] ?? INKS.note);
    if (to !== undefined) {
      ctx.globalAlpha = 0.14;
      ctx.fillRect(place(from), bbox.top, Math.max(1, place(to) - place(from)), bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const edge of to === undefined ? [from] : [from, to]) {
      const x = valToPos(edge, "x", true);
      if (x >= left && x <= right) stroke(ctx, x, bbox.top, x, bbox.top + bbox.height);
    }
    if (rows[at] === null) return;
    const y = bbox.top + (2 + rows[at] * (FONT_PX + 3)) * devicePixelRatio;
    ctx.fillText(label, labels[at].left + 4 * devicePixelRatio, y);
  });
}

function stroke(ctx, fromX, fromY, toX, toY) {
  ctx.beginPath();
  ctx.moveTo(fromX, fromY);
  ctx.lineTo(toX, toY);
  ctx.stroke();
}
