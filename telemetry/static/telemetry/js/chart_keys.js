// A chart by keyboard: its plot takes the focus, arrows move the cursor from reading to
// reading, and what is there is said once the cursor rests.

import { byId, setText } from "./dom.js";
import { stepFrom } from "./steps.js";

const REST_MS = 300;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
const ZOOMS = { "+": false, "=": false, "-": true, _: true };

// chart offers: plot, pointAt(index or null), pointed (index or null), spoken() and
// zoom(isOut).
export function bindKeys(host, chart, title) {
  host.tabIndex = 0;
  // Not "img": in one, screen readers keep the arrows for themselves.
  host.setAttribute("role", "application");
  const { role, keys } = byId("charts").dataset;
  host.setAttribute("aria-roledescription", role);
  host.setAttribute("aria-label", title);
  host.setAttribute("aria-description", keys);
  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !press(chart, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    clearTimeout(chart.resting);
    chart.resting = setTimeout(() => setText(byId("speak"), chart.spoken()), REST_MS);
  });
  host.addEventListener("blur", () => {
    clearTimeout(chart.resting);
    if (chart.isKeyed) chart.pointAt(null);
  });
}

// Whether the key was one of the chart's.
function press(chart, key) {
  if (!chart.plot) return false;
  if (key in ZOOMS) {
    chart.zoom(ZOOMS[key]);
    return true;
  }
  if (key === "Escape" && chart.isKeyed) {
    chart.pointAt(null);
    return true;
  }
  const to = target(chart, key);
  if (to === undefined) return false;
  if (to !== null) chart.pointAt(to);
  return true;
}

function target({ plot, pointed }, key) {
  const [low, high] = plot.series[0].idxs ?? [0, 0];
  if (key === "Home") return stepFrom(plot.data, low - 1, 1, [low, high]);
  if (key === "End" || (key in STEPS && pointed === null)) return stepFrom(plot.data, high + 1, -1, [low, high]);
  return key in STEPS ? stepFrom(plot.data, pointed, STEPS[key], [low, high]) : undefined;
}
