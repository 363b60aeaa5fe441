// Which hue and which dash a device has: 6 hues by 3 dashes. Pure.

export const HUES = 6;
export const DASHES = [[], [6, 4], [2, 3]];
export const MOST_LINES = HUES * DASHES.length;

// slugs → Map slug → {hue: 1 to 6, dash: 0 to 2}. A device's name decides its hue, so
// that it keeps it on every page; where two want the same, the next free one is taken,
// and dashes begin when the hues have run out.
export function assignStyles(slugs) {
  const taken = new Set();
  const styles = new Map();
  for (const slug of [...slugs].sort()) {
    const place = freePlace(hash(slug) % HUES, taken);
    taken.add(place);
    styles.set(slug, { hue: place % HUES + 1, dash: Math.floor(place / HUES) % DASHES.length });
  }
  return styles;
}

function freePlace(wanted, taken) {
  for (let dash = 0; ; dash += 1) {
    for (let step = 0; step < HUES; step += 1) {
      const place = dash * HUES + (wanted + step) % HUES;
      if (!taken.has(place)) return place;
    }
  }
}

// FNV-1a: small, and the same in every browser.
function hash(text) {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }
  return value;
}
