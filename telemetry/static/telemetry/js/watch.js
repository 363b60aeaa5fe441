// What a page knows of the group that it watches: devices, their states and periods,
// last values, how fast readings come. No DOM; times are the hub's clock, ms.

import { byName, Decimals, formatValue } from "./format.js";
import { freshness } from "./freshness.js";
import { judge, lateAfterMs, PeriodEstimate } from "./presence.js";

const RATE_MS = 5_000;

export class Watch {
  constructor({ group, store, socket, zone, catalogue, language }) {
    Object.assign(this, { group, store, socket, zone, language });
    this.catalogue = new Map(catalogue.map(([name, unit, label, kind, decimals]) => (
      [keyOf(name, unit), { label, kind, decimals }]
    )));
    this.estimates = new Map(); // series id → PeriodEstimate
    this.visits = new Map(); // slug → PeriodEstimate of when anything of it came in
    this.decimals = new Map(); // series id, or key for all that share it → Decimals
    this.states = new Map(); // slug → state
    this.lastReadings = new Map(); // slug → ms
    this.arrivals = []; // [ms, readings] of the last seconds
    this.startedMs = socket.clock();
  }

  get held() {
    return this.store.groups.get(this.group);
  }

  hubNow() {
    return this.socket.hubNow();
  }

  // {isLive, isStale, fromMs} of the page as a whole; fromMs is hub time.
  freshness() {
    const { phase, isInSync, heardMs, offsetMs } = this.socket;
    const found = freshness(
      { phase, isInSync, heardMs: this.trueMs ?? heardMs, startedMs: this.startedMs }, this.socket.clock(),
    );
    return { ...found, fromMs: found.fromMs + offsetMs };
  }

  // Rows that have just come in; isLive: by an update, not out of a snapshot.
  note(rows, isLive) {
    let count = 0;
    const nowMs = this.hubNow();
    for (const row of rows) {
      count += row.count;
      if (!this.estimates.has(row.id)) this.estimates.set(row.id, new PeriodEstimate());
      this.estimates.get(row.id).note(row.time, row.count);
      const series = this.held?.series.get(row.id);
      if (!series) continue;
      this.decimalsOf(row.id).note(row.value);
      this.decimalsOf(keyOf(series.metric, series.unit)).note(row.value);
      if (isLive) this.noteVisit(series.device, nowMs);
    }
    if (isLive && count) this.arrivals.push([nowMs, count]);
  }

  // Who sends ten readings every ten seconds is not late in between.
  noteVisit(slug, nowMs) {
    if (!this.visits.has(slug)) this.visits.set(slug, new PeriodEstimate());
    this.visits.get(slug).note(nowMs);
  }

  // What the stored readings of a series say; never those of the range that is shown:
  // a device's state is the same in every range.
  supposePeriod(id, periodMs) {
    if (!this.estimates.has(id)) this.estimates.set(id, new PeriodEstimate());
    this.estimates.get(id).suppose(periodMs);
  }

  // Slugs of devices of whose period nobody has said or shown anything yet, and whose
  // last reading is later than this: what is older is offline by any period.
  unknownSince(sinceMs) {
    const slugs = new Set();
    for (const [id, row] of this.held?.rows ?? []) {
      const device = this.held.devices.get(this.slugOf(id));
      if (device && !device.expectedPeriodS && row.time >= sinceMs) slugs.add(device.slug);
    }
    for (const [id, estimate] of this.estimates) {
      if (estimate.periodMs !== null) slugs.delete(this.slugOf(id));
    }
    return slugs;
  }

  // Time has gone on: what each device is, at the last moment of which this page knows.
  judgeAll() {
    const nowMs = this.hubNow();
    const knownMs = Math.min(nowMs, this.freshness().fromMs);
    this.lastReadings.clear();
    this.estimated = new Map();
    for (const [id, row] of this.held?.rows ?? []) {
      const slug = this.slugOf(id);
      if (slug === undefined) continue;
      if (row.heardMs > (this.lastReadings.get(slug) ?? -Infinity)) this.lastReadings.set(slug, row.heardMs);
      const periodMs = this.estimates.get(id)?.periodMs ?? null;
      if (periodMs !== null && periodMs < (this.estimated.get(slug) ?? Infinity)) this.estimated.set(slug, periodMs);
    }
    this.states = new Map(this.devices().map((device) => [device.slug, judge({
      ...device,
      lastReadingMs: this.lastReadings.get(device.slug) ?? null,
      periodMs: this.periodOf(device).ms,
    }, knownMs)]));
    while (this.arrivals.length && this.arrivals[0][0] < nowMs - RATE_MS) this.arrivals.shift();
  }

