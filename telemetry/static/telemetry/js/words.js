// The words for a device's state. What is not known now is said as what was.

import { gettext } from "./i18n.js";

export function stateWord(state, isPast = false) {
  const now = {
    live: gettext("Live"), late: gettext("Late"), offline: gettext("Offline"),
    new: gettext("New"), paused: gettext("Paused"),
  };
  const then = {
    live: gettext("Was live"), late: gettext("Was late"), offline: gettext("Was offline"),
    new: gettext("Was new"), paused: gettext("Was paused"),
  };
  return (isPast ? then : now)[state];
}

// After a number: "39 live", "2 were late".
export function countWord(state, isPast = false) {
  const now = {
    live: gettext("live"), late: gettext("late"), offline: gettext("offline"),
    new: gettext("new"), paused: gettext("paused"),
  };
  const then = {
    live: gettext("were live"), late: gettext("were late"), offline: gettext("were offline"),
    new: gettext("were new"), paused: gettext("were paused"),
  };
  return (isPast ? then : now)[state];
}
