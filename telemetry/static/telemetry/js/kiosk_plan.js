// What a screen on a wall does when: rotation, scrolling, the shift of its pixels, what to
// do with the hub's answer. Pure.

const LEAST_ROTATE_S = 5;
const MOST_ROTATE_S = 86_400;
const HOUR_MS = 3_600_000;
const SHIFT_PX = 4;
// Round a square, one corner an hour.
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
// A screen that may not follow its group, or was told to go, asks why.
const OVER = new Set(["signed-out", "refused", "stopped"]);

// "?kiosk=1&rotate=30" → 30,000 ms; null: the group stays.
export function rotateMs(search) {
  const text = new URLSearchParams(search).get("rotate");
  if (text === null || !/^\d{1,6}$/.test(text)) return null;
  const seconds = Number(text);
  return seconds === 0 ? null : Math.min(Math.max(seconds, LEAST_ROTATE_S), MOST_ROTATE_S) * 1000;
}

// The group after this one; the first where this one is none of them any more.
export function nextGroup(groups, slug) {
  return groups[(groups.indexOf(slug) + 1) % groups.length] ?? null;
}

// Where the picture lies at this time: [x, y] in pixels, so that nothing burns in.
export function shiftPx(nowMs) {
  return CORNERS[Math.floor(nowMs / HOUR_MS) % CORNERS.length].map((step) => step * SHIFT_PX);
}

// Where a page that is longer than its screen goes next: on by a little less than what is
// seen, and from its end back to the top.
export function nextTop(top, pageHeight, screenHeight) {
  const last = Math.max(0, pageHeight - screenHeight);
  if (top >= last - SHIFT_PX) return 0;
  return Math.min(last, top + Math.round(screenHeight * 0.85));
}

// Whether the live socket does not come back by itself.
export const isOver = (phase) => OVER.has(phase);

// What to do with what the hub said: "reload", "stay", or {go: slug}.
// status: of its answer, 0 where there was none; answer: {version, groups}; page: {group,
// version (null: not known yet), isLink, isOver: the live socket does not come back}.
export function decide(status, answer, page) {
  if (status === 404) return page.isLink ? "reload" : "stay";
  // Away, or in trouble: what is on the screen says how old it is.
  if (status !== 200) return "stay";
  if (page.version !== null && answer.version !== page.version) return "reload";
  if (answer.groups.length && !answer.groups.includes(page.group)) return { go: answer.groups[0] };
  return page.isOver ? "reload" : "stay";
}
