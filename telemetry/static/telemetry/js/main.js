// Every page: the theme, the time zone of this browser, and the keys of the frame.

import "./kiosk.js";
import { byId } from "./dom.js";
import { fill, gettext } from "./i18n.js";
import { openSheet } from "./sheet.js";
import { bind } from "./shortcuts.js";

const THEMES = ["auto", "light", "dark"];

const root = document.documentElement;
const theme = byId("theme");

function sayTheme() {
  theme.querySelector("span").textContent = theme.dataset[root.dataset.theme] ?? theme.dataset.auto;
}

function turnTheme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  root.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Storage is switched off: the theme lasts as long as the page.
  }
  sayTheme();
  document.dispatchEvent(new CustomEvent("hub:theme"));
}

// A button for the zone that the browser's machine is in, unless it is chosen already.
function offerZone(button) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || [...button.form.elements].some((other) => other.value === zone)) return;
  button.value = zone;
  button.textContent = fill(gettext("%(zone)s, as this browser"), { zone });
  button.hidden = false;
}

// What has data-key is a shortcut too: an input takes the focus, the rest is clicked.
function bindKey(element) {
  const words = element.dataset.words ?? element.getAttribute("aria-label") ?? element.querySelector("span")?.textContent ?? element.textContent;
  bind(element.dataset.key, words, () => {
    if (element.matches("input")) {
      element.focus();
      element.select();
    } else element.click();
  });
}

// A screen on a wall has no frame.
if (theme) {
  sayTheme();
  theme.hidden = byId("shortcuts").hidden = false;
  theme.addEventListener("click", turnTheme);
  byId("shortcuts").addEventListener("click", () => {
    byId("menu").hidePopover?.();
    openSheet();
  });
  offerZone(byId("browser-zone"));
  document.querySelectorAll("[data-key]").forEach(bindKey);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.dispatchEvent(new CustomEvent("hub:theme"));
});
