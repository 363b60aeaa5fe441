// What a page knows of the group that it watches: devices, their states, last values,
// how fast readings come. No DOM; times are the hub's clock, ms.

import { evidence } from "./evidence.js";
import { byName, Decimals, formatValue } from "./format.js";
import { freshness } from "./freshness.js";
import { judge, lateAfterMs } from "./presence.js";

const RATE_MS = 5_000;

export class Watch {
  constructor({ group, store, socket, zone, catalogue, language }) {
    Object.assign(this, { group, store, socket, zone, language });
    this.catalogue = new Map(catalogue.map(([name, unit, label, kind, decimals]) => (
      [keyOf(name, unit), { label, kind, decimals }]
    )));
    this.decimals = new Map(); // series id, or key for all that share it → Decimals
    this.statuses = new Map(); // slug → what presence.js said last
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
    for (const row of rows) {
      count += row.count;
      const series = this.held?.series.get(row.id);
      if (!series) continue;
      this.decimalsOf(row.id).note(row.value);
      this.decimalsOf(keyOf(series.metric, series.unit)).note(row.value);
    }
    if (isLive && count) this.arrivals.push([this.hubNow(), count]);
  }

  // Time has gone on: what each device is, at the last moment of which this page knows.
  judgeAll() {
    const nowMs = this.hubNow();
    const knownMs = Math.min(nowMs, this.freshness().fromMs);
    this.lastReadings.clear();
    for (const [id, row] of this.held?.rows ?? []) {
      const slug = this.slugOf(id);
      if (slug !== undefined && row.heardMs > (this.lastReadings.get(slug) ?? -Infinity)) this.lastReadings.set(slug, row.heardMs);
    }
    this.statuses = new Map(this.devices().map((device) => (
      [device.slug, judge(this.factsOf(device), knownMs, this.statuses.get(device.slug))]
    )));
    while (this.arrivals.length && this.arrivals[0][0] < nowMs - RATE_MS) this.arrivals.shift();
  }

  devices() {
    return [...(this.held?.devices.values() ?? [])];
  }

  // For presence.js and evidence.js.
  factsOf(device) {
    return { ...device, lastReadingMs: this.lastReadings.get(device.slug) ?? null };
  }

  // Why a device's state is what it is, in a sentence.
  evidenceOf(device) {
    return evidence(this.factsOf(device), this.hubNow(), this.zone, this.statuses.get(device.slug));
  }

  get states() {
    return new Map([...this.statuses].map(([slug, { state }]) => [slug, state]));
  }

  // A series' own habit; null: not known yet.
  ownPeriodMs(id) {
    return this.held?.series.get(id)?.periodMs ?? null;
  }

  // How often one series comes: its own habit, else its device's period.
  periodMs(slug, id) {
    return this.ownPeriodMs(id) ?? this.held?.devices.get(slug)?.periodMs ?? null;
  }

  stateOf(slug) {
    return this.statuses.get(slug)?.state ?? "new";
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
    const devicesMs = this.held.devices.get(slug)?.periodMs ?? null;
    return this.hubNow() - row.heardMs > Math.max(lateAfterMs(this.ownPeriodMs(id)), lateAfterMs(devicesMs));
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
