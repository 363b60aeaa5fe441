// A display as a picture for a report: its title, what is shown and when, the drawing
// itself, and who is who.

import { colour } from "./plot.js";
import { DASHES } from "./palette.js";

const MARGIN = 16;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

// title, note: lines of text; images: [{canvas, label?}]; legend: [{style?, text}].
export function compose({ title, note, images, legend }) {
  const ratio = devicePixelRatio;
  const labelWidth = images.some((image) => image.label) ? 120 : 0;
  const inner = Math.max(480, labelWidth + Math.max(...images.map(({ canvas }) => canvas.width / ratio)));
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.font = `13px ${FONT}`;
  const places = flow(pen, legend, inner);
  const drawn = images.reduce((sum, image) => sum + image.canvas.height / ratio + (image.label ? 8 : 0), 0);
  const height = MARGIN + 48 + drawn + 12 + (places.at(-1)?.y ?? -20) + 20 + MARGIN;
  canvas.width = Math.round((inner + 2 * MARGIN) * ratio);
  canvas.height = Math.round(height * ratio);
  pen.scale(ratio, ratio);
  pen.fillStyle = colour("--bg");
  pen.fillRect(0, 0, inner + 2 * MARGIN, height);
  pen.textBaseline = "middle";
  write(pen, title, MARGIN, MARGIN + 8, { font: `600 16px ${FONT}`, ink: "--text", most: inner });
  write(pen, note, MARGIN, MARGIN + 30, { font: `12px ${FONT}`, ink: "--muted", most: inner });
  let y = MARGIN + 48;
  for (const { canvas: image, label } of images) {
    const [width, tall] = [image.width / ratio, image.height / ratio];
    if (label) write(pen, label, MARGIN, y + tall / 2, { font: `13px ${FONT}`, ink: "--muted", most: labelWidth - 8 });
    pen.drawImage(image, MARGIN + labelWidth, y, width, tall);
    y += tall + (label ? 8 : 0);
  }
  legend.forEach(({ style, text }, at) => drawEntry(pen, style, text, MARGIN + places[at].x, y + 12 + places[at].y));
  return canvas;
}

// Where each entry of the legend goes, line by line.
function flow(pen, legend, inner) {
  let [x, y] = [0, 0];
  return legend.map(({ style, text }) => {
    const width = pen.measureText(text).width + (style ? 22 : 0) + 18;
    if (x > 0 && x + width > inner) [x, y] = [0, y + 20];
    const place = { x, y };
    x += width;
    return place;
  });
}

function drawEntry(pen, style, text, x, y) {
  if (style) {
    pen.strokeStyle = colour(`--s${style.hue}`);
    pen.lineWidth = 2;
    pen.setLineDash(DASHES[style.dash]);
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + 16, y);
    pen.stroke();
  }
  write(pen, text, x + (style ? 22 : 0), y, { font: `13px ${FONT}`, ink: "--text" });
}

function write(pen, text, x, y, { font, ink, most }) {
  pen.font = font;
  pen.fillStyle = colour(ink);
  pen.fillText(text, x, y, most);
}