  devices() {
    return [...(this.held?.devices.values() ?? [])];
  }

  // {ms, isEstimated}; ms null: nobody knows yet.
  periodOf(device) {
    if (device.expectedPeriodS) return { ms: device.expectedPeriodS * 1000, isEstimated: false };
    const ms = this.estimated?.get(device.slug) ?? null;
    const visitMs = this.visits.get(device.slug)?.medianMs(1) ?? null;
    return { ms: ms === null ? null : Math.max(ms, visitMs ?? 0), isEstimated: true };
  }

  // A series' own habit; null: not known yet.
  ownPeriodMs(id) {
    return this.estimates.get(id)?.periodMs ?? null;
  }

  // How often one series comes: its own habit, else its device's period.
  periodMs(slug, id) {
    const own = this.ownPeriodMs(id);
    if (own !== null) return own;
    const device = this.held?.devices.get(slug);
    return device ? this.periodOf(device).ms : null;
  }

  stateOf(slug) {
    return this.states.get(slug) ?? "new";
  }

  slugOf(id) {
    return this.held?.series.get(id)?.device;
  }

  head(id) {
    return this.held?.rows.get(id);
  }

  get readingsPerSecond() {
    if (!this.arrivals.length) return 0;
    const count = this.arrivals.reduce((sum, [, readings]) => sum + readings, 0);
    const spanMs = Math.max(1_000, this.hubNow() - this.arrivals[0][0]);
    return count / spanMs * 1000;
  }

  // Whether a value is older than its own series' habit allows, though its device may
  // be live by others: then it is dimmed, and its age is said.
  isOldValue({ id, slug }) {
    if (this.stateOf(slug) !== "live") return true;
    const row = this.head(id);
    if (!row) return false;
    const own = lateAfterMs(this.estimates.get(id)?.periodMs ?? null);
    const device = this.held.devices.get(slug);
    return this.hubNow() - row.heardMs > Math.max(own, lateAfterMs(device ? this.periodOf(device).ms : null));
  }

  // id: the series that the value is of, where it is one's alone.
  format(value, spec, id = spec.key) {
    if (typeof value !== "number") return formatValue(value);
    // Of a large number nobody reads the fraction, unless somebody has asked for it.
    const learned = Math.abs(value) < 10_000 ? this.decimalsOf(id).count : 0;
    return formatValue(value, this.catalogue.get(spec.key)?.decimals ?? learned, this.language);
  }

  decimalsOf(key) {
    if (!this.decimals.has(key)) this.decimals.set(key, new Decimals());
    return this.decimals.get(key);
  }

  // What is to be shown: one spec a (name, unit), numbers first, then booleans, texts.
  specs(styleOf) {
    const specs = new Map();
    for (const { id, device, metric, unit } of this.held?.series.values() ?? []) {
      const row = this.held.rows.get(id);
      if (!row) continue;
      const kind = kindOf(row.value);
      const key = keyOf(metric, unit);
      // One name may be a number here and a text there: two displays.
      const place = `${key} ${kind}`;
      if (!specs.has(place)) {
        const title = this.catalogue.get(key)?.label || metric;
        specs.set(place, { place, key, name: metric, unit, kind, title, lines: [] });
      }
      const name = this.held.devices.get(device)?.name ?? device;
      specs.get(place).lines.push({ id, slug: device, device: name });
    }
    for (const spec of specs.values()) {
      spec.lines.sort((a, b) => byName(a.device, b.device) || (a.slug < b.slug ? -1 : 1));
      const styles = styleOf(spec.lines.map((line) => line.slug));
      for (const line of spec.lines) line.style = styles.get(line.slug);
    }
    return [...specs.values()].sort((a, b) => order(a) - order(b) || (a.place < b.place ? -1 : 1));
  }
}

export function keyOf(name, unit) {
  return `${name}\u0000${unit}`;
}

function kindOf(value) {
  if (typeof value === "boolean") return "boolean";
  return typeof value === "string" ? "text" : "number";
}

function order({ kind }) {
  return ["number", "boolean", "text"].indexOf(kind);
}
