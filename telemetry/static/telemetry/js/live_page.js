// What every page of live charts shares: its link, range, displays and drawing loop.
//
// A page extends it, says what it shows besides (shaped, rendered) and where its displays
// go (hostOf). config: what the server says, see dashboard/{groups,device}/page.py.

import "./chart.js";
import { writeLink } from "./link.js";
import "./states.js";
import "./texts.js";
import { byId, make, setText } from "./dom.js";
import { Delays } from "./delays.js";
import { formatAgo, formatClock } from "./format.js";
import { History } from "./history.js";
import { fill, gettext } from "./i18n.js";
import { assignStyles } from "./palette.js";
import { Picker } from "./picker.js";
import { forgetColours } from "./plot.js";
import { edges } from "./range.js";
import { Scheduler } from "./scheduler.js";
import { LiveSocket, socketUrl } from "./socket.js";
import { Store } from "./store.js";
import { Watch } from "./watch.js";

const TAGS = { number: "hub-chart", boolean: "hub-states", text: "hub-texts" };
const HIDDEN_MS = 30_000;
const TICK_MS = 500;
// Loaded again from a little before the loss: what was on its way then.
const OVERLAP_MS = 5_000;

export { byId };

export const readConfig = () => JSON.parse(byId("page-config").textContent);

export class LivePage {
  constructor(config) {
    const store = new Store();
    const socket = new LiveSocket({ url: socketUrl(config.live), groups: [config.group], store, intervalMs: config.intervalMs });
    // Until the hub itself says what time it is.
    socket.offsetMs = config.nowMs - socket.clock();
    this.config = config;
    this.watch = new Watch({ ...config, store, socket, language: document.documentElement.lang });
    Object.assign(this.watch, {
      history: new History(config.readings),
      deviceUrl: config.device,
      isStale: () => this.fresh.isStale,
      staleFromMs: () => this.fresh.fromMs,
      choose: (view) => this.choose(view),
      zoom: (isOut) => this.picker.zoom(isOut),
      delays: new Delays(),
      drawnNow: () => (this.fresh.isStale ? Math.max(this.fresh.fromMs, this.watch.hubNow()) : this.watch.hubNow()),
    });
    this.socket = socket;
    this.fresh = this.watch.freshness();
    this.figures = new Map(); // place → display
    this.figureOf = new Map(); // series id → display
    this.isShapeDirty = false;
    this.lostMs = null;
    this.wasStale = false;
    this.scheduler = new Scheduler({
      hubNow: () => this.watch.drawnNow(),
      onVisible: (figure) => { if (!figure.isWanted) figure.load(); },
    });
    this.banner = document.querySelector("hub-link");
    this.banner.configure(this.watch);
    this.picker = new Picker({
      zone: config.zone,
      hubNow: () => this.watch.hubNow(),
      liveMs: config.usualMs,
      onView: (view) => this.setView(view),
    });
  }

  start() {
    this.picker.begin(this.config.view, this.config.problem);
    this.socket.addEventListener("change", (event) => this.take(event.detail));
    this.socket.addEventListener("link", () => this.follow());
    document.addEventListener("visibilitychange", () => this.look());
    document.addEventListener("hub:theme", () => { forgetColours(); this.scheduler.redraw(); });
    addEventListener("online", () => this.socket.retryNow());
    this.socket.connect();
    setInterval(() => this.tick(), TICK_MS);
  }

  // --- what a page says of its own --------------------------------------------------

  // Which displays these specs (see watch.js) become, and in which order.
  arranged(specs) {
    return specs;
  }

  // Which displays there are has just changed. specs: see watch.js.
  shaped() {}

  // Twice a second, once there is something to show; fresh: see freshness.js.
  rendered() {}

  // Some rows have come in: kind "snapshot" or "update".
  taken() {}

  // The element that a display of this kind goes into.
  hostOf(kind) {
    return byId(kind === "number" ? "charts" : "lists");
  }

  // --- the range --------------------------------------------------------------------

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

  // --- what comes in ----------------------------------------------------------------

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
    this.taken(change);
    if (change.kind !== "snapshot") return;
    this.tick();
  }

  // The link has moved: remember since when something may be missing.
  follow() {
    const { socket } = this;
    // For a screen on a wall: kiosk.js.
    document.dispatchEvent(new CustomEvent("hub:link", { detail: socket.phase }));
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

  // --- what is shown ----------------------------------------------------------------

  // What changes by time alone: states, ages, the banner, the footer.
  tick() {
    this.socket.tick();
    const { watch } = this;
    watch.judgeAll();
    this.fresh = watch.freshness();
    const { isStale } = this.fresh;
    document.body.classList.toggle("is-stale", isStale);
    if (isStale !== this.wasStale) this.scheduler.redraw();
    this.wasStale = isStale;
    const nowMs = watch.hubNow();
    this.banner.show(this.fresh, nowMs);
    this.picker.showTruth(isStale);
    if (!watch.held) return;
    if (this.isShapeDirty) this.shape();
    for (const figure of this.figures.values()) figure.advance?.(nowMs);
    this.rendered(nowMs, this.fresh);
    this.writeFrame(nowMs);
  }

  // Which displays there are has changed; those that stay the same are not touched.
  shape() {
    this.isShapeDirty = false;
    const slugs = this.watch.devices().map((device) => device.slug);
    const shared = slugs.length <= 18 ? assignStyles(slugs) : null;
    const found = this.watch.specs((some) => shared ?? assignStyles(some));
    const specs = this.arranged(found);
    const places = new Set(specs.map((spec) => spec.place));
    for (const [place, figure] of this.figures) {
      if (places.has(place)) continue;
      this.scheduler.remove(figure);
      figure.remove();
      this.figures.delete(place);
    }
    this.figureOf.clear();
    const counts = new Map();
    for (const spec of specs) {
      const host = this.hostOf(spec.kind);
      counts.set(host, (counts.get(host) ?? 0) + 1);
      this.place(spec, host, counts.get(host) - 1);
    }
    this.shaped(found);
  }

  place(spec, host, at) {
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

  // The header's link and the footer.
  writeFrame(nowMs) {
    const { watch, socket } = this;
    const { isStale, fromMs } = this.fresh;
    const ms = writeLink(this.fresh, socket.latencyMs);
    const latest = Math.max(...watch.lastReadings.values());
    setText(byId("latest"), Number.isFinite(latest)
      ? fill(gettext("Latest reading %(ago)s"), { ago: formatAgo(nowMs - latest) })
      : gettext("No reading yet"));
    const rate = isStale ? 0 : watch.readingsPerSecond;
    setText(byId("rate"), isStale ? "" : fill(gettext("%(n)s readings/s"), {
      n: rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString(),
    }));
    const p95Ms = watch.delays.p95Ms(nowMs);
    const drawn = p95Ms === null ? "" : fill(gettext("device to screen %(n)s ms (p95)"), { n: Math.round(p95Ms) });
    const heard = ms && fill(gettext("To this page %(age)s"), { age: ms });
    setText(byId("latency"), isStale ? "" : [heard, drawn].filter(Boolean).join(", "));
    setText(byId("as-of"), isStale ? fill(gettext("Values as of %(time)s"), { time: formatClock(fromMs, watch.zone) }) : "");
  }
}
