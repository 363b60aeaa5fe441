// The page /link: starts a measurement, shows it while it runs, says what it means.

import { write } from "./clipboard.js";
import { byId, setText } from "./dom.js";
import { formatDateTime, formatValue } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { LinkChart } from "./link_chart.js";
import { figures } from "./link_figures.js";
import { LinkRun } from "./link_run.js";
import { socketUrl } from "./socket.js";

const NONE = "–";
const SAID_MS = 2_500;

class LinkCheck {
  constructor(config) {
    this.url = socketUrl(config.echo);
    this.words = config.words; // of phases, kinds of links and codes of closes
    this.chart = new LinkChart(byId("trips"));
    this.run = null;
    byId("start").hidden = false;
    byId("start").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.run) this.run.stop();
      else this.start(Number(byId("seconds").value));
    });
    byId("copy-result").addEventListener("click", () => this.copy());
  }

  async start(seconds) {
    const trips = [];
    this.chart.clear(seconds);
    this.show({ connectMs: null, figures: null, rate: null });
    this.tell("", false);
    byId("copy-result").hidden = true;
    this.run = new LinkRun({
      url: this.url,
      onPhase: (phase) => this.phase(phase),
      onRoundTrip: (sentMs, ms) => {
        trips.push(ms);
        const found = figures(trips);
        this.chart.add(sentMs, ms, found.p50);
        this.show({ connectMs: this.run.connectMs, figures: found, rate: null });
      },
    });
    this.controls(true);
    const result = await this.run.measure(seconds);
    this.run = null;
    this.controls(false);
    this.finish(result);
  }

  controls(isRunning) {
    const button = byId("start-button");
    setText(button, isRunning ? button.dataset.stop : button.dataset.start);
    byId("seconds").disabled = isRunning;
  }

  phase(phase) {
    const message = byId("trips-message");
    const word = this.words[phase];
    setText(message, word);
    // Over the points it would be in the way: said, and shown beside the title.
    message.classList.toggle("is-over", phase !== "connecting");
    setText(byId("trips-note"), word);
  }

  finish(result) {
    const { figures: found, ending } = result;
    this.show(result);
    setText(byId("trips-message"), found ? "" : gettext("Nothing was measured"));
    const count = found?.roundTrips ?? 0;
    setText(byId("trips-note"), count ? fill(ngettext("%(n)s round trip", "%(n)s round trips", count), { n: count }) : "");
    byId("trips-message").classList.toggle("is-over", Boolean(found));
    const { words } = this;
    const said = ending ? [fill(words[ending.code] ?? words.closed, ending)] : [];
    if (found) said.push(words[found.kind]);
    if (found && !found.isSteady) said.push(words.unsteady);
    this.tell(said.join(" "), Boolean(ending));
    this.result = result;
    byId("copy-result").hidden = !found;
  }

  show({ connectMs, figures: found, rate }) {
    const ms = (value) => (Number.isFinite(value) ? fill(gettext("%(n)s ms"), { n: digits(value) }) : NONE);
    setText(byId("result-connect"), ms(connectMs));
    setText(byId("result-p50"), ms(found?.p50));
    setText(byId("result-p99"), ms(found?.p99));
    setText(byId("result-jitter"), ms(found?.jitter));
    setText(byId("result-rate"), rate === null ? NONE : rateText(rate));
  }

  tell(text, isProblem) {
    const verdict = byId("verdict");
    verdict.classList.toggle("is-problem", isProblem);
    setText(verdict, text);
  }

  async copy() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const rows = [...document.querySelectorAll(".results tr")].map(({ cells: [name, value] }) => (
      `${name.firstChild.textContent.trim()}: ${value.textContent}`
    ));
    const head = fill(gettext("Link check of %(url)s, %(time)s %(zone)s"), {
      url: location.origin, time: formatDateTime(Date.now(), zone), zone,
    });
    const text = [head, ...rows, byId("verdict").textContent].join("\n");
    const isDone = await write(text);
    const button = byId("copy-result");
    const word = gettext("Copy result");
    setText(button, isDone ? gettext("Copied") : gettext("Copying is not allowed here"));
    setTimeout(() => setText(button, word), SAID_MS);
  }
}

// 0.38, 4.1, 38, 1,204
function digits(number) {
  return formatValue(number, number < 1 ? 2 : number < 10 ? 1 : 0, document.documentElement.lang);
}

function rateText(bits) {
  if (bits < 1e6) return fill(gettext("%(n)s kbit/s"), { n: digits(bits / 1e3) });
  return fill(gettext("%(n)s Mbit/s"), { n: digits(bits / 1e6) });
}

if (byId("trips")) new LinkCheck(JSON.parse(byId("page-config").textContent));
