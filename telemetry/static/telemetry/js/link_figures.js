// The figures of a link check, of round trips in milliseconds. Pure. The same
// definitions as telemetry/fleet/link_figures.py; tests/golden/link_figures.json tests both.

// The data rate: one message to guess it by, then so many at once, of a size that
// should take about so long.
export const GUESS_BYTES = 8_192;
export const BURST_MESSAGES = 16;
const BURST_MS = 1_500;
const [LEAST_BYTES, MOST_BYTES] = [2_048, 65_536];

// [kind, its greatest median]
const KINDS = [["local", 10], ["internet", 120], ["mobile", 400], ["slow", Infinity]];
const [STEADY_FACTOR, STEADY_MS] = [4, 30];

// Of round trips in the order in which they were sent; null: there are none.
export function figures(roundTrips) {
  if (!roundTrips.length) return null;
  const ordered = [...roundTrips].sort((a, b) => a - b);
  const [p50, p99] = [percentile(ordered, 0.5), percentile(ordered, 0.99)];
  return {
    roundTrips: ordered.length, p50, p99, jitter: jitter(roundTrips),
    kind: KINDS.find(([, most]) => p50 < most)[0],
    isSteady: p99 <= Math.max(STEADY_FACTOR * p50, p50 + STEADY_MS),
  };
}

// The nearest rank: always one of the values.
export function percentile(ordered, part) {
  return ordered[Math.max(0, Math.ceil(part * ordered.length) - 1)];
}

// By how much a round trip differs from the one before it, on average.
export function jitter(roundTrips) {
  let sum = 0;
  for (let at = 1; at < roundTrips.length; at += 1) sum += Math.abs(roundTrips[at] - roundTrips[at - 1]);
  return roundTrips.length > 1 ? sum / (roundTrips.length - 1) : 0;
}

// How long the messages of the burst should be; guessMs: how long GUESS_BYTES took.
export function burstBytes(guessMs, p50) {
  const ownMs = Math.max(0.1, guessMs - p50);
  const fitting = GUESS_BYTES * BURST_MS / BURST_MESSAGES / ownMs;
  return Math.floor(Math.min(MOST_BYTES, Math.max(LEAST_BYTES, fitting)));
}

// What went there and came back in spanMs, which includes a round trip.
export function bitsPerSecond(bytes, spanMs) {
  return bytes * 8_000 / Math.max(0.1, spanMs);
}
