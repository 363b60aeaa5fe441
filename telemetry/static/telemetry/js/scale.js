// Round numbers for axes. Pure.

const TIME_STEPS_S = [5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600];
const LABEL_PX = 84;

// The range of a value axis, in at most four steps: {min, max, step}. `previous` is
// kept while the values fill at least half of it: an axis that jumps cannot be read.
export function niceRange(low, high, previous = null) {
  if (low === null || low === undefined) return previous ?? { min: 0, max: 1, step: 0.5 };
  const pad = low === high ? Math.abs(low) * 0.05 || 1 : 0;
  const fresh = rounded(low - pad, high + pad);
  if (!previous || low < previous.min || high > previous.max) return fresh;
  return previous.max - previous.min > 2 * (fresh.max - fresh.min) ? fresh : previous;
}

function rounded(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 4));
  for (const factor of [1, 2, 2.5, 5, 10, 20, 25, 50]) {
    const step = factor * power;
    const [from, to] = [Math.floor(low / step), Math.ceil(high / step)];
    if (to - from <= 4) return { min: from * step, max: to * step, step };
  }
  return { min: low, max: high, step: (high - low) / 4 };
}

export function rangeTicks({ min, max, step }) {
  const count = Math.round((max - min) / step);
  return Array.from({ length: count + 1 }, (_, at) => min + at * step);
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
