// Small ways to make elements. Text goes in as text: a device's name is never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A name that people chose: isolated, so that its direction stays its own.
export function nameOf(text, attributes = {}) {
  return make("bdi", attributes, text);
}

// An icon of _icons.html, beside a word that says the same.
export function icon(name, extra = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${extra}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

// The line of a series, as in its chart.
export function swatch({ hue, dash }, dashes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `swatch s${hue}`);
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", "M0 3H16");
  line.setAttribute("stroke", "currentColor");
  line.setAttribute("stroke-width", "2");
  if (dashes[dash].length) line.setAttribute("stroke-dasharray", dashes[dash].join(" "));
  svg.append(line);
  return svg;
}

// Set a text only where it differs: nothing else makes the browser lay out again.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A button that is on or off.
export function press(button, isOn) {
  button.setAttribute("aria-pressed", isOn);
}
