// The page's one drawing loop: visible elements only, within a budget a frame.
//
// An element offers draw(nowMs), isDirty and minGapMs; what is silent still moves
// once a second, because silence must be visible. Where isPointed is set (the cursor has
// moved) writeReadout(nowMs) says what is there, at once.

// Of the 8 ms of a frame; the rest is for messages and for what time alone changes.
const BUDGET_MS = 6;
const IDLE_GAP_MS = 1_000;
// What is out of sight is drawn once all the same: a print or a picture of the whole
// page shows it. One at a time, so that what is in sight goes first.
const UNSEEN_GAP_MS = 30;
const UNSEEN_LATEST_MS = 500;

export class Scheduler {
  // hubNow: the time that is drawn; onVisible: told of an element that comes in sight.
  constructor({ hubNow, onVisible }) {
    this.hubNow = hubNow;
    this.onVisible = onVisible;
    this.elements = new Set();
    this.visible = new Set();
    this.unseen = new Set(); // still to be drawn, though out of sight
    this.unseenAt = -Infinity;
    this.round = [];
    this.drawnAt = new WeakMap();
    this.isStill = matchMedia("(prefers-reduced-motion: reduce)");
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) {
          this.visible.add(target);
          onVisible(target);
        } else this.visible.delete(target);
      }
    }, { rootMargin: "200px" });
    addEventListener("beforeprint", () => this.drawAll());
    requestAnimationFrame(() => this.frame());
  }

  add(element) {
    if (!this.elements.has(element)) this.unseen.add(element);
    this.elements.add(element);
    this.observer.observe(element);
  }

  remove(element) {
    this.observer.unobserve(element);
    this.visible.delete(element);
    this.elements.delete(element);
    this.unseen.delete(element);
  }

  // The next frame draws everything that is in sight, the next ones what is not.
  redraw() {
    this.drawnAt = new WeakMap();
    this.unseen = new Set(this.elements);
  }

  // At once, in sight or not: nobody scrolls on paper.
  drawAll() {
    for (const element of this.elements) element.draw(this.hubNow());
  }

  frame() {
    const start = performance.now();
    if (!this.round.length) this.round = [...this.visible];
    let [now, longest] = [start, 0];
    // What is as long as the longest so far must still fit.
    while (this.round.length && now - start + longest < BUDGET_MS) {
      this.visit(this.round.pop(), start);
      const then = performance.now();
      longest = Math.max(longest, then - now);
      now = then;
    }
    const gapMs = now - start < BUDGET_MS / 2 ? UNSEEN_GAP_MS : UNSEEN_LATEST_MS;
    if (this.unseen.size && start - this.unseenAt >= gapMs) this.drawUnseen(start);
    requestAnimationFrame(() => this.frame());
  }

  visit(element, start) {
    if (start - (this.drawnAt.get(element) ?? -Infinity) >= this.gapMs(element)) {
      element.draw(this.hubNow());
      this.drawnAt.set(element, start);
    }
    if (element.isPointed) element.writeReadout(this.hubNow());
  }

  drawUnseen(start) {
    this.unseenAt = start;
    for (const element of this.unseen) {
      if (!this.visible.has(element)) {
        this.onVisible(element);
        element.draw(this.hubNow());
      }
      this.unseen.delete(element);
      // Its history is still on its way: its turn comes again, after the others.
      if (element.loading) this.unseen.add(element);
      return;
    }
  }

  gapMs(element) {
    if (!element.isDirty || this.isStill.matches) return IDLE_GAP_MS;
    return element.minGapMs;
  }
}
