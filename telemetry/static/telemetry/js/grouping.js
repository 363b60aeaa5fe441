// How a group's metrics are laid out: a display for each metric, or for each device, and
// which metrics are wanted. Pure.

import { byName } from "./format.js";
import { assignStyles, MOST_LINES } from "./palette.js";

// More are more than anybody looks at, and than a page can draw.
export const MOST_FIGURES = 60;

// The address's query → {isByDevice, metrics}; metrics null: all of them.
export function readGrouping(search) {
  const query = new URLSearchParams(search);
  const names = (query.get("m") ?? "").split(",").filter(Boolean);
  return { isByDevice: query.get("by") === "device", metrics: names.length ? new Set(names) : null };
}

// The query with another grouping; what else it says stays.
export function writeGrouping(search, { isByDevice }) {
  const query = new URLSearchParams(search);
  if (isByDevice) query.set("by", "device");
  else query.delete("by");
  // Times and commas are read by people.
  const text = String(query).replaceAll("%3A", ":").replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}

// Only the metrics that are wanted; all of them where none of those exists.
export function chosen(specs, metrics) {
  const found = metrics === null ? specs : specs.filter((spec) => metrics.has(spec.name));
  return found.length ? found : specs;
}

// specs, one a (name, unit, kind), see watch.js → one a (device, unit, kind): its lines
// are the device's metrics, by their titles.
export function byDevice(specs) {
  const keys = [...new Set(specs.map((spec) => spec.key))];
  const shared = keys.length <= MOST_LINES ? assignStyles(keys) : null;
  const found = new Map();
  for (const spec of specs) {
    for (const { id, slug, device } of spec.lines) {
      const place = `${slug}\u0000${spec.unit}\u0000${spec.kind}`;
      if (!found.has(place)) {
        found.set(place, {
          place, key: place, unit: spec.unit, kind: spec.kind, title: device, isByDevice: true,
          query: { device: slug, unit: spec.unit }, lines: [],
        });
      }
      found.get(place).lines.push({ id, slug, device: spec.title, metric: spec.name, key: spec.key });
    }
  }
  for (const { lines, query } of found.values()) {
    const styles = shared ?? assignStyles(lines.map((line) => line.key));
    for (const line of lines) line.style = styles.get(line.key);
    query.m = lines.map((line) => line.metric).join();
  }
  return [...found.values()].sort((a, b) => byName(a.title, b.title));
}
