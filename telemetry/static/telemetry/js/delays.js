// How long readings take from their device to the screen, of those drawn in the last
// minute. Pure.

const KEPT = 1_000;
const KEPT_MS = 60_000;
// What a device had kept for itself is no delay of the way.
const LONGEST_MS = 10_000;

export class Delays {
  constructor() {
    this.kept = []; // [when it was drawn, how long it took], ms
  }

  // By the device's clock and the hub's; a clock that runs ahead says nothing.
  note(ms, nowMs) {
    if (ms >= 0 && ms <= LONGEST_MS) this.kept.push([nowMs, ms]);
    while (this.kept.length > KEPT) this.kept.shift();
  }

  // What 95 of 100 stay below; null while there are too few.
  p95Ms(nowMs) {
    this.kept = this.kept.filter(([drawnMs]) => drawnMs > nowMs - KEPT_MS);
    if (this.kept.length < 20) return null;
    const sorted = this.kept.map(([, ms]) => ms).sort((a, b) => a - b);
    return sorted[Math.ceil(0.95 * sorted.length) - 1];
  }
}
