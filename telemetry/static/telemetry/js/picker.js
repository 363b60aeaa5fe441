// The range picker: presets, two dates, steps to and fro, live or paused, and the word
// for what is shown. Its forms work without a script as well; with one no page is loaded
// again.

import { CopyLink } from "./copy_link.js";
import { setText } from "./dom.js";
import { closeOutside } from "./fold.js";
import { formatMoment } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { edges, fixedView, frozen, isLive, isSame, readRange, roughly, shifted, SHORTEST_MS, writeRange, writeSpan, zoomed } from "./range.js";
import { formatWidth } from "./rollup.js";
import { bind } from "./shortcuts.js";
import { stateWord } from "./words.js";
import { readWall, writeWall } from "./zone.js";

const byId = (id) => document.getElementById(id);

export class Picker {
  // onView: told of each new view. fallbackMs: the live span of an address without one.
  constructor({ zone, hubNow, fallbackMs, onView }) {
    Object.assign(this, { zone, hubNow, fallbackMs, onView, view: null });
    this.presets = [...byId("presets").querySelectorAll("button[name=from]")];
    this.dates = byId("dates");
    this.state = byId("range-state");
    this.stateText = byId("range-text");
    byId("presets").addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(readRange(`?from=${event.submitter.value}`, this.facts()).view);
    });
    this.dates.addEventListener("submit", (event) => this.submit(event));
    for (const id of ["go-live", "live"]) byId(id).addEventListener("click", () => this.goLive());
    byId("pause").addEventListener("click", () => this.pause());
    for (const [id, move] of MOVES) byId(id).addEventListener("click", () => this.move(move));
    addEventListener("popstate", () => this.read(false));
    closeOutside(this.dates.closest("details"));
    this.link = new CopyLink(() => this.view, hubNow);
    this.bindKeys();
    for (const id of ["range", "live-or-pause"]) byId(id).hidden = false;
  }

  bindKeys() {
    bind("l", gettext("Live"), () => this.goLive());
    bind("p", gettext("Pause, or go on"), () => (isLive(this.view) ? this.pause() : this.goLive()));
    bind("[", gettext("Earlier"), () => this.move(MOVES.get("earlier")));
    bind("]", gettext("Later"), () => this.move(MOVES.get("later")));
    bind("-", gettext("A longer range"), () => this.zoom(true));
    bind("=", gettext("A shorter range"), () => this.zoom(false));
    bind("c", gettext("Copy the link"), () => this.link.copy());
  }

  facts() {
    return { nowMs: this.hubNow(), zone: this.zone, fallbackMs: this.fallbackMs };
  }

  // What the address says; a wrong one becomes the nearest that there is.
  read(isFirst = true) {
    const { view, problem } = readRange(location.search, this.facts());
    if (problem !== null) history.replaceState(null, "", writeRange(view, location.search));
    this.show(view, problem, isFirst);
  }

  // Somebody has chosen: the address holds it, so that “back” returns.
  choose(view) {
    if (this.view !== null && isSame(view, this.view)) return;
    history.pushState(null, "", writeRange(view, location.search));
    this.show(view, null);
  }

  chooseFixed(fromMs, toMs) {
    const middle = (fromMs + toMs) / 2;
    const half = Math.max(toMs - fromMs, SHORTEST_MS) / 2;
    this.choose(roughly(middle - half, middle + half, this.hubNow()));
  }

  // Back to now, with the span that was last shown there.
  goLive() {
    this.choose({ spanMs: this.liveMs ?? this.fallbackMs });
  }

  // What is on the screen stays there.
  pause() {
    if (isLive(this.view)) this.choose(frozen(this.view, this.hubNow()));
  }

  move(how) {
    this.choose(how(this.view, this.hubNow()));
  }

  zoom(isOut) {
    this.move((view, nowMs) => zoomed(view, isOut, nowMs));
  }

  submit(event) {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((name) => readWall(this.dates.elements[name].value, this.zone));
    if (from === null || to === null) return;
    const { view, problem } = fixedView(from, to, this.hubNow());
    this.dates.closest("details").open = false;
    this.choose(view);
    if (problem !== null) this.say(problem);
  }

  show(view, problem) {
    this.view = view;
    if (isLive(view)) this.liveMs = view.spanMs;
    for (const button of this.presets) {
      button.setAttribute("aria-pressed", String(isLive(view) && button.value === writeSpan(view.spanMs)));
    }
    const isPreset = this.presets.some((button) => button.getAttribute("aria-pressed") === "true");
    const [fromMs, toMs] = edges(view, this.hubNow());
    this.dates.elements.from.value = writeWall(fromMs, this.zone);
    this.dates.elements.to.value = writeWall(toMs, this.zone);
    byId("later").disabled = isLive(view);
    byId("live").setAttribute("aria-pressed", String(isLive(view)));
    byId("pause").setAttribute("aria-pressed", String(!isLive(view)));
    this.link.show(view);
    document.body.classList.toggle("is-paused", !isLive(view));
    byId("go-live").hidden = isLive(view);
    byId("range-icon").hidden = isLive(view);
    this.words = isLive(view) && isPreset ? "" : this.wordsOf(view);
    this.say(problem);
    this.onView(view);
  }

  // While nothing is heard nothing claims to be live, the mode neither.
  showTruth(isStale) {
    setText(byId("live-word"), stateWord("live", isStale));
  }

  // Never colour alone: a range that stands still says so, and since when.
  wordsOf(view) {
    if (isLive(view)) return fill(gettext("The last %(span)s, live"), { span: formatWidth(view.spanMs) });
    const [from, to] = [view.fromMs, view.toMs].map((ms) => formatMoment(ms, this.zone));
    const [day] = to.split(" ");
    const start = from.startsWith(day) ? from.slice(day.length + 1) : from;
    return fill(gettext("Paused at %(to)s, shown from %(from)s on. Nothing new comes in here."), { to, from: start });
  }

  say(problem) {
    const text = [problem, this.words].filter(Boolean).join(" ");
    setText(this.stateText, text);
    this.state.hidden = !text;
  }
}

const MOVES = new Map([
  ["earlier", (view, nowMs) => shifted(view, false, nowMs)],
  ["later", (view, nowMs) => shifted(view, true, nowMs)],
  ["zoom-in", (view, nowMs) => zoomed(view, false, nowMs)],
  ["zoom-out", (view, nowMs) => zoomed(view, true, nowMs)],
]);
