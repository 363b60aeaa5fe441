// Which hue and which dash a device has: 6 hues by 3 dashes. Pure.

export const HUES = 6;
export const DASHES = [[], [6, 4], [2, 3]];
export const MOST_LINES = HUES * DASHES.length;

// slugs → Map slug → {hue: 1 to 6, dash: 0 to 2}. A device's name decides its hue, so
// that it keeps it on every page: where several have the same their dashes differ, and
// only a fourth takes the next hue. Those that are numbered (pump-1, pump-2) follow one
// another.
export function assignStyles(slugs) {
  const taken = new Set();
  const styles = new Map();
  for (const slug of [...slugs].sort()) {
    const [, name, number] = /^(.*?)(\d{0,9})$/s.exec(slug);
    const first = (hash(name) + Number(number)) % HUES;
    let at = 0;
    const place = () => (first + Math.floor(at / DASHES.length)) % HUES + HUES * (at % DASHES.length);
    while (taken.has(place()) && at < MOST_LINES) at += 1;
    taken.add(place());
    styles.set(slug, { hue: place() % HUES + 1, dash: Math.floor(place() / HUES) });
  }
  return styles;
}

// FNV-1a: small, and the same in every browser.
function hash(text) {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  }
  return value;
}
