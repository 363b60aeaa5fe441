// The page's one drawing loop: visible elements only, at most 8 ms a frame.
//
// An element offers draw(nowMs), isDirty and minGapMs; what is silent still moves
// once a second, because silence must be visible.

const BUDGET_MS = 8;
const IDLE_GAP_MS = 1_000;
// What is out of sight is drawn once all the same: a print or a picture of the whole
// page shows it. One at a time, so that what is in sight goes first.
const UNSEEN_GAP_MS = 30;

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
    while (this.round.length && performance.now() - start < BUDGET_MS) {
      const element = this.round.pop();
      if (start - (this.drawnAt.get(element) ?? -Infinity) < this.gapMs(element)) continue;
      element.draw(this.hubNow());
      this.drawnAt.set(element, start);
    }
    if (this.unseen.size && start - this.unseenAt >= UNSEEN_GAP_MS) this.drawUnseen(start);
    requestAnimationFrame(() => this.frame());
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
