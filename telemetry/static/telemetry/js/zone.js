// Wall clocks: what a clock on the wall of a time zone shows, and when it shows it. Pure.

const formats = new Map();

function parts(ms, zone) {
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat("en-US", {
      timeZone: zone, hourCycle: "h23", era: "short", year: "numeric", month: "numeric", day: "numeric",
      hour: "numeric", minute: "numeric", second: "numeric",
    }));
  }
  return Object.fromEntries(formats.get(zone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
}

// Clocks are put forward and back at a quarter of an hour; an axis asks for many times
// that are in a few of them.
const QUARTER_MS = 900_000;
const MOST_KNOWN = 2_000;
const known = new Map();

// How far a zone's wall clock is ahead of UTC at a moment, ms.
export function offsetMs(ms, zone) {
  const key = `${Math.floor(ms / QUARTER_MS)} ${zone}`;
  if (!known.has(key)) {
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, offsetAt(ms, zone));
  }
  return known.get(key);
}

function offsetAt(ms, zone) {
  const wholeMs = Math.floor(ms / 1000) * 1000;
  const { year, month, day, hour, minute, second } = parts(wholeMs, zone);
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeMs;
}

// For a datetime-local input: "2026-11-22T14:03:05".
export function writeWall(ms, zone) {
  return new Date(ms + offsetMs(ms, zone)).toISOString().slice(0, 19);
}
