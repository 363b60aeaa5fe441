// Whether what is on the screen may claim to be live. Pure.

const BREAK_MS = 2_000; // A shorter break is not worth a word.
const SILENCE_MS = 2_500; // An open socket that says nothing, though it was asked.

// link: {phase, isInSync, heardMs, startedMs}; times of one clock, heardMs null:
// nothing was heard yet. Returns {isLive, isStale, fromMs}: fromMs is when the
// values were last true. Between the two (a short break) the page stays as it is.
export function freshness(link, nowMs) {
  const fromMs = link.heardMs ?? link.startedMs;
  const silentMs = nowMs - fromMs;
  const isOver = ["signed-out", "refused", "stopped"].includes(link.phase);
  const isLive = link.phase === "open" && link.isInSync && silentMs < SILENCE_MS;
  const isStale = !isLive && (isOver || silentMs >= (link.phase === "open" ? SILENCE_MS : BREAK_MS));
  return { isLive, isStale, fromMs };
}
