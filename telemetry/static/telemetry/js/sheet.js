// The sheet of keyboard shortcuts: what this page has bound, and a switch for all.

import { make } from "./dom.js";
import { gettext } from "./i18n.js";
import { shortcuts } from "./shortcuts.js";

export function openSheet() {
  if (document.querySelector("dialog.sheet[open]")) return;
  const close = make("button", { type: "button" }, gettext("Close"));
  const isOn = make("input", { type: "checkbox", id: "shortcuts-on" });
  isOn.checked = shortcuts.isOn;
  isOn.addEventListener("change", () => shortcuts.turn(isOn.checked));
  const sheet = make(
    "dialog",
    { class: "sheet", "aria-labelledby": "sheet-title" },
    make("h2", { id: "sheet-title" }, gettext("Keyboard shortcuts")),
    make("dl", {}, ...[...shortcuts.bindings].map(line)),
    make("label", { class: "sheet-switch" }, isOn, gettext("Shortcuts are on in this browser")),
    close,
  );
  close.addEventListener("click", () => sheet.close());
  // A click beside it: on the backdrop, which is the dialog itself.
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
  sheet.addEventListener("close", () => sheet.remove());
  document.body.append(sheet);
  sheet.showModal();
}

function line([keys, { words }]) {
  const typed = keys.split(" ").map((key) => make("kbd", {}, key));
  return make("div", {}, make("dt", {}, ...typed), make("dd", {}, words));
}
