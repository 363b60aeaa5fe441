// The fleet page: puts the pieces together. What is shown is decided by fleet_rows.js,
// what is known by fleet_model.js.

import { writeLink } from "./link.js";
import { byId, icon, setText } from "./dom.js";
import { Fleet, metricsOf } from "./fleet_model.js";
import { countMoves, nextSort, readView, select, SORTS, writeView } from "./fleet_rows.js";
import { FleetTable, MOST_PRINTED } from "./fleet_table.js";
import { FleetTiles } from "./fleet_tiles.js";
import { formatClock, formatValue } from "./format.js";
import { freshness } from "./freshness.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { countStates } from "./presence.js";
import { bind } from "./shortcuts.js";
import { LiveSocket, socketUrl } from "./socket.js";
import { speak } from "./speak.js";
import { Store } from "./store.js";
import { Traces } from "./traces.js";
import { stateWord } from "./words.js";

const TICK_MS = 500;
const ORDER_MS = 2_000;
const HIDDEN_MS = 30_000;
const INTERVAL_MS = 1_000;
const MOST_GROUPS = 64; // what one socket follows
// Devices of which not all comes live are asked for again; what is much older is not said to be live.
const AGAIN_MS = 30_000;
const SOON_MS = 2_000;

class FleetPage {
  constructor(config) {
    this.config = config;
    this.zone = config.zone;
    this.oldMs = AGAIN_MS + 15_000;
    this.view = readView(location.search);
    this.fleet = new Fleet();
    this.order = [];
    this.orderedMs = -Infinity;
    this.pausedMs = null;
    this.lostMs = null;
    this.inks = new Map();
    this.store = new Store();
    this.socket = new LiveSocket({ url: socketUrl(config.live), groups: [], store: this.store, intervalMs: INTERVAL_MS });
    // Until the hub itself says what time it is.
    this.startedMs = this.socket.clock();
    this.socket.offsetMs = config.nowMs - this.startedMs;
    this.traces = new Traces({ url: config.traces, onLoad: () => this.redraw() });
    this.table = new FleetTable(byId("fleet-table"), this);
    this.tiles = new FleetTiles(byId("tiles"), this);
    this.banner = document.querySelector("hub-link");
    this.banner.configure(this);
  }

  start() {
    this.socket.addEventListener("change", (event) => this.take(event.detail));
    this.socket.addEventListener("link", () => this.follow());
    document.addEventListener("visibilitychange", () => this.look());
    document.addEventListener("hub:theme", () => { this.inks.clear(); this.redraw(); });
    addEventListener("online", () => this.socket.retryNow());
    addEventListener("scroll", () => this.redraw(), { passive: true });
    addEventListener("resize", () => { this.table.measure(); this.redraw(); });
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
    addEventListener("popstate", () => this.choose(readView(location.search), null));
    this.listen();
    this.load();
    setInterval(() => this.tick(), TICK_MS);
  }

  // --- what one can do --------------------------------------------------------------

