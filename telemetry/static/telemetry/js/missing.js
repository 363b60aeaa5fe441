// What could not be read of a range, in words: never by colour alone. Pure.

import { formatMoment } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";

// missing: [[series, fromMs, toMs]…]; lines: [{id, device}]; range: [from, to] that is
// shown. Returns a sentence, "" where nothing of these lines is missing.
export function missingText(missing, lines, zone, [shownFromMs, shownToMs]) {
  const names = new Map(lines.map((line) => [line.id, line.device]));
  const own = missing.filter(([id]) => names.has(id));
  if (!own.length) return "";
  const devices = [...new Set(own.map(([id]) => names.get(id)))];
  const fromMs = Math.max(shownFromMs, Math.min(...own.map(([, from]) => from)));
  const toMs = Math.min(shownToMs, Math.max(...own.map(([, , to]) => to)));
  const who = devices.length <= 2
    ? devices.join(", ")
    : fill(ngettext("%(n)s device", "%(n)s devices", devices.length), { n: devices.length });
  return fill(gettext("A part is missing: stored readings of %(who)s between %(from)s and %(to)s cannot be read."), {
    who, from: formatMoment(Math.floor(fromMs / 1000) * 1000, zone), to: formatMoment(Math.ceil(toMs / 1000) * 1000, zone),
  });
}
