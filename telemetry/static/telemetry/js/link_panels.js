// What happened to a device, and how good its link is: the hub's words, kept fresh.

import { make, setText } from "./dom.js";
import { formatClock, formatDateTime } from "./format.js";
import { gettext } from "./i18n.js";
import { Panel } from "./panel.js";

const EVENTS_MS = 10_000;
const QUALITY_MS = 30_000;
// A page may stay open for weeks beside a device that comes and goes.
export const MOST_EVENTS = 1_000;

// Drop what is too much, newest first; the id of the oldest that is left, null: nothing
// was dropped. What was dropped is asked for again like any older ones.
export function cutOldest(events) {
  if (events.length <= MOST_EVENTS) return null;
  events.length = MOST_EVENTS;
  return events.at(-1).id;
}

export class EventList extends Panel {
  // first: the newest events, as the page came with them.
  constructor(element, url, { zone, hubNow, first }) {
    super(element, url, EVENTS_MS);
    Object.assign(this, { zone, hubNow });
    this.body = element.querySelector("tbody");
    this.none = element.querySelector("#no-events");
    this.older = element.querySelector("#older-events");
    this.older.addEventListener("click", () => this.loadOlder());
    this.events = [];
    this.take(first);
  }

  // The newest ones: what is older stays.
  take({ events, next }) {
    const isFirst = !this.events.length;
    const merged = mergeEvents(this.events, events);
    if (isFirst) this.foundNext(next);
    const oldest = cutOldest(merged);
    if (oldest !== null) this.foundNext(oldest);
    if (merged.length === this.events.length && merged.every((event, at) => event.words === this.events[at].words)) return;
    this.events = merged;
    this.render();
  }

  async loadOlder() {
    const answer = await this.load(`${this.url}?before=${this.next}`);
    if (!answer) return;
    const had = this.events.length;
    this.events = mergeEvents(this.events, answer.events);
    this.foundNext(answer.next);
    this.render();
    // Who has gone on by keyboard goes on where the new ones begin.
    if (this.older.hidden) this.body.rows[had]?.querySelector("th").focus();
  }

  // next: what comes before it is to be asked for, null: there is no more.
  foundNext(next) {
    this.next = next;
    this.older.hidden = next === null;
  }

  render() {
    const today = formatDateTime(this.hubNow(), this.zone).slice(0, 10);
    this.body.replaceChildren(...this.events.map(({ time: ms, words }) => {
      const full = formatDateTime(ms, this.zone);
      const shown = full.startsWith(today) ? formatClock(ms, this.zone) : full;
      const time = make("time", { datetime: new Date(ms).toISOString(), title: full }, shown);
      return make("tr", {}, make("th", { scope: "row", tabindex: "-1" }, time), make("td", { dir: "auto" }, words));
    }));
    this.none.hidden = this.events.length > 0;
  }
}

// Two lists of events as one, each once, the newest first; the second one is right.
export function mergeEvents(held, more) {
  const byId = new Map([...held, ...more].map((event) => [event.id, event]));
  return [...byId.values()].sort((a, b) => b.time - a.time || b.id - a.id);
}

export class QualityPanel extends Panel {
  constructor(element, url) {
    super(element, url, QUALITY_MS);
    this.strip = element.querySelector("#strip");
    this.cells = element.querySelectorAll("[data-quality]");
  }

  take({ words, strip }) {
    for (const cell of this.cells) setText(cell, words[cell.dataset.quality] ?? "–");
    this.strip.setAttribute("aria-label", `${gettext("Connected in the last 24 hours:")} ${words.availability}`);
    strip.forEach(([text, isKnown, top, height], at) => {
      const [title, track, bar] = this.strip.children[at].children;
      setText(title, text);
      track.classList.toggle("is-unknown", !isKnown);
      bar.setAttribute("y", top);
      bar.setAttribute("height", height);
    });
  }
}