  listen() {
    for (const [id, key] of [["chips", "status"], ["views", "view"]]) {
      onLink(byId(id), (link) => this.choose({ ...this.view, [key]: link.dataset.value }));
    }
    onLink(this.table.table.tHead, (link) => this.sort(nextSort(this.view.sort, link.dataset.sort)));
    for (const id of ["note", "none"]) onLink(byId(id), () => this.choose({ ...this.view, q: "", status: "", group: "" }));
    const form = byId("filter");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      const { q, group, sort } = form.elements;
      const m = [...form.querySelectorAll("[name=m]")].map((each) => each.value);
      const isSame = m.join() === this.fleet.columns.map(({ name }) => name).join();
      const next = { ...this.view, q: q.value, group: group?.value ?? "", sort: sort.value || this.view.sort };
      this.choose(isSame ? next : { ...next, m }, "replaceState");
    });
    byId("apply").addEventListener("click", () => this.arrange(true));
    byId("pause").addEventListener("click", () => this.pause());
    bind("j", gettext("Next device"), () => this.step(1));
    bind("k", gettext("Device before"), () => this.step(-1));
    bind("s", gettext("Another order"), () => this.sort(SORTS[(SORTS.indexOf(this.view.sort.replace("-", "")) + 1) % SORTS.length]));
  }

  sort(sort) {
    this.choose({ ...this.view, sort });
  }

  // Somebody has chosen what to see; how: to put it in the address, null: it is there.
  choose(view, how = "pushState") {
    const isOther = view.m.join() !== this.view.m.join();
    this.view = view;
    const address = writeView(view);
    if (how && address !== location.search) history[how](null, "", address || location.pathname);
    this.arrange(true);
    if (isOther) this.load(true);
  }

  step(step) {
    if (this.view.view === "tiles") byId("tiles").querySelector("[role=grid]").focus();
    else this.table.step(step, this.hubNow(), this.isPast());
  }

  // The page stands still: nothing comes in until one goes on.
  pause() {
    this.pausedMs = this.pausedMs === null ? this.hubNow() : null;
    const isPaused = this.pausedMs !== null;
    byId("pause").setAttribute("aria-pressed", String(isPaused));
    setText(byId("pause"), isPaused ? gettext("Go on") : gettext("Pause"));
    document.body.classList.toggle("is-paused", isPaused);
    if (isPaused) this.socket.sleep();
    else {
      this.traces.forget();
      this.socket.wake();
    }
    this.tick();
  }

  // --- what comes in ----------------------------------------------------------------

  // All of the fleet; isOther: other columns are wanted.
  async load(isOther = false) {
    clearTimeout(this.loading);
    const wanted = this.view.m.join();
    try {
      const response = await fetch(this.config.data + (wanted ? `?m=${encodeURIComponent(wanted)}` : ""));
      const isJson = response.headers.get("content-type")?.startsWith("application/json");
      if (!response.ok || !isJson) throw new Error(`expected the fleet, got status ${response.status}`);
      const answer = await response.json();
      if (wanted !== this.view.m.join()) return this.load(isOther);
      if (this.pausedMs === null || isOther) this.put(answer, isOther);
    } catch {
      // The page stays as it is and says of when; the socket tells why.
    }
    this.renewIn(this.isLoaded ? AGAIN_MS : SOON_MS);
  }

  put(answer, isOther) {
    const { fleet, socket } = this;
    fleet.take(answer);
    this.order = this.order.map(({ slug }) => fleet.bySlug.get(slug)).filter(Boolean);
    this.table.slots.forEach((slot) => { slot.row = null; });
    this.headColumns();
    const groups = fleet.groups.slice(0, MOST_GROUPS).map(({ slug }) => slug);
    const metrics = metricsOf(fleet.followed, isOther ? null : socket.metrics);
    // As they were asked for: the socket lets go of groups by itself.
    const asked = JSON.stringify([groups, metrics]);
    const isNew = isOther || asked !== this.asked;
    this.asked = asked;
    if (isNew) {
      this.traces.forget();
      Object.assign(socket, { groups, metrics });
      // Of other metrics nothing is held: all of it is wanted.
      this.store.groups.clear();
      // Its last group was taken away: it follows the others that there are now.
      if (socket.phase === "refused") socket.drop();
      if (socket.phase === "open" && !socket.isAsleep) socket.subscribe();
      else if (["waiting", "refused"].includes(socket.phase)) socket.connect();
    }
    this.judge();
    this.arrange(!this.isLoaded || isOther);
    this.isLoaded = true;
  }

  // Asked for again only where the socket does not tell of everything.
  renew() {
    const { fleet } = this;
    const isNeeded = !this.isLoaded || fleet.isIncomplete || fleet.rows.some((row) => !fleet.isFollowed(row));
    if (isNeeded && !document.hidden && this.pausedMs === null) this.load();
    else this.renewIn(AGAIN_MS);
  }

  renewIn(ms) {
    clearTimeout(this.loading);
    this.loading = setTimeout(() => this.renew(), ms);
  }

  // A message has changed the store.
  take(change) {
    const group = this.store.groups.get(change.group);
    const wasIncomplete = this.fleet.isIncomplete;
    if (change.reason === "gap") this.traces.forget();
    if (change.reason === "forbidden" || change.reason === "gone") {
      // Should it be there again, it is subscribed to again.
      this.asked = null;
      this.fleet.isIncomplete = true;
    } else if (group && change.kind !== "reset") this.fleet.put(change, group);
    if (change.kind !== "update") this.letGo();
    else for (const row of change.rows) this.traces.put(row);
    if (this.fleet.isIncomplete && !wasIncomplete) this.renewIn(SOON_MS);
  }

  // Devices that have left all groups, once all groups are known.
  letGo() {
    const { phase, groups } = this.socket;
    const held = phase === "refused" ? [] : groups.map((slug) => this.store.groups.get(slug));
    if (held.every(Boolean)) this.fleet.letGo(held);
  }

  // The link has moved: remember since when nothing is known.
  follow() {
    const { fleet, socket } = this;
    const wasIncomplete = fleet.isIncomplete;
    // What it did not get back when it connected again, no message tells of.
    if (socket.isInSync || socket.phase === "refused") this.letGo();
    if (fleet.isIncomplete && !wasIncomplete) this.renewIn(SOON_MS);
    if (!socket.isInSync) {
      if (this.isSynced && this.pausedMs === null) this.lostMs ??= socket.heardMs + socket.offsetMs;
      this.isSynced = false;
    } else if (!this.isSynced) {
      this.isSynced = true;
      if (this.lostMs !== null) this.traces.forget();
      if (this.lostMs !== null && this.wasStale) this.banner.back(null, this.hubNow());
      this.lostMs = null;
    }
    this.tick();
  }

  look() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.socket.sleep(), HIDDEN_MS);
    else if (this.pausedMs === null) {
      if (this.socket.phase === "signed-out") this.socket.retryNow();
      this.socket.wake();
      if (this.socket.phase === "waiting" && this.isLoaded) this.socket.retryNow();
      this.tick();
    }
  }

  // --- what is shown ----------------------------------------------------------------

  hubNow() {
    return this.socket.hubNow();
  }

  isPast() {
    return this.fresh.isStale || this.pausedMs !== null;
  }

  ink(name) {
    if (!this.inks.has(name)) this.inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
    return this.inks.get(name);
  }

  format(cell, at) {
    const value = cell?.value ?? null;
    const { decimals, unit } = this.fleet.columns[at];
    // Of a large number nobody reads the fraction, unless somebody has asked for it.
    const learned = Math.abs(value) < 10_000 ? this.fleet.decimals[at].count : 0;
    const text = formatValue(value, decimals ?? learned, document.documentElement.lang);
    return value !== null && cell.unit !== unit ? `${text} ${cell.unit}`.trim() : text;
  }

  judge() {
    const { phase, isInSync, heardMs, offsetMs } = this.socket;
    const trueMs = this.lostMs === null ? heardMs : this.lostMs - offsetMs;
    const found = freshness({ phase, isInSync, heardMs: trueMs, startedMs: this.startedMs }, this.socket.clock());
    this.fresh = { ...found, fromMs: found.fromMs + offsetMs };
    const knownMs = this.pausedMs ?? (this.fresh.isStale ? this.fresh.fromMs : this.hubNow());
    this.fleet.judgeAll(knownMs);
  }

  // What changes by time alone.
  tick() {
    if (this.isLoaded) this.socket.tick();
    this.judge();
    const { isStale } = this.fresh;
    document.body.classList.toggle("is-stale", isStale && this.isLoaded);
    this.wasStale = isStale;
    const nowMs = this.hubNow();
    this.banner.show({ ...this.fresh, isStale: isStale && this.isLoaded }, nowMs);
    if (!this.isLoaded) return;
    if (nowMs - this.orderedMs >= ORDER_MS) this.arrange(false);
    this.writeChips();
    this.writeFrame();
    this.render();
  }

  // The rows that are shown, in their order; isAsked: somebody wants it now.
  arrange(isAsked) {
    if (!this.isLoaded && !this.fleet.rows.length) return;
    this.orderedMs = this.hubNow();
    const wanted = select(this.fleet.rows, this.view);
    const isHeld = !isAsked && this.pausedMs === null && this.isHeld();
    const moves = isHeld ? countMoves(this.order, wanted) : 0;
    if (!isHeld && (isAsked || this.pausedMs === null)) this.order = wanted;
    byId("moves").hidden = moves === 0;
    if (moves) setText(byId("moves-text"), fill(ngettext("%(n)s row would move", "%(n)s rows would move", moves), { n: moves.toLocaleString() }));
    this.table.show(this.order);
    this.tiles.show(this.order);
    if (!isAsked) return;
    this.writeView();
    this.redraw();
  }

  // Nothing moves under a pointer, or away from who has the focus.
  isHeld() {
    const { body } = this.table;
    return [body, byId("moves"), byId("tiles")].some((each) => each.matches(":hover") || each.contains(document.activeElement));
  }

  redraw() {
    if (this.frame || !this.isLoaded) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.render();
    });
  }

  render() {
    if (document.hidden) return;
    const isTiles = this.view.view === "tiles";
    if (isTiles) this.table.rest();
    (isTiles ? this.tiles : this.table).render(this.hubNow(), this.isPast());
  }

  // On paper there is nothing to scroll: all rows, or the first and how many more.
  print(isPrinted) {
    this.table.isPrinted = isPrinted;
    const more = this.order.length - MOST_PRINTED;
    byId("unprinted").hidden = !isPrinted || more <= 0;
    setText(byId("unprinted"), fill(gettext("%(n)s more are not printed: a filter prints fewer."), { n: more.toLocaleString() }));
    this.render();
  }

  // Filters, order and view as they are chosen, and where their links lead to.
  writeView() {
    const { view } = this;
    const isTiles = view.view === "tiles";
    byId("fleet").classList.toggle("is-tiles", isTiles);
    byId("tiles").hidden = !isTiles;
    for (const [id, key] of [["chips", "status"], ["views", "view"]]) {
      for (const link of byId(id).children) {
        link.href = writeView({ ...view, [key]: link.dataset.value }) || location.pathname;
        if (link.dataset.value === view[key]) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
    for (const link of this.table.table.tHead.querySelectorAll("a")) {
      const column = link.dataset.sort;
      link.href = writeView({ ...view, sort: nextSort(view.sort, column) }) || location.pathname;
      const order = { [column]: "ascending", [`-${column}`]: "descending" }[view.sort];
      if (order) link.parentElement.setAttribute("aria-sort", order);
      else link.parentElement.removeAttribute("aria-sort");
    }
    const { q, group, sort } = byId("filter").elements;
    if (q.value.trim() !== view.q.trim()) q.value = view.q;
    if (group) group.value = view.group;
    sort.value = view.sort;
    const [shown, all] = [this.order.length, this.fleet.rows.length];
    const isFiltered = Boolean(view.q.trim() || view.status || view.group);
    const order = view.sort === "state" ? gettext("Problems first. The order waits while you read.") : gettext("The order waits while you read.");
    const matches = fill(gettext("%(n)s of %(all)s match."), { n: shown.toLocaleString(), all: all.toLocaleString() });
    setText(byId("note-text"), isFiltered ? matches : order);
    byId("note-all").hidden = !isFiltered;
    byId("none").hidden = shown > 0;
  }

  // The heads of the two columns of values.
  headColumns() {
    const { columns } = this.fleet;
    columns.forEach(({ title, unit }, at) => {
      const link = this.table.table.tHead.querySelector(`[data-sort=m${at + 1}]`);
      if (!link) return;
      setText(link.firstElementChild, title);
      setText(link.lastElementChild, unit);
      byId("filter").querySelectorAll("[name=m]")[at].value = columns[at].name;
    });
    if (columns[0]) setText(byId("trace-head"), fill(gettext("%(name)s, last 15 min"), { name: columns[0].title }));
  }

  writeChips() {
    const counts = countStates(this.fleet.rows.map((row) => row.state));
    const isPast = this.isPast();
    for (const chip of byId("chips").children) {
      const state = chip.dataset.value;
      setText(chip.querySelector("b"), (state ? counts[state] : this.fleet.rows.length).toLocaleString());
      if (!state || chip.isPast === isPast) continue;
      chip.isPast = isPast;
      setText(chip.querySelector("span"), stateWord(state, isPast));
      chip.querySelector(".icon").replaceWith(icon(isPast ? "unknown" : state));
    }
    if (isPast) return;
    const more = counts.offline - (this.spoken ?? counts.offline);
    this.spoken = counts.offline;
    if (more > 0) speak(fill(ngettext("%(n)s device went offline", "%(n)s devices went offline", more), { n: more }), "offline");
  }

  // The header's link, and of when all this is.
  writeFrame() {
    const { isStale, fromMs } = this.fresh;
    writeLink(this.fresh, this.socket.latencyMs);
    const all = this.fleet.rows.length;
    const count = fill(ngettext("%(n)s device", "%(n)s devices", all), { n: all.toLocaleString() });
    const knownMs = this.pausedMs ?? (isStale ? fromMs : null);
    const then = knownMs === null ? "" : fill(gettext("as of %(time)s"), { time: formatClock(knownMs, this.zone) });
    setText(byId("device-count"), [count, then].filter(Boolean).join(" · "));
    const said = this.pausedMs === null ? gettext("Values as of %(time)s") : gettext("Paused at %(time)s");
    setText(byId("as-of"), knownMs === null ? "" : fill(said, { time: formatClock(knownMs, this.zone) }));
  }
}

// A plain click on a link chooses here; any other opens what the link says.
function onLink(host, act) {
  host.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    act(link);
  });
}

if (byId("fleet-table")) new FleetPage(JSON.parse(byId("page-config").textContent)).start();
