// The table of devices: state, values, age of the last reading; patched in place.

import { icon, make, nameOf, setText } from "./dom.js";
import { byName, formatAgo, formatDateTime, unitBeside } from "./format.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { stateWord } from "./words.js";

const MOST_ROWS = 100;
// More than fit scroll in the table's own box; above this they are counted.
const MOST_COLUMNS = 24;

export class DeviceTable {
  constructor(element, note, page) {
    Object.assign(this, { element, note, page });
    this.rows = new Map();
    this.columns = null;
    this.filter = null; // a state, or null for all
    new ResizeObserver(() => this.fit()).observe(element);
    new ResizeObserver(() => this.fit()).observe(element.parentElement);
  }

  // Where columns do not fit, they scroll past the devices' names, whole ones at a time.
  fit() {
    const box = this.element.parentElement;
    box.classList.toggle("is-cut", box.scrollWidth > box.clientWidth);
    const name = this.element.querySelector("tbody th");
    if (name) box.style.setProperty("--device-width", `${name.offsetWidth}px`);
  }

  // specs: what there is to show; the most frequent become columns.
  setColumns(specs) {
    const common = [...specs].sort((a, b) => b.lines.length - a.lines.length).slice(0, MOST_COLUMNS);
    this.columns = common.map((spec) => (
      { spec, ids: new Map(spec.lines.map((line) => [line.slug, line.id])) }
    ));
    const head = make("tr", {}, columnHead(gettext("State")), columnHead(gettext("Device")));
    for (const { spec } of this.columns) {
      const unit = nameOf(unitBeside(spec.title, spec.unit), { class: "unit" });
      head.append(make("th", { scope: "col", class: "num" }, nameOf(spec.title), " ", unit));
    }
    const hidden = specs.length - this.columns.length;
    this.hiddenText = hidden ? fill(ngettext("+%(n)s more metric", "+%(n)s more metrics", hidden), { n: hidden }) : "";
    head.append(make("th", { scope: "col", class: "num" }, gettext("Last reading")));
    this.element.tHead.replaceChildren(head);
    this.element.tBodies[0].replaceChildren();
    this.rows.clear();
  }

  render(nowMs, isStale) {
    if (this.columns === null) return;
    const devices = this.page.devices()
      .filter((device) => !this.filter || this.page.stateOf(device.slug) === this.filter)
      .sort((a, b) => byName(a.name, b.name) || (a.slug < b.slug ? -1 : 1));
    const shown = devices.slice(0, MOST_ROWS);
    const body = this.element.tBodies[0];
    const wanted = new Set(shown.map((device) => device.slug));
    for (const [slug, row] of this.rows) {
      if (!wanted.has(slug)) {
        row.element.remove();
        this.rows.delete(slug);
      }
    }
    shown.forEach((device, at) => {
      const row = this.rows.get(device.slug) ?? this.makeRow(device);
      if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
      this.patch(row, device, nowMs, isStale);
    });
    const more = devices.length - shown.length;
    const moreText = more > 0 ? fill(gettext("and %(n)s more: choose a state above"), { n: more }) : "";
    setText(this.note, [this.hiddenText, moreText].filter(Boolean).join(" · "));
  }

  makeRow(device) {
    const row = {
      state: null,
      stateCell: make("td"),
      name: make("a", { href: `${this.page.deviceUrl}${encodeURIComponent(device.slug)}` }, nameOf(device.name)),
      cells: this.columns.map(() => ({ value: nameOf(""), age: make("small") })),
      age: make("time"),
    };
    row.element = make(
      "tr", {}, row.stateCell, make("th", { scope: "row" }, row.name),
      ...row.cells.map((cell) => make("td", { class: "num" }, cell.value, cell.age)),
      make("td", { class: "num" }, row.age),
    );
    this.rows.set(device.slug, row);
    return row;
  }

  patch(row, device, nowMs, isStale) {
    const { page } = this;
    const state = page.stateOf(device.slug);
    const shownState = `${state} ${isStale}`;
    if (row.state !== shownState) {
      row.state = shownState;
      const mark = isStale ? "unknown" : state;
      row.stateCell.replaceChildren(make("span", { class: `state state-${mark}` }, icon(mark), make("span", { class: "word" }, stateWord(state, isStale))));
      row.element.classList.toggle("is-late", !isStale && state === "late");
      row.element.classList.toggle("is-offline", !isStale && state === "offline");
    }
    if (row.name.textContent !== device.name) row.name.replaceChildren(nameOf(device.name));
    this.columns.forEach(({ spec, ids }, at) => {
      const id = ids.get(device.slug);
      const head = page.head(id);
      const { value, age } = row.cells[at];
      const isOld = head ? page.isOldValue({ id, slug: device.slug }) : state !== "live";
      setText(value, head ? page.format(head.value, spec) : "–");
      // A silent device's age is said once, at the end of the row.
      setText(age, head && isOld && state === "live" ? formatAgo(nowMs - head.heardMs) : "");
      value.parentElement.classList.toggle("is-old", isOld);
    });
    const lastMs = page.lastReadings.get(device.slug) ?? null;
    setText(row.age, lastMs === null ? gettext("never") : formatAgo(nowMs - lastMs));
    // Why it is so, as of this second; where nobody knows any more nothing is said.
    const second = isStale ? null : Math.floor(nowMs / 1000);
    if (row.second === second) return;
    row.second = second;
    row.stateCell.title = isStale ? "" : page.evidenceOf(device);
    if (lastMs !== null && lastMs !== row.titledMs) {
      row.titledMs = lastMs;
      row.age.dateTime = new Date(lastMs).toISOString();
      row.age.title = formatDateTime(lastMs, page.zone);
    }
  }
}

function columnHead(text) {
  return make("th", { scope: "col" }, text);
}
