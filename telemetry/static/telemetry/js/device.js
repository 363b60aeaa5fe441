// The live page of one device: puts the pieces together, holds no rule of its own.

import { icon, setText } from "./dom.js";
import { formatClock } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { byId, LivePage, readConfig } from "./live_page.js";
import { Part } from "./part.js";
import { speak } from "./speak.js";
import { Tiles } from "./tiles.js";
import { stateWord } from "./words.js";

// Digits that change more often than this nobody reads.
const TILES_MS = 250;
// So many charts are in the first part (device.css); the others are in the history.
const FEW_CHARTS = 2;
const EVENTS_MS = 10_000;
const QUALITY_MS = 30_000;

class DevicePage extends LivePage {
  constructor(config) {
    super(config);
    this.parts = byId("parts");
    this.tabs = [...byId("tabs").querySelectorAll("a")];
    this.tiles = new Tiles(byId("tiles"), this.watch);
    this.changes = new Part(byId("values"));
    this.changes.take = (text) => this.tiles.learn(JSON.parse(text));
    this.events = new Part(byId("events"), EVENTS_MS);
    this.quality = new Part(byId("connection"), QUALITY_MS);
  }

  start() {
    super.start();
    addEventListener("popstate", () => this.show());
    document.addEventListener("click", (event) => this.choosePart(event));
    setInterval(() => this.tiles.render(this.watch.hubNow()), TILES_MS);
  }

  // --- the parts --------------------------------------------------------------------

  choosePart(event) {
    const link = event.target.closest("a[data-tab]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.goTo(link.dataset.tab);
    if (!this.tabs.includes(link)) this.tabs.find((tab) => tab.hasAttribute("aria-current")).focus();
  }

  goTo(name) {
    const query = new URLSearchParams(location.search);
    query.set("tab", name);
    if (name !== this.parts.dataset.tab) history.pushState(history.state, "", `?${query}`);
    this.show();
  }

  // The part that the address names, else the first.
  show() {
    const asked = new URLSearchParams(location.search).get("tab");
    const shown = this.tabs.find((tab) => tab.dataset.tab === asked) ?? this.tabs[0];
    this.parts.dataset.tab = shown.dataset.tab;
    for (const tab of this.tabs) {
      if (tab === shown) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    this.scheduler.redraw();
  }

  // --- what is shown ----------------------------------------------------------------

  get device() {
    return this.watch.devices()[0];
  }

  taken({ kind, rows }) {
    this.tiles.note(rows);
    // What has changed while this page did not hear it.
    if (kind === "snapshot") this.changes.refresh();
  }

  shaped(specs) {
    this.tiles.shape(specs);
    byId("first-reading").hidden = specs.length > 0;
    const charts = specs.filter(({ kind }) => kind === "number").length;
    const more = byId("more-charts");
    more.hidden = charts <= FEW_CHARTS && specs.length === charts;
    const text = ngettext("The history of %(n)s metric", "The history of all %(n)s metrics", specs.length);
    setText(more.firstElementChild, fill(text, { n: specs.length }));
    byId("history").classList.toggle("is-empty", specs.length === 0);
    // Whose first reading it is has used its key.
    this.events.soon();
  }

  rendered(nowMs, { isStale }) {
    const { device } = this;
    if (!device) return;
    this.writeState(device, isStale);
    // It has come, or gone: that is an event.
    if (this.changedMs !== undefined && this.changedMs !== device.changedMs) this.events.soon();
    this.changedMs = device.changedMs;
    if (isStale) return;
    this.events.tick();
    this.quality.tick();
  }

  // A page that never heard the hub has only what it came with.
  tick() {
    super.tick();
    if (!this.watch.held && this.fresh.isStale) this.writeStale(this.config.state);
  }

  writeState(device, isStale) {
    const state = this.watch.stateOf(device.slug);
    setText(byId("device-name"), device.name);
    if (isStale) {
      this.writeStale(state);
      return;
    }
    this.mark(state);
    const [word, rest] = byId("sentence").children;
    const sentence = this.watch.evidenceOf(device);
    setText(word, stateWord(state));
    setText(rest, sentence.startsWith(stateWord(state)) ? sentence.slice(stateWord(state).length) : `. ${sentence}`);
    // Read out when it changes, not each second.
    if (this.said && this.said !== state) speak(stateWord(state), "state");
    this.said = state;
  }

  writeStale(state) {
    this.mark("unknown");
    const [word, rest] = byId("sentence").children;
    const known = gettext(": nothing newer than %(time)s is known here.");
    setText(word, stateWord(state, true) ?? gettext("Not known"));
    setText(rest, fill(known, { time: formatClock(this.fresh.fromMs, this.watch.zone) }));
  }

  mark(name) {
    if (this.marked === name) return;
    this.marked = name;
    byId("state-icon").className = `state state-${name}`;
    byId("state-icon").replaceChildren(icon(name));
  }
}

if (byId("parts")) new DevicePage(readConfig()).start();
