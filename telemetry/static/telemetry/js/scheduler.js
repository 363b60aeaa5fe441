// The page's one drawing loop: visible elements only, at most 8 ms a frame.
//
// An element offers draw(nowMs), isDirty and minGapMs; what is silent still moves
// once a second, because silence must be visible.

const BUDGET_MS = 8;
const IDLE_GAP_MS = 1_000;

export class Scheduler {
  // hubNow: the time that is drawn; onVisible: told of an element that comes in sight.
  constructor({ hubNow, onVisible }) {
    this.hubNow = hubNow;
    this.visible = new Set();
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
    requestAnimationFrame(() => this.frame());
  }

  add(element) {
    this.observer.observe(element);
  }

  remove(element) {
    this.observer.unobserve(element);
    this.visible.delete(element);
  }

  // The next frame draws everything that is in sight.
  redraw() {
    this.drawnAt = new WeakMap();
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
    requestAnimationFrame(() => this.frame());
  }

  gapMs(element) {
    if (!element.isDirty || this.isStill.matches) return IDLE_GAP_MS;
    return element.minGapMs;
  }
}
