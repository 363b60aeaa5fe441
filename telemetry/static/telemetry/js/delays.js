// How long readings take from their device to the screen, of the last ones drawn. Pure.

const KEPT = 200;
// What a device had kept for itself is no delay of the way.
const LONGEST_MS = 10_000;

export class Delays {
  constructor() {
    this.kept = [];
  }

  // By the device's clock and the hub's; a clock that runs ahead says nothing.
  note(ms) {
    if (!(ms >= 0 && ms <= LONGEST_MS)) return;
    this.kept.push(ms);
    if (this.kept.length > KEPT) this.kept.shift();
  }

  // What 95 of 100 stay below; null while there are too few.
  get p95Ms() {
    if (this.kept.length < 20) return null;
    const sorted = [...this.kept].sort((a, b) => a - b);
    return sorted[Math.ceil(0.95 * sorted.length) - 1];
  }
}
