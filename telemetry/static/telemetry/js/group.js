// The live page of one group: puts the pieces together, holds no rule of its own.

import "./main.js";
import "./chart.js";
import "./link.js";
import "./states.js";
import "./texts.js";
import { Chips } from "./chips.js";
import { make, setText } from "./dom.js";
import { formatAgo, formatClock } from "./format.js";
import { Habits } from "./habits.js";
import { History } from "./history.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { assignStyles } from "./palette.js";
import { Picker } from "./picker.js";
import { forgetColours } from "./plot.js";
import { edges } from "./range.js";
import { Scheduler } from "./scheduler.js";
import { LiveSocket } from "./socket.js";
import { Store } from "./store.js";
import { DeviceTable } from "./table.js";
import { Watch } from "./watch.js";

const TAGS = { number: "hub-chart", boolean: "hub-states", text: "hub-texts" };
// Where everything is younger than this, a longer span would be empty but for its edge.
const YOUNG_SPAN_MS = 300_000;
const SPAN_MS = 900_000;
const HIDDEN_MS = 30_000;
const TICK_MS = 500;
// Loaded again from a little before the loss: what was on its way then.
const OVERLAP_MS = 5_000;

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("page-config").textContent);

class GroupPage {
  constructor() {
    const store = new Store();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new LiveSocket({ url: `${scheme}//${location.host}${config.live}`, groups: [config.group], store });
    // Until the hub itself says what time it is.
    socket.offsetMs = config.nowMs - Date.now();
    this.watch = new Watch({ ...config, store, socket, language: document.documentElement.lang });
    Object.assign(this.watch, {
      history: new History(config.readings),
      deviceUrl: config.device,
      login: config.login,
      isStale: () => this.fresh.isStale,
      staleFromMs: () => this.fresh.fromMs,
      choose: (view) => this.choose(view),
      drawnNow: () => (this.fresh.isStale ? Math.max(this.fresh.fromMs, this.watch.hubNow()) : this.watch.hubNow()),
    });
    this.habits = new Habits({ history: this.watch.history, watch: this.watch });
    this.socket = socket;
    this.fresh = this.watch.freshness();
    this.figures = new Map();
    this.isShapeDirty = false;
    this.lostMs = null;
    this.wasStale = false;
    this.scheduler = new Scheduler({
      hubNow: () => this.watch.drawnNow(),
      onVisible: (figure) => { if (!figure.isWanted) figure.load(); },
    });
    this.table = new DeviceTable(byId("device-table"), byId("devices-note"), this.watch);
    this.chips = new Chips(byId("chips"), byId("spoken"), (state) => {
      this.table.filter = state;
      this.tick();
    });
    this.banner = document.querySelector("hub-link");
    this.banner.configure(this.watch);
    this.picker = new Picker({
      zone: config.zone,
      hubNow: () => this.watch.hubNow(),
      fallbackMs: config.isYoung ? YOUNG_SPAN_MS : SPAN_MS,
      onView: (view) => this.setView(view),
    });
  }

  start() {
    this.picker.read();
    this.socket.addEventListener("change", (event) => this.take(event.detail));
    this.socket.addEventListener("link", () => this.follow());
    document.addEventListener("visibilitychange", () => this.look());
    document.addEventListener("hub:theme", () => { forgetColours(); this.scheduler.redraw(); });
    addEventListener("online", () => this.socket.retryNow());
    this.socket.connect();
    setInterval(() => this.tick(), TICK_MS);
  }

  // A chart was asked for a range of its own, or (null) to go on live.
  choose(view) {
    if (view === null) this.picker.goLive();
    else this.picker.chooseFixed(view.fromMs, view.toMs);
  }

  setView(view) {
    this.watch.view = view;
    for (const figure of this.figures.values()) figure.restart?.(this.scheduler.visible.has(figure));
    this.scheduler.redraw();
  }

  // A message has changed the store.
  take(change) {
    // How much is missing nobody knows: all that is shown.
    if (change.reason === "gap") this.lostMs = edges(this.watch.view, this.watch.hubNow())[0];
    this.watch.note(change.rows, change.kind === "update");
    if (change.isNewStructure) this.isShapeDirty = true;
    for (const row of change.rows) {
      const figure = this.figureOf.get(row.id);
      if (!figure) this.isShapeDirty = true;
      else if (change.kind === "update") figure.put(row);
    }
    for (const [id, fromMs] of change.late) this.figureOf.get(id)?.reloadFrom?.(fromMs);
    if (change.kind !== "snapshot") return;
    // Before the charts ask for theirs.
    if (!this.areHabitsAsked) this.habits.load().then(() => this.tick());
    this.areHabitsAsked = true;
    this.tick();
  }

  figureOf = new Map();

  // The link has moved: remember since when something may be missing.
  follow() {
    const { socket } = this;
    if (!socket.isInSync) {
      if (this.isSynced && this.lostMs === null) this.lostMs = socket.heardMs + socket.offsetMs;
      this.isSynced = false;
    } else if (!this.isSynced) {
      this.isSynced = true;
      this.watch.trueMs = null;
      if (this.lostMs !== null) this.catchUp();
    }
    if (this.lostMs !== null && !socket.isInSync) this.watch.trueMs = this.lostMs - socket.offsetMs;
    this.tick();
  }

