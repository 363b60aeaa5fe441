// Round numbers for axes. Pure.

const DAY_S = 86_400;
const MONTH_S = 30 * DAY_S;
const TIME_STEPS_S = [
  0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600,
  6 * 3600, 12 * 3600, DAY_S, 2 * DAY_S, 5 * DAY_S, 10 * DAY_S,
  ...[1, 2, 3, 6, 12, 24, 60].map((months) => months * MONTH_S),
];
const LABEL_PX = 84;
const WHISKER = 0.1; // of a step

// The range of a value axis, in at most four steps: {min, max, step}. `previous` is
// kept while the values fill at least half of it: an axis that jumps cannot be read.
export function niceRange(low, high, previous = null) {
  if (low === null || low === undefined) return previous ?? { min: 0, max: 1, step: 0.5 };
  const pad = low === high ? Math.abs(low) * 0.05 || 1 : 0;
  // Room on both sides, but never into numbers of a sign that nothing has.
  const fresh = rounded(low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad);
  if (!previous || low < previous.min || high > previous.max) return fresh;
  return previous.max - previous.min > 2 * (fresh.max - fresh.min) ? fresh : previous;
}

function rounded(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 4));
  for (const factor of [1, 2, 2.5, 5, 10, 20, 25, 50]) {
    const step = factor * power;
    // A whisker below zero, as a sensor's noise, does not take a whole step.
    const isWhisker = low < 0 && high > 0 && -low <= WHISKER * step;
    const [from, to] = [isWhisker ? 0 : Math.floor(low / step), Math.ceil(high / step)];
    if (to - from <= 4) return { min: isWhisker ? -WHISKER * step : from * step, max: to * step, step };
  }
  return { min: low, max: high, step: (high - low) / 4 };
}

export function rangeTicks({ min, max, step }) {
  const from = min < 0 && min > -step / 2 ? 0 : min;
  const count = Math.round((max - from) / step);
  return Array.from({ length: count + 1 }, (_, at) => from + at * step);
}

// Decimals that a step of the axis needs: 20 → 0, 0.5 → 1, 0.025 → 3.
export function stepDecimals(step) {
  for (let decimals = 0; decimals < 8; decimals += 1) {
    const scaled = step * 10 ** decimals;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return decimals;
  }
  return 8;
}

// Ticks of a time axis, seconds, so far apart that their labels fit, on round times of
// a wall clock. offsetS(seconds): how far that clock is ahead of UTC; hasNow: the last
// tick is max. stepS: what they are apart; a month and more in months of 30 days.
export function timeTicks(min, max, widthPx, { offsetS = () => 0, hasNow = true } = {}) {
  const most = Math.max(1, widthPx / LABEL_PX);
  const stepS = TIME_STEPS_S.find((one) => (max - min) / one <= most) ?? TIME_STEPS_S.at(-1);
  const room = hasNow ? (max - min) * (LABEL_PX * 0.62) / widthPx : 0;
  const places = stepS >= MONTH_S ? monthTicks : evenTicks;
  const ticks = places(min + offsetS(min), max + offsetS(max), stepS)
    .map((wall) => wall - offsetS(wall - offsetS(wall)))
    .filter((at) => at >= min && (hasNow ? at < max - room : at <= max));
  if (hasNow) ticks.push(max);
  return { ticks, stepS };
}

function evenTicks(min, max, stepS) {
  const first = Math.ceil(min / stepS);
  const count = Math.max(0, Math.floor(max / stepS) - first + 1);
  // Multiplied, not added up: 0.1 ten times is not 1.
  return Array.from({ length: count }, (_, at) => (first + at) * stepS);
}

function monthTicks(min, max, stepS) {
  const step = stepS / MONTH_S;
  const start = new Date(min * 1000);
  const ticks = [];
  for (let month = start.getUTCFullYear() * 12 + start.getUTCMonth(); ; month += 1) {
    if (month % step) continue;
    const at = Date.UTC(Math.floor(month / 12), month % 12) / 1000;
    if (at > max) return ticks;
    ticks.push(at);
  }
}

// The width of a bucket, ms, that a range needs to be at most `most` of them: 1, 2 or 5
// times a power of ten.
export function niceStep(spanMs, most) {
  const power = 10 ** Math.floor(Math.log10(spanMs / most));
  const factor = [1, 2, 5, 10].find((one) => one * power * most >= spanMs * (1 - 1e-9)) ?? 10;
  return power < 1 ? factor / Math.round(1 / power) : factor * power;
}
