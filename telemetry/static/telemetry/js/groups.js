// The list of groups: loaded again every few seconds while somebody looks. Its "As of"
// says how old it is; the live socket, on which nothing is followed here, says at once
// when the hub is gone.

import "./link.js";
import { byId, setText } from "./dom.js";
import { formatAgo } from "./format.js";
import { freshness } from "./freshness.js";
import { gettext } from "./i18n.js";
import { LiveSocket, socketUrl, steadyMs } from "./socket.js";
import { Store } from "./store.js";

const REFRESH_MS = 10_000;
const TICK_MS = 500;

class GroupList {
  constructor(list) {
    const { live, zone } = list.dataset;
    this.list = list;
    this.socket = new LiveSocket({ url: socketUrl(live), groups: [], store: new Store() });
    this.startedMs = this.loadedMs = steadyMs();
    this.socket.offsetMs = this.asOfMs - this.startedMs;
    this.banner = document.querySelector("hub-link");
    this.banner.configure({ socket: this.socket, zone });
    addEventListener("online", () => this.socket.retryNow());
    document.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), REFRESH_MS);
    setInterval(() => this.tick(), TICK_MS);
    this.socket.connect();
    this.tick();
  }

  get asOfMs() {
    return Date.parse(this.list.querySelector("[data-as-of]").dataset.asOf);
  }

  tick() {
    const { socket, list } = this;
    socket.tick();
    const { phase, isInSync, heardMs } = socket;
    const { isStale, fromMs } = freshness({ phase, isInSync, heardMs, startedMs: this.startedMs }, socket.clock());
    this.banner.show({ isStale, fromMs: fromMs + socket.offsetMs }, socket.hubNow());
    if (isStale) this.warn();
    else if (this.wasStale) this.refresh();
    this.wasStale = isStale;
    // Ages only ever grow here; the exact time is the element's title.
    const nowMs = this.asOfMs + steadyMs() - this.loadedMs;
    for (const time of list.querySelectorAll("time[data-age]")) {
      setText(time, formatAgo(nowMs - Date.parse(time.dateTime)));
    }
  }

  async refresh() {
    if (document.hidden) return;
    const { list } = this;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("groups");
      // No list: the session has ended, and this is the sign-in page.
      if (!fresh) throw new Error("signed out");
      const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      list.classList.remove("is-old");
      list.replaceChildren(...fresh.childNodes);
      if (focused) [...list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
      this.loadedMs = steadyMs();
      this.tick();
    } catch {
      this.warn();
    }
  }

  // Nobody knows who is connected now.
  warn() {
    if (this.list.classList.contains("is-old")) return;
    this.list.classList.add("is-old");
    this.list.querySelector(".as-of").append(` · ${gettext("The hub does not answer: these numbers are old.")}`);
  }
}

const list = byId("groups");
if (list) new GroupList(list);
