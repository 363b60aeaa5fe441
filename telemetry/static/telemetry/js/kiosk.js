// A page on a wall, where nobody is there to press anything: it stays awake, moves on
// through its groups, loads a new version of itself, and asks the hub for ever.
//
// Nothing is loaded before the hub has answered: a browser's own error page would stay.

import { decide, isOver, nextGroup, nextTop, rotateMs, shiftPx } from "./kiosk_plan.js";
import { steadyMs } from "./socket.js";

const TICK_MS = 1_000;
const CHECK_MS = 30_000;
const ENDED_CHECK_MS = 60_000;
const SLOW_MS = 20_000;
const IDLE_MS = 5_000;
const SCROLL_MS = 15_000;
// So that two versions of the hub side by side make no page load again and again.
const YOUNG_MS = 60_000;

const { mode, check, group, groups: groupsUrl } = document.querySelector("meta[name=hub-kiosk]")?.dataset ?? {};
// The range picker writes its own.
const search = location.search;

async function ask(url, method) {
  try {
    return await fetch(url, { method, cache: "no-store", signal: AbortSignal.timeout(SLOW_MS) });
  } catch {
    return null; // The hub is away, or too busy.
  }
}

class Kiosk {
  startedMs = steadyMs();
  turnedMs = steadyMs();
  checkedMs = -Infinity;
  movedMs = steadyMs();
  scrolledMs = steadyMs();
  version = null;
  groups = [];
  phase = "";
  isChecking = false;

  start() {
    document.body.classList.add("is-kiosk");
    this.stayAwake();
    document.addEventListener("visibilitychange", () => this.stayAwake());
    document.addEventListener("hub:link", ({ detail }) => this.follow(detail));
    addEventListener("pointermove", () => { this.movedMs = steadyMs(); });
    setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  // The screen's own power saving; without https there is no such thing.
  async stayAwake() {
    if (document.hidden) return;
    try {
      await navigator.wakeLock?.request("screen");
    } catch {
      // The system says no, for its battery: the picture is the same.
    }
  }

  // The live socket has moved: whatever it says, the reason is asked for at once.
  follow(phase) {
    if (phase === this.phase) return;
    this.phase = phase;
    if (isOver(phase) || phase === "open") this.checkedMs = -Infinity;
  }

  tick() {
    const nowMs = steadyMs();
    const [x, y] = shiftPx(nowMs);
    document.body.style.translate = `${x}px ${y}px`;
    document.body.classList.toggle("is-idle", nowMs - this.movedMs > IDLE_MS);
    if (nowMs - this.checkedMs > CHECK_MS) this.look();
    // Whoever has just moved the pointer looks at something.
    if (nowMs - Math.max(this.scrolledMs, this.movedMs) > SCROLL_MS) this.scroll(nowMs);
    const everyMs = rotateMs(search);
    if (everyMs !== null && nowMs - this.turnedMs >= everyMs) this.turn(nowMs);
  }

  // What is below the edge is never seen otherwise.
  scroll(nowMs) {
    this.scrolledMs = nowMs;
    const { scrollTop, scrollHeight, clientHeight } = document.documentElement;
    scrollTo({ top: nextTop(scrollTop, scrollHeight, clientHeight), behavior: "instant" });
  }

  // Ask the hub; true: it has answered, and this page stays.
  async look() {
    if (this.isChecking) return false;
    this.isChecking = true;
    this.checkedMs = steadyMs();
    const response = await ask(check, "GET");
    const answer = response?.status === 200 ? await response.json().catch(() => null) : null;
    this.isChecking = false;
    const status = response?.status === 200 && answer === null ? 0 : response?.status ?? 0;
    const isYoung = steadyMs() - this.startedMs < YOUNG_MS;
    const done = decide(status, answer, { group, version: this.version, isLink: mode === "link", isOver: isOver(this.phase) });
    if (done === "reload" && (status === 404 || !isYoung)) location.reload();
    else if (done.go) this.go(done.go);
    if (answer === null) return false;
    // Of a page that is too young to be loaded again the new version stays news.
    this.version ??= answer.version;
    this.groups = answer.groups;
    return done === "stay";
  }

  async turn(nowMs) {
    this.turnedMs = nowMs;
    if (!await this.look()) return;
    const next = nextGroup(this.groups, group);
    if (next !== null && next !== group) this.go(next);
  }

  go(slug) {
    // No entry for each turn: a year of them is a long history.
    location.replace(groupsUrl.slice(0, -1) + encodeURIComponent(slug) + search);
  }
}

// The link has ended: somebody may give it more time.
function lookAgain() {
  setInterval(async () => {
    if ((await ask(location.href, "HEAD"))?.ok) location.reload();
  }, ENDED_CHECK_MS);
}

if (mode === "ended") lookAgain();
else if (mode) new Kiosk().start();
