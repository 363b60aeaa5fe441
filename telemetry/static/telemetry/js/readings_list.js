// The readings of a display as a list, for its table and its file: what is shown, in the
// form in which the hub has it. Pure.
//
// A list is {columns, rows}: each row has a time (ms), then for a chart of lines the
// index of its line, then numbers. columns: what the numbers are, "value", or "mean",
// "lowest", "highest", "readings"; of a band "lowest", "median", "highest".

import { formatMoment } from "./format.js";

// found: the hub's answer; lines: as in a spec. By time, then by line.
export function listOf(found, lines, [fromMs, toMs]) {
  const width = found.width_ms ?? 0;
  const rows = [];
  lines.forEach(({ id }, line) => {
    const one = found.series[id];
    (one?.times ?? one?.starts ?? []).forEach((ms, at) => {
      if (ms + width <= fromMs || ms > toMs) return;
      rows.push(one.times
        ? [ms, line, one.values[at]]
        : [ms, line, one.mean[at], one.min[at], one.max[at], one.count[at]]);
    });
  });
  rows.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return { hasLines: true, columns: width ? ["mean", "lowest", "highest", "readings"] : ["value"], rows };
}

// columns: of a Band.
export function listOfBand([times, high, low, middle], [fromMs, toMs]) {
  const rows = [];
  times.forEach((seconds, at) => {
    const ms = seconds * 1000;
    if (ms < fromMs || ms > toMs || typeof middle[at] !== "number") return;
    rows.push([ms, low[at], middle[at], high[at]]);
  });
  return { hasLines: false, columns: ["lowest", "median", "highest"], rows };
}

// spec: see figure.js. Times in UTC, so that every program reads them; a name never
// becomes a formula.
export function csvOf({ hasLines, columns, rows }, { name, title, unit, lines }) {
  const head = ["time", ...(hasLines ? ["device", "name"] : []), "metric", "unit", ...columns];
  const text = rows.map(([ms, ...rest]) => {
    const line = hasLines ? lines[rest.shift()] : null;
    const who = line ? [line.slug, line.owner ?? line.device] : [];
    const what = line?.metric ?? name ?? title;
    return [isoOf(ms), ...[...who, what, unit].map(cell), ...rest.map((number) => number ?? "")].join(",");
  });
  return `${[head.join(","), ...text].join("\r\n")}\r\n`;
}

export function isoOf(ms) {
  return new Date(Math.round(ms)).toISOString();
}

function cell(text) {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

// For a file: letters and digits of any language, the range in UTC.
export function fileName(parts, [fromMs, toMs], ending) {
  const stamp = (ms) => isoOf(ms).slice(0, 19).replaceAll(/[-:]/g, "");
  const words = parts.join(" ").normalize("NFC").replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "").slice(0, 80);
  return `${words || "chart"}-${stamp(fromMs)}-${stamp(toMs)}.${ending}`;
}

// "2026-11-22 14:03:21 to 14:18:21", in a zone.
export function rangeText([fromMs, toMs], zone) {
  const [from, to] = [fromMs, toMs].map((ms) => formatMoment(Math.round(ms / 1000) * 1000, zone));
  const [day] = from.split(" ");
  return `${from} – ${to.startsWith(day) ? to.slice(day.length + 1) : to}`;
}
