// The range picker: presets, two dates, steps to and fro, live or paused, and the word
// for what is shown. Its forms work without a script as well; with one no page is loaded
// again.

import { CopyLink } from "./copy_link.js";
import { byId, press, setText } from "./dom.js";
import { closeOutside } from "./fold.js";
import { formatMoment } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { edges, frozen, isLive, isSame, roughly, shifted, SHORTEST_MS, writeRange, zoomed } from "./range.js";
import { formatWidth } from "./rollup.js";
import { stateWord } from "./words.js";
import { writeWall } from "./zone.js";


export class Picker {
  // onView: told of each new view. liveMs: the live span of who goes back to now.
  constructor({ zone, hubNow, liveMs, onView }) {
    Object.assign(this, { zone, hubNow, liveMs, onView, view: null });
    this.presets = [...byId("presets").querySelectorAll("button[name=from]")];
    this.dates = byId("dates");
    this.state = byId("range-state");
    this.stateText = byId("range-text");
    byId("presets").addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose({ spanMs: Number(event.submitter.dataset.span) });
    });
    this.dates.addEventListener("submit", (event) => this.submit(event));
    for (const id of ["go-live", "live"]) byId(id).addEventListener("click", () => this.goLive());
    byId("pause").addEventListener("click", () => this.pause());
    const moves = { earlier: () => this.shift(false), later: () => this.shift(true), "zoom-in": () => this.zoom(false), "zoom-out": () => this.zoom(true) };
    for (const [id, move] of Object.entries(moves)) byId(id).addEventListener("click", move);
    // “Back” may only have led to another part of the page.
    addEventListener("popstate", ({ state }) => { if (state && !isSame(state, this.view)) this.show(state, ""); });
    closeOutside(this.dates.closest("details"));
    this.link = new CopyLink(() => this.view, hubNow);
    for (const id of ["range", "live-or-pause"]) byId(id).hidden = false;
  }

  // The view that the page came with, and why it is not the one that was asked for.
  begin(view, problem) {
    history.replaceState(view, "", problem ? writeRange(view, location.search) : undefined);
    this.show(view, problem);
  }

  // Somebody has chosen: the address holds it, so that “back” returns.
  choose(view) {
    if (this.view !== null && isSame(view, this.view)) return;
    history.pushState(view, "", writeRange(view, location.search));
    this.show(view, "");
  }

  chooseFixed(fromMs, toMs) {
    const middle = (fromMs + toMs) / 2;
    const half = Math.max(toMs - fromMs, SHORTEST_MS) / 2;
    this.choose(roughly(middle - half, middle + half, this.hubNow()));
  }

  // Back to now, with the span that was last shown there.
  goLive() {
    this.choose({ spanMs: this.liveMs });
  }

  // What is on the screen stays there; once more, and it goes on.
  pause() {
    if (isLive(this.view)) this.choose(frozen(this.view, this.hubNow()));
    else this.goLive();
  }

  shift(isLater) {
    this.choose(shifted(this.view, isLater, this.hubNow()));
  }

  zoom(isOut) {
    this.choose(zoomed(this.view, isOut, this.hubNow(), this.presets.map(spanOf)));
  }

  // What a wall clock shows only the hub knows for certain: the page comes anew.
  submit(event) {
    event.preventDefault();
    const query = new URLSearchParams(location.search);
    for (const name of ["from", "to"]) query.set(name, this.dates.elements[name].value);
    location.search = query;
  }

  show(view, problem) {
    this.view = view;
    if (isLive(view)) this.liveMs = view.spanMs;
    for (const button of this.presets) press(button, spanOf(button) === view.spanMs);
    const isPreset = this.presets.some((button) => spanOf(button) === view.spanMs);
    const [fromMs, toMs] = edges(view, this.hubNow());
    this.dates.elements.from.value = writeWall(fromMs, this.zone);
    this.dates.elements.to.value = writeWall(toMs, this.zone);
    byId("later").disabled = isLive(view);
    press(byId("live"), isLive(view));
    press(byId("pause"), !isLive(view));
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

const spanOf = (button) => Number(button.dataset.span);
