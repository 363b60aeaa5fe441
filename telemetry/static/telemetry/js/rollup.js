// What a chart shows of the readings, in words: it is always said. Pure.

import { fill, gettext } from "./i18n.js";

const TIER_MS = 300_000;

// "0.5 s", "5 min", "2 d".
export function formatWidth(ms) {
  if (ms < 100) return fill(gettext("%(n)s ms"), { n: ms });
  if (ms % 60_000) return fill(gettext("%(n)s s"), { n: ms / 1_000 });
  if (ms % 3_600_000) return fill(gettext("%(n)s min"), { n: ms / 60_000 });
  if (ms % 86_400_000) return fill(gettext("%(n)s h"), { n: ms / 3_600_000 });
  return fill(gettext("%(n)s d"), { n: ms / 86_400_000 });
}

// widthMs: of a bucket, null for the readings themselves; resolution: seconds that the
// rows cover that the hub had left, 0 for readings; isShare: of booleans.
export function rollupText({ widthMs, resolution = 0, isShare = false }) {
  if (widthMs === null) return gettext("raw");
  const width = formatWidth(widthMs);
  if (isShare) return fill(gettext("%(width)s, share of time on"), { width });
  if (resolution * 1_000 === widthMs) return fill(gettext("%(width)s summaries, min–max"), { width });
  if (!resolution) return fill(gettext("%(width)s, min–max"), { width });
  return fill(gettext("%(width)s, min–max, of %(tier)s summaries"), { width, tier: formatWidth(Math.max(TIER_MS, resolution * 1_000)) });
}
