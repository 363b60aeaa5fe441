// The range of time that a page shows: read from its address, written to it, moved. Pure.
//
// A view is live, {spanMs}: the last so many ms, going on; or fixed, {fromMs, toMs}.

import { fill, gettext } from "./i18n.js";
import { readWall } from "./zone.js";

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
export const PRESETS_MS = [300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000, 2_592_000_000];
export const SHORTEST_LIVE_MS = 10_000;
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

// The address's query → {view, problem}: the view asked for, or the nearest one that
// there is (the usual one for what is no time), and then a sentence that says why.
export function readRange(search, { nowMs, zone, fallbackMs }) {
  const query = new URLSearchParams(search);
  const [from, to] = [query.get("from") || null, query.get("to") || "now"];
  const since = from === null ? null : readMoment(from, zone);
  const until = readMoment(to, zone);
  const wrong = from !== null && since === null ? from : until === null ? to : null;
  if (wrong !== null) return { view: { spanMs: fallbackMs }, problem: notUnderstood(wrong) };
  return nearest(since, until, nowMs, fallbackMs);
}

function nearest(since, until, nowMs, fallbackMs) {
  const toMs = until.ms ?? nowMs - until.beforeMs;
  if (until.beforeMs === 0 && since === null) return { view: { spanMs: fallbackMs }, problem: null };
  if (until.beforeMs === 0 && since.beforeMs > 0) return liveView(since.beforeMs);
  const fromMs = since === null ? toMs - fallbackMs : since.ms ?? nowMs - since.beforeMs;
  return fixedView(fromMs, toMs, nowMs);
}

const notUnderstood = (text) => fill(
  gettext("“%(text)s” is no time that this page understands, so this is the usual range."), { text: text.slice(0, 40) },
);

// "now-6h", "-6h", "now", ms since 1970, "2026-11-22T14:03Z", or without a zone that of
// the reader → {beforeMs} (before now) or {ms}; null for what is none.
function readMoment(text, zone) {
  const relative = /^(?:now)?([+-]\d{1,9})([smhdw])$/.exec(text);
  // A plus in an address is a space.
  if (/^now[ +]/.test(text) && !relative) return readMoment(text.replace(" ", "+"), null);
  if (relative) return { beforeMs: -Number(relative[1]) * UNITS_MS[relative[2]] };
  if (text === "now") return { beforeMs: 0 };
  if (/^-?\d{1,15}(\.\d+)?$/.test(text)) return { ms: Number(text) };
  const hasZone = /^\d{4}-\d\d-\d\dT\d\d:\d\d.*(Z|[ +-]\d\d:?\d\d)$/.test(text);
  const day = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text;
  const ms = hasZone ? Date.parse(text.replace(" ", "+")) : zone === null ? null : readWall(day, zone);
  return ms === null || Number.isNaN(ms) ? null : { ms };
}

// The live view of this span, and a word where it had to be changed.
export function liveView(spanMs) {
  const kept = Math.min(Math.max(spanMs, SHORTEST_LIVE_MS), LONGEST_MS);
  const problem = kept === spanMs ? null : spanMs > kept ? tooLong() : tooShort();
  return { view: { spanMs: kept }, problem };
}

const tooLong = () => gettext("A range is at most 10 years long: this is the end of the one asked for.");
const tooShort = () => gettext("The range asked for is too short: this is a longer one.");

// The fixed view nearest to this one: not turned round, not too long, not after now.
export function fixedView(fromMs, toMs, now) {
  const nowMs = Math.floor(now);
  let [from, to] = [Math.max(0, Math.floor(fromMs)), Math.max(0, Math.ceil(toMs))];
  let problem = null;
  if (from > to) {
    [from, to] = [to, from];
    problem = gettext("The range asked for ends before it begins: the two are exchanged.");
  }
  if (from >= nowMs) {
    [from, to] = [nowMs - Math.min(Math.max(to - from, SHORTEST_MS), nowMs), nowMs];
    problem = gettext("The range asked for has not come yet: this is the newest one of that length.");
  }
  // A clock may run ahead a little.
  if (to > nowMs + 1_000) problem ??= gettext("The range asked for ends in the future: this one ends now.");
  to = Math.min(to, nowMs);
  if (to - from > LONGEST_MS) [from, problem] = [to - LONGEST_MS, tooLong()];
  if (to - from < SHORTEST_MS) {
    problem ??= tooShort();
    to = Math.min(Math.max(Math.ceil((from + to + SHORTEST_MS) / 2), SHORTEST_MS), nowMs);
    from = to - SHORTEST_MS;
  }
  return { view: { fromMs: from, toMs: to }, problem };
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
  return fixedView(Math.floor(fromMs / unit) * unit, Math.ceil(toMs / unit) * unit, nowMs).view;
}

// The view as it is at this moment, standing still: from whole second to whole second.
export function frozen(view, nowMs) {
  return roughly(...edges(view, Math.floor(nowMs / 1_000) * 1_000), nowMs);
}

// Twice as long, or half: a live view takes the next span of the picker.
export function zoomed(view, isOut, nowMs) {
  if (isLive(view)) {
    const next = isOut
      ? PRESETS_MS.find((ms) => ms > view.spanMs) ?? Math.min(2 * view.spanMs, LONGEST_MS)
      : PRESETS_MS.findLast((ms) => ms < view.spanMs) ?? Math.max(view.spanMs / 2, SHORTEST_LIVE_MS);
    return { spanMs: next };
  }
  const grow = spanOf(view) * (isOut ? 0.5 : -0.25);
  return roughly(view.fromMs - grow, view.toMs + grow, nowMs);
}

// Half a range earlier, or later: what reaches now goes on live.
export function shifted(view, isLater, nowMs) {
  const [from, to] = edges(view, nowMs);
  const by = (isLater ? 0.5 : -0.5) * spanOf(view);
  if (isLater && to + by >= nowMs) return liveView(spanOf(view)).view;
  return roughly(from + by, to + by, nowMs);
}
