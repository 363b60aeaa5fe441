// <hub-link>: the banner that says when the page is not what it seems, and since when.

import { byId, setText } from "./dom.js";
import { formatClock, formatDuration } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";

const BACK_MS = 6_000;

class HubLink extends HTMLElement {
  // page: {socket, zone}.
  configure(page) {
    this.page = page;
    [this.text, this.retry, this.signIn] = this.children;
    this.retry.addEventListener("click", () => page.socket.retryNow());
    this.backUntilMs = -Infinity;
  }

  // Called a few times a second with what freshness.js found.
  show({ isStale, fromMs }, nowMs) {
    const isBack = !isStale && nowMs < this.backUntilMs;
    this.hidden = !isStale && !isBack;
    this.classList.toggle("is-back", isBack);
    if (this.hidden || isBack) {
      this.retry.hidden = this.signIn.hidden = true;
      return;
    }
    const { socket } = this.page;
    this.retry.hidden = socket.phase !== "waiting";
    this.signIn.hidden = socket.phase !== "signed-out";
    setText(this.text, this.sentence(fromMs, nowMs));
  }

  // The page is true again; count: readings that were missed meanwhile, null = unknown.
  back(count, nowMs) {
    this.backUntilMs = nowMs + BACK_MS;
    if (count === null) return setText(this.text, gettext("Back. The missing part is being loaded."));
    const text = ngettext("Back. %(n)s missed reading filled in.", "Back. %(n)s missed readings filled in.", count);
    return setText(this.text, count ? fill(text, { n: count.toLocaleString() }) : gettext("Back. Nothing was missed."));
  }

  sentence(fromMs, nowMs) {
    const { socket, zone } = this.page;
    const values = fill(gettext("Values are from %(time)s."), { time: formatClock(fromMs, zone) });
    const parts = { "signed-out": gettext("Signed out."), refused: this.dataset.refused };
    if (parts[socket.phase]) return `${parts[socket.phase]} ${values}`;
    if (socket.phase === "stopped") {
      const closed = fill(gettext("The hub has closed the connection (%(code)s). Load the page again."), { code: socket.code });
      return `${closed} ${values}`;
    }
    if (socket.heardMs === null) return gettext("Connecting to the hub…");
    const lost = fill(gettext("Connection lost %(duration)s."), { duration: formatDuration(nowMs - fromMs) });
    return `${lost} ${values} ${this.plan()}`;
  }

  plan() {
    const { socket } = this.page;
    if (socket.phase !== "waiting" || socket.retryAtMs === null) return gettext("Trying now…");
    const seconds = Math.max(0, Math.ceil((socket.retryAtMs - socket.clock()) / 1000));
    return seconds ? fill(gettext("Retrying in %(n)s s."), { n: seconds }) : gettext("Trying now…");
  }
}

// The link in the header; a screen on a wall has none. Returns how long a message takes.
export function writeLink({ isLive, isStale }, latencyMs) {
  const link = byId("link-text");
  const ms = latencyMs === null ? "" : fill(gettext("%(n)s ms"), { n: latencyMs < 1 ? "<1" : Math.round(latencyMs) });
  if (link && isLive) setText(link, [gettext("Connected"), ms].filter(Boolean).join(" · "));
  else if (link && isStale) setText(link, gettext("Not connected"));
  return ms;
}

customElements.define("hub-link", HubLink);
