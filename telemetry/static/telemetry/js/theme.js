// Before the first paint: the theme chosen in this browser, else the user's own.
// The same key as the admin's switch.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is switched off: the page keeps what the server said.
  }
})();
