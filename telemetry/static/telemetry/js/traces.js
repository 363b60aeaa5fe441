// The small lines of the rows in sight: asked for together, kept up by what comes live.

import { Trace } from "./sparkline.js";

const AT_ONCE = 64;
const WAIT_MS = 120; // Who scrolls asks once.
const AGAIN_MS = 5_000;
const KEPT = 512; // Beyond, those asked for longest ago go.

export class Traces {
  // onLoad: some have come.
  constructor({ url, onLoad, fetcher = (address) => fetch(address), later = (act, ms) => setTimeout(act, ms) }) {
    Object.assign(this, { url, onLoad, fetcher, later });
    this.held = new Map(); // series id → Trace
    this.wanted = new Set();
    this.isBusy = false;
  }

  // The trace of a series, null until it is here.
  get(id) {
    const trace = this.held.get(id);
    if (trace) return trace;
    this.wanted.add(id);
    this.schedule(WAIT_MS);
    return null;
  }

  put({ id, time, min, max }) {
    this.held.get(id)?.put(time, min, max);
  }

  // Something may be missing in them: they are loaded again when they are in sight.
  forget() {
    this.held.clear();
    this.wanted.clear();
  }

  schedule(ms) {
    if (this.isBusy) return;
    this.isBusy = true;
    this.later(() => this.load(), ms);
  }

  async load() {
    // The newest wishes: those of the rows that are in sight now.
    const ids = [...this.wanted].slice(-AT_ONCE);
    this.wanted.clear();
    let waitMs = WAIT_MS;
    try {
      const response = await this.fetcher(`${this.url}?series=${ids.join(",")}`);
      if (!response.ok) throw new Error(`expected traces, got status ${response.status}`);
      this.take(ids, await response.json());
      this.onLoad();
    } catch {
      // Lines are an extra: without them the page says all that it has to.
      waitMs = AGAIN_MS;
      for (const id of ids) this.wanted.add(id);
    }
    this.isBusy = false;
    if (this.wanted.size) this.schedule(waitMs);
  }

  take(ids, { from, width_ms: widthMs, series }) {
    for (const id of ids) {
      const trace = new Trace(widthMs);
      if (series[id]) trace.load(series[id], from);
      this.held.set(id, trace);
    }
    for (const id of this.held.keys()) {
      if (this.held.size <= KEPT) break;
      this.held.delete(id);
    }
  }
}
