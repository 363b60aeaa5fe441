// Values, ages and times as people read them. Pure.

import { fill, gettext } from "./i18n.js";
import { stepDecimals } from "./scale.js";

// For sorting: “pump 9” before “pump 10”.
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

// From here on, and below, a number is written as a power of ten: no digit of it would
// be wrong, and the least is not all zeros.
const MOST_PLAIN = 1e15;
const LEAST_PLAIN = 1e-3;

const numbers = new Map();
const clocks = new Map();

// value: number, boolean or text; decimals: null = up to two.
export function formatValue(value, decimals = null, language = "en") {
  if (value === null || value === undefined) return "–";
  if (value === true) return gettext("on");
  if (value === false) return gettext("off");
  if (typeof value === "string") return value;
  if (Math.abs(value) >= MOST_PLAIN || (value !== 0 && Math.abs(value) < LEAST_PLAIN)) {
    return value.toExponential(4).replaceAll("-", "−");
  }
  return plain(value, decimals, language);
}

// A tick of a value axis: as many digits as ticks that are `step` apart need to differ.
export function formatTick(tick, step, language = "en") {
  if (Math.abs(tick) < step / 1e6) return "0";
  if (Math.abs(tick) < MOST_PLAIN && step >= 1e-6) return plain(tick, stepDecimals(step), language);
  const digits = Math.floor(Math.log10(Math.abs(tick) / step) + 1e-9) + 1;
  return tick.toExponential(Math.min(15, Math.max(0, digits))).replaceAll("-", "−");
}

// The unit that is said beside a title: none where the title says it itself, as
// “temperature (celsius)” and “temp_celsius” do.
export function unitBeside(title, unit) {
  if (!unit) return "";
  const words = title.toLowerCase().split(/[\s()[\],;_]+/u);
  return words.includes(unit.toLowerCase()) && words.length > 1 ? "" : unit;
}

function plain(value, decimals, language) {
  const key = `${language} ${decimals}`;
  if (!numbers.has(key)) {
    numbers.set(key, new Intl.NumberFormat(language, {
      minimumFractionDigits: decimals ?? 0,
      maximumFractionDigits: decimals ?? 2,
    }));
  }
  return numbers.get(key).format(value).replace("-", "−");
}

// How many decimals a metric's values carry, at most two (three below one): so that
// 9.9 becomes 10.0 and the column does not jump.
export class Decimals {
  constructor() {
    this.count = 0;
  }

  note(value) {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    const most = Math.abs(value) < 1 ? 3 : 2;
    while (this.count < most) {
      const scaled = value * 10 ** this.count;
      if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * Math.max(1, Math.abs(scaled))) return;
      this.count += 1;
    }
  }
}

// "0.3 s", "22 s", "9 min", "3 h", "2 d".
export function formatAge(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return fill(gettext("%(n)s s"), { n: seconds.toFixed(1) });
  if (seconds < 99.5) return fill(gettext("%(n)s s"), { n: Math.round(seconds) });
  if (seconds < 90 * 60) return fill(gettext("%(n)s min"), { n: Math.round(seconds / 60) });
  if (seconds < 48 * 3600) return fill(gettext("%(n)s h"), { n: Math.round(seconds / 3600) });
  return fill(gettext("%(n)s d"), { n: Math.round(seconds / 86400) });
}

export function formatAgo(ms) {
  return fill(gettext("%(age)s ago"), { age: formatAge(ms) });
}

// "0:07", "12:30": how long something lasts.
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// The time of day in a zone: "14:03:21", or "14:03".
export function formatClock(ms, zone, hasSeconds = true) {
  const key = `${zone} ${hasSeconds}`;
  if (!clocks.has(key)) {
    clocks.set(key, new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      hour: "2-digit",
      minute: "2-digit",
      ...(hasSeconds ? { second: "2-digit" } : {}),
    }));
  }
  return clocks.get(key).format(ms);
}

// "2026-11-22 14:03:21": what does not depend on when one looks.
export function formatDateTime(ms, zone) {
  const key = `${zone} date`;
  if (!clocks.has(key)) {
    clocks.set(key, new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone,
      dateStyle: "short",
      timeStyle: "medium",
    }));
  }
  return clocks.get(key).format(ms);
}

// A tick of a time axis whose ticks are stepS apart: the time of day, at midnight the
// day, from a month on the month.
export function formatTimeTick(ms, stepS, zone, language = "en") {
  const isMidnight = formatClock(ms, zone) === "00:00:00";
  if (stepS >= 30 * 86_400) return formatDay(ms, zone, language, { month: "short", year: "numeric" });
  if (stepS >= 86_400 || isMidnight) return formatDay(ms, zone, language, { day: "numeric", month: "short" });
  if (stepS >= 1) return formatClock(ms, zone, stepS < 60);
  return `${formatClock(ms, zone)}.${String(Math.round(ms) % 1000).padStart(3, "0").replace(/00$/, "")}`;
}

function formatDay(ms, zone, language, parts) {
  const key = `${zone} ${language} ${Object.keys(parts)}`;
  if (!clocks.has(key)) clocks.set(key, new Intl.DateTimeFormat(language || "en", { timeZone: zone, ...parts }));
  return clocks.get(key).format(ms);
}

// "2026-11-22 14:03:21", a fraction only where there is one.
export function formatMoment(ms, zone) {
  const fraction = Math.round(ms) % 1000;
  return formatDateTime(ms, zone) + (fraction ? `.${String(fraction).padStart(3, "0")}` : "");
}