  // In step again: load what was missed, and say so if it was seen to be missing.
  async catchUp() {
    const fromMs = this.lostMs - OVERLAP_MS;
    const lostMs = this.lostMs;
    this.lostMs = null;
    const isSaid = this.wasStale;
    if (isSaid) this.banner.back(null, this.watch.hubNow());
    const [, toMs] = edges(this.watch.view, this.watch.hubNow());
    const wanted = [...this.figures.values()].filter((figure) => figure.isWanted && fromMs < toMs);
    const counts = await Promise.all(wanted.map((figure) => figure.load(fromMs, lostMs)));
    if (isSaid) this.banner.back(counts.reduce((sum, count) => sum + (count ?? 0), 0), this.watch.hubNow());
  }

  look() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.socket.sleep(), HIDDEN_MS);
    else {
      if (this.socket.phase === "signed-out") this.socket.retryNow();
      this.socket.wake();
      if (this.socket.phase === "waiting") this.socket.retryNow();
      this.tick();
    }
  }

  // What changes by time alone: states, ages, the banner, the footer.
  tick() {
    this.socket.tick();
    const { watch } = this;
    watch.judgeAll();
    this.fresh = watch.freshness();
    const { isStale, isLive } = this.fresh;
    document.body.classList.toggle("is-stale", isStale);
    if (isStale !== this.wasStale) this.scheduler.redraw();
    this.wasStale = isStale;
    const nowMs = watch.hubNow();
    this.banner.show(this.fresh, nowMs);
    if (!watch.held) return;
    if (this.isShapeDirty) this.shape();
    for (const figure of this.figures.values()) figure.advance?.(nowMs);
    this.chips.render(watch.states.values(), isStale, nowMs);
    this.table.render(nowMs, isStale);
    this.writeFrame(nowMs, isLive, isStale);
  }

  // Which displays there are has changed; those that stay the same are not touched.
  shape() {
    this.isShapeDirty = false;
    const slugs = this.watch.devices().map((device) => device.slug);
    const shared = slugs.length <= 18 ? assignStyles(slugs) : null;
    const specs = this.watch.specs((some) => shared ?? assignStyles(some));
    const places = new Set(specs.map((spec) => spec.place));
    for (const [place, figure] of this.figures) {
      if (places.has(place)) continue;
      this.scheduler.remove(figure);
      figure.remove();
      this.figures.delete(place);
    }
    this.figureOf.clear();
    const counts = { charts: 0, lists: 0 };
    for (const spec of specs) this.place(spec, spec.kind === "number" ? counts.charts++ : counts.lists++);
    byId("devices").hidden = slugs.length === 0;
    const first = byId("first-reading");
    if (first) first.hidden = specs.length > 0;
    const devices = ngettext("%(n)s device", "%(n)s devices", slugs.length);
    setText(byId("device-count"), fill(devices, { n: slugs.length.toLocaleString() }));
    this.table.setColumns(specs);
  }

  place(spec, at) {
    const host = byId(spec.kind === "number" ? "charts" : "lists");
    let figure = this.figures.get(spec.place);
    const shape = JSON.stringify(spec);
    if (!figure) {
      figure = make(TAGS[spec.kind]);
      this.figures.set(spec.place, figure);
      figure.configure(this.watch, spec);
    } else if (figure.shape !== shape) {
      figure.configure(this.watch, spec);
      if (figure.isWanted) figure.load();
    }
    figure.shape = shape;
    if (host.children[at] !== figure) host.insertBefore(figure, host.children[at] ?? null);
    this.scheduler.add(figure);
    for (const line of spec.lines) this.figureOf.set(line.id, figure);
  }

  writeFrame(nowMs, isLive, isStale) {
    const { watch, socket } = this;
    const latency = socket.latencyMs;
    const shown = latency === null ? null : fill(gettext("%(n)s ms"), { n: latency < 1 ? "<1" : Math.round(latency) });
    const ms = shown === null ? "" : ` · ${shown}`;
    if (isLive) setText(byId("link-text"), `${gettext("Connected")}${ms}`);
    else if (isStale) setText(byId("link-text"), gettext("Not connected"));
    const latest = Math.max(...watch.lastReadings.values());
    setText(byId("latest"), Number.isFinite(latest)
      ? fill(gettext("Latest reading %(ago)s"), { ago: formatAgo(nowMs - latest) })
      : gettext("No reading yet"));
    const rate = isStale ? 0 : watch.readingsPerSecond;
    setText(byId("rate"), isStale ? "" : fill(gettext("%(n)s readings/s"), {
      n: rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString(),
    }));
    setText(byId("latency"), isStale || shown === null ? "" : fill(gettext("To this page %(age)s"), { age: shown }));
    setText(byId("as-of"), isStale ? Chips.asOf(formatClock(this.fresh.fromMs, watch.zone)) : "");
  }
}

new GroupPage().start();
