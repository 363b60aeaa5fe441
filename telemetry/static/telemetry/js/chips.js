// How many devices are in each state; each chip filters the table.

import { icon, make, press, setText } from "./dom.js";
import { fill, ngettext } from "./i18n.js";
import { countStates, STATES } from "./presence.js";
import { speak } from "./speak.js";
import { countWord } from "./words.js";

export class Chips {
  // onFilter: told of a state, or null for all.
  constructor(element, onFilter) {
    Object.assign(this, { element, onFilter });
    this.filter = null;
    this.chips = new Map(STATES.map((state) => [state, this.makeChip(state)]));
  }

  makeChip(state) {
    const chip = { number: make("b"), word: make("span"), mark: "" };
    chip.button = make("button", { type: "button", class: `chip state-${state}`, "aria-pressed": "false" }, chip.number, chip.word);
    chip.button.addEventListener("click", () => this.choose(state));
    this.element.append(chip.button);
    return chip;
  }

  choose(state) {
    this.filter = this.filter === state ? null : state;
    for (const [name, { button }] of this.chips) press(button, name === this.filter);
    this.onFilter(this.filter);
  }

  render(states, isStale) {
    const counts = countStates(states);
    for (const [state, chip] of this.chips) {
      chip.button.hidden = !counts[state] && state !== "live" && state !== this.filter;
      setText(chip.number, counts[state].toLocaleString());
      setText(chip.word, countWord(state, isStale));
      const mark = isStale ? "unknown" : state;
      if (chip.mark !== mark) {
        chip.button.querySelector(".icon")?.remove();
        chip.button.prepend(icon(mark));
        chip.mark = mark;
      }
    }
    if (isStale) return;
    const more = counts.offline - (this.offline ?? counts.offline);
    this.offline = counts.offline;
    if (!more) return;
    const text = more > 0
      ? ngettext("%(n)s device went offline", "%(n)s devices went offline", more)
      : ngettext("%(n)s device is no longer offline", "%(n)s devices are no longer offline", -more);
    speak(fill(text, { n: Math.abs(more) }));
  }
}
