// Every page: the theme switch.

const THEMES = ["auto", "light", "dark"];

const button = document.getElementById("theme");
const root = document.documentElement;

function label() {
  const text = button.dataset[root.dataset.theme] ?? button.dataset.auto;
  button.title = text;
  button.setAttribute("aria-label", text);
}

if (button) {
  label();
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    root.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Storage is switched off: the theme lasts as long as the page.
    }
    label();
    document.dispatchEvent(new CustomEvent("hub:theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new CustomEvent("hub:theme"));
  });
}
