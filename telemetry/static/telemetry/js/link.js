// <hub-link>: the banner that says when the page is not what it seems, and since when.

import { make, setText } from "./dom.js";
import { formatClock, formatDuration } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";

const BACK_MS = 6_000;

class HubLink extends HTMLElement {
  // page: {socket, zone, login}; isAsked: may one ask at once.
  configure(page) {
    this.page = page;
    this.text = make("span");
    this.retry = make("button", { type: "button" }, gettext("Retry now"));
    this.retry.addEventListener("click", () => page.socket.retryNow());
    this.signIn = make("a", { href: page.login, target: "_blank", rel: "noopener" }, gettext("Sign in in a new tab"));
    this.replaceChildren(this.text, this.retry, this.signIn);
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
    const parts = { "signed-out": gettext("Signed out."), refused: this.dataset.refused ?? gettext("You may no longer see this group.") };
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

customElements.define("hub-link", HubLink);
