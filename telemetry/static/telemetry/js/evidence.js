// Why a device's state is what it is, in words: "Late: last reading 22 s ago, one expected
// every 5 s (estimated). Connected." As `sentence` in telemetry/devices/status.py. Pure.

import { formatAgo, formatClock, formatDateTime } from "./format.js";
import { fill, gettext } from "./i18n.js";
import { judge } from "./presence.js";
import { stateWord } from "./words.js";

// An older reading is given with its time, and from a day on with its date.
const DATED_MS = 60_000;
const DAY_MS = 86_400_000;

// facts: those of presence.js and isEstimated; status: what `judge` said of them.
export function evidence(facts, nowMs, zone = "UTC", status = judge(facts, nowMs)) {
  const parts = [fill(gettext("%(state)s: %(why)s."), { state: stateWord(status.state), why: why(status, facts, nowMs, zone) })];
  if (status.isUnsteady) parts.push(gettext("It is late again and again."));
  parts.push(link(facts, nowMs));
  return parts.join(" ");
}

function why({ state }, { lastReadingMs, periodMs, isEstimated }, nowMs, zone) {
  const reading = lastReadingMs === null
    ? gettext("no reading yet")
    : fill(gettext("last reading %(ago)s"), { ago: dated(lastReadingMs, nowMs, zone) });
  if (state === "paused") return fill(gettext("it is not judged, %(reading)s"), { reading });
  if (periodMs === null) return reading;
  const text = isEstimated
    ? gettext("%(reading)s, one expected every %(period)s (estimated)")
    : gettext("%(reading)s, one expected every %(period)s");
  return fill(text, { reading, period: formatPeriod(periodMs) });
}

function link({ isOnline, changedMs }, nowMs) {
  if (isOnline) return gettext("Connected.");
  if (changedMs === null) return gettext("Not connected.");
  return fill(gettext("Disconnected %(ago)s."), { ago: formatAgo(nowMs - changedMs) });
}

function dated(ms, nowMs, zone) {
  const ago = formatAgo(nowMs - ms);
  if (nowMs - ms < DATED_MS) return ago;
  return `${ago} (${nowMs - ms < DAY_MS ? formatClock(ms, zone) : formatDateTime(ms, zone)})`;
}

// "20 ms", "0.5 s", "15 min", "1 h": two digits are enough.
export function formatPeriod(ms) {
  const seconds = ms / 1000;
  if (seconds < 0.1) return fill(gettext("%(n)s ms"), { n: short(ms) });
  if (seconds < 120) return fill(gettext("%(n)s s"), { n: short(seconds) });
  if (seconds < 3_600) return fill(gettext("%(n)s min"), { n: short(seconds / 60) });
  if (seconds < 172_800) return fill(gettext("%(n)s h"), { n: short(seconds / 3_600) });
  return fill(gettext("%(n)s d"), { n: short(seconds / 86_400) });
}

function short(count) {
  return count >= 9.95 ? Math.round(count) : Number(count.toPrecision(2));
}
