// The range of time that a page shows: moved, and written to its address, which the hub
// reads (dashboard/readings/ranges.py). Pure.
//
// A view is live, {spanMs}: the last so many ms, going on; or fixed, {fromMs, toMs}.

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHORTEST_LIVE_MS = 10_000;
export const SHORTEST_MS = 1_000;
export const LONGEST_MS = 3_650 * 86_400_000;

export const isLive = (view) => view.spanMs !== undefined;
export const isSame = (one, two) => (
  one.spanMs === two.spanMs && one.fromMs === two.fromMs && one.toMs === two.toMs
);

// [from, to) of a view, at a moment.
export function edges(view, nowMs) {
  return isLive(view) ? [nowMs - view.spanMs, nowMs] : [view.fromMs, view.toMs];
}

export const spanOf = (view) => view.spanMs ?? view.toMs - view.fromMs;

// The fixed view nearest to this one: not too long, not too short, not after now.
export function fixedView(fromMs, toMs, nowMs) {
  const to = Math.min(Math.max(0, Math.ceil(toMs)), Math.floor(nowMs));
  const from = Math.max(0, Math.floor(fromMs), to - LONGEST_MS);
  if (to - from >= SHORTEST_MS) return { fromMs: from, toMs: to };
  const end = Math.min(Math.max(Math.ceil((from + to + SHORTEST_MS) / 2), SHORTEST_MS), Math.floor(nowMs));
  return { fromMs: end - SHORTEST_MS, toMs: end };
}

// The view as the address has it: the same for everybody who opens it. search: what the
// address says now; whatever else is in it stays.
export function writeRange(view, search = "") {
  const others = new URLSearchParams(search);
  others.delete("from");
  others.delete("to");
  const rest = others.size ? `&${others}` : "";
  if (!isLive(view)) return `?from=${writeMoment(view.fromMs)}&to=${writeMoment(view.toMs)}${rest}`;
  return `?from=${writeSpan(view.spanMs)}&to=now${rest}`;
}

const writeMoment = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

// "now-6h": in the largest unit that is at most a day and fits.
export function writeSpan(spanMs) {
  const [unit, unitMs] = ["d", "h", "m", "s"].map((name) => [name, UNITS_MS[name]])
    .find(([name, ms]) => spanMs % ms === 0 && !(name === "d" && spanMs === ms)) ?? ["s", 1_000];
  return `now-${Math.max(1, Math.round(spanMs / unitMs))}${unit}`;
}

// A range that somebody has drawn or moved, on whole seconds where it is long.
export function roughly(fromMs, toMs, nowMs) {
  const unit = toMs - fromMs >= 60_000 ? 1_000 : 1;
  return fixedView(Math.floor(fromMs / unit) * unit, Math.ceil(toMs / unit) * unit, nowMs);
}

// The view as it is at this moment, standing still: from whole second to whole second.
export function frozen(view, nowMs) {
  return roughly(...edges(view, Math.floor(nowMs / 1_000) * 1_000), nowMs);
}

// Twice as long, or half: a live view takes the next span of the picker, ascending.
export function zoomed(view, isOut, nowMs, presetsMs = []) {
  if (isLive(view)) {
    const next = isOut
      ? presetsMs.find((ms) => ms > view.spanMs) ?? Math.min(2 * view.spanMs, LONGEST_MS)
      : presetsMs.findLast((ms) => ms < view.spanMs) ?? Math.max(view.spanMs / 2, SHORTEST_LIVE_MS);
    return { spanMs: next };
  }
  const grow = spanOf(view) * (isOut ? 0.5 : -0.25);
  return roughly(view.fromMs - grow, view.toMs + grow, nowMs);
}

// Half a range earlier, or later: what reaches now goes on live.
export function shifted(view, isLater, nowMs) {
  const [from, to] = edges(view, nowMs);
  const by = (isLater ? 0.5 : -0.5) * spanOf(view);
  if (isLater && to + by >= nowMs) return { spanMs: Math.max(spanOf(view), SHORTEST_LIVE_MS) };
  return roughly(from + by, to + by, nowMs);
}
