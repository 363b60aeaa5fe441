// The list of groups: loaded again every few seconds while somebody looks. Its
// "As of" says how old it is; what cannot be loaded stays, and grows old visibly.

import "./main.js";
import { setText } from "./dom.js";
import { formatAgo } from "./format.js";
import { gettext } from "./i18n.js";

const list = document.getElementById("groups");

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("groups");
    // No list: the session has ended, and this is the sign-in page.
    if (!fresh) throw new Error("signed out");
    const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    list.classList.remove("is-old");
    list.replaceChildren(...fresh.childNodes);
    if (focused) [...list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
    age();
  } catch {
    warn();
  }
}

function warn() {
  // Nobody knows who is connected now.
  list.classList.add("is-old");
  const note = list.querySelector(".as-of");
  if (!note || note.dataset.old) return;
  note.dataset.old = "1";
  note.append(` · ${gettext("The hub does not answer: these numbers are old.")}`);
}

// Ages only ever grow here; the exact time is the element's title.
function age() {
  const asOf = list.querySelector("[data-as-of]");
  const loadedAt = Number(asOf.dataset.loadedAt ??= Date.now());
  const nowMs = Date.parse(asOf.dataset.asOf) + Date.now() - loadedAt;
  for (const time of list.querySelectorAll("time[data-age]")) {
    setText(time, formatAgo(nowMs - Date.parse(time.dateTime)));
  }
}

age();
setInterval(age, 1_000);
setInterval(refresh, Number(list.dataset.refreshSeconds) * 1000);
document.addEventListener("visibilitychange", refresh);
