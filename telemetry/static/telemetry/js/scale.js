// Round numbers for axes. Pure.

const TIME_STEPS_S = [5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600];
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

// Ticks of a time axis, seconds, so far apart that their labels fit; the last is max.
export function timeTicks(min, max, widthPx) {
  const most = Math.max(1, widthPx / LABEL_PX);
  const step = TIME_STEPS_S.find((one) => (max - min) / one <= most) ?? TIME_STEPS_S.at(-1);
  const ticks = [];
  const room = (max - min) * (LABEL_PX * 0.62) / widthPx;
  for (let at = Math.ceil(min / step) * step; at < max - room; at += step) ticks.push(at);
  ticks.push(max);
  return { ticks, hasSeconds: step < 60 };
}
