// The last values of a device, a tile each; patched in place.

import { make, nameOf, setText } from "./dom.js";
import { formatAge, formatAgo, formatDateTime, unitBeside } from "./format.js";
import { fill, gettext } from "./i18n.js";

// Longer ones are set smaller.
const FEW_CHARACTERS = 9;

export class Tiles {
  constructor(element, page) {
    Object.assign(this, { element, page });
    this.tiles = [];
    this.held = new Map(); // series id → {value, sinceMs, isLeast}: since when it is so
  }

  // specs: what there is to show (watch.js); of one device, so a line each.
  shape(specs) {
    const places = JSON.stringify(specs.map(({ place, lines, title }) => [place, lines[0].id, title]));
    if (places === this.places) return;
    this.places = places;
    this.tiles = specs.map((spec) => this.makeTile(spec));
    this.element.replaceChildren(...this.tiles.map((tile) => tile.element));
  }

  makeTile(spec) {
    const tile = { spec, line: spec.lines[0], value: nameOf(""), age: make("span", { class: "tile-age" }) };
    tile.element = make(
      "li", { class: `tile is-${spec.kind}` },
      make("span", { class: "tile-name", title: spec.title }, nameOf(spec.title)),
      make("span", { class: "tile-value" }, make("b", {}, tile.value), " ", nameOf(unitBeside(spec.title, spec.unit), { class: "unit" })),
      tile.age,
    );
    return tile;
  }

  // What the hub found in the history: {series id: [ms, is_least]}.
  learn(changes) {
    for (const [text, [sinceMs, isLeast]] of Object.entries(changes)) {
      const id = Number(text);
      const known = this.held.get(id);
      // What has changed since it looked is known better here.
      if (!(known?.sinceMs > sinceMs)) this.held.set(id, { value: this.page.head(id)?.value, sinceMs, isLeast });
    }
  }

  // Rows that have come in: whether a value is another one than before.
  note(rows) {
    for (const { id, value, min, max, time } of rows) {
      if (typeof value === "number") continue;
      const known = this.held.get(id);
      if (known && known.value === value && min === max) continue;
      if (known) this.held.set(id, { value, sinceMs: time, isLeast: false });
      else this.held.set(id, { value, sinceMs: null, isLeast: false });
    }
  }

  render(nowMs) {
    const { page } = this;
    for (const { spec, line, value, age, element } of this.tiles) {
      const head = page.head(line.id);
      if (!head) continue;
      const isOld = page.isOldValue(line);
      const text = page.format(head.value, spec, line.id);
      if (text !== value.textContent) {
        value.textContent = value.title = text;
        element.classList.toggle("is-long", text.length > FEW_CHARACTERS);
      }
      setText(age, ageText(head, this.held.get(line.id), isOld, nowMs));
      element.classList.toggle("is-old", isOld);
      if (Math.abs(head.time - (element.titledMs ?? 0)) < 1_000) continue;
      element.titledMs = head.time;
      age.title = formatDateTime(head.time, page.zone);
    }
  }
}

// "22 s ago"; of a value that is no number rather "changed 2 h ago". Exported for tests.
export function ageText(head, held, isOld, nowMs) {
  const ago = formatAgo(nowMs - head.heardMs);
  if (typeof head.value === "number" || typeof held?.sinceMs !== "number") return ago;
  const passedMs = nowMs - held.sinceMs;
  const changed = held.isLeast
    ? fill(gettext("the same for %(age)s"), { age: formatAge(passedMs) })
    : fill(gettext("changed %(ago)s"), { ago: formatAgo(passedMs) });
  // It was the reading that changed it: one age says both.
  if (held.sinceMs === head.time) return changed;
  return isOld ? `${ago}, ${changed}` : changed;
}
