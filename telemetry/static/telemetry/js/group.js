// The live page of one group: puts the pieces together, holds no rule of its own.

import { Chips } from "./chips.js";
import { press, setText } from "./dom.js";
import { byDevice, chosen, MOST_FIGURES, readGrouping, writeGrouping } from "./grouping.js";
import { fill, gettext, ngettext } from "./i18n.js";
import { byId, LivePage, readConfig } from "./live_page.js";
import { DeviceTable } from "./table.js";

class GroupPage extends LivePage {
  constructor(config) {
    super(config);
    this.table = new DeviceTable(byId("device-table"), byId("devices-note"), this.watch);
    this.chips = new Chips(byId("chips"), (state) => {
      this.table.filter = state;
      if (this.grouping.isByDevice) this.isShapeDirty = true;
      this.tick();
    });
    this.grouping = readGrouping(location.search);
    for (const [id, isByDevice] of [["by-metric", false], ["by-device", true]]) {
      byId(id).addEventListener("click", () => {
        history.pushState(history.state, "", writeGrouping(location.search, { isByDevice }) || location.pathname);
        this.regroup();
      });
    }
    addEventListener("popstate", () => this.regroup());
    byId("grouping").hidden = false;
    this.regroup();
  }

  // As the address says.
  regroup() {
    this.grouping = readGrouping(location.search);
    const { isByDevice } = this.grouping;
    press(byId("by-metric"), !isByDevice);
    press(byId("by-device"), isByDevice);
    this.isShapeDirty = true;
    if (this.watch.held) this.tick();
  }

  arranged(specs) {
    const { isByDevice, metrics } = this.grouping;
    const wanted = chosen(specs, metrics);
    const all = isByDevice ? byDevice(wanted).filter((spec) => this.isChosen(spec.lines[0].slug)) : wanted;
    const more = all.length - MOST_FIGURES;
    setText(byId("charts-note"), more > 0 ? fill(gettext("The first %(n)s of %(all)s charts: choose a state above, or metrics in the address (m=).") , { n: MOST_FIGURES, all: all.length }) : "");
    return all.slice(0, MOST_FIGURES);
  }

  isChosen(slug) {
    return !this.chips.filter || this.watch.stateOf(slug) === this.chips.filter;
  }

  shaped(specs) {
    const count = this.watch.devices().length;
    byId("devices").hidden = count === 0;
    const first = byId("first-reading");
    if (first) first.hidden = specs.length > 0;
    const devices = ngettext("%(n)s device", "%(n)s devices", count);
    setText(byId("device-count"), fill(devices, { n: count.toLocaleString() }));
    this.table.setColumns(specs);
  }

  rendered(nowMs, { isStale }) {
    // Who is late now may be live soon.
    if (this.grouping.isByDevice && this.chips.filter) this.isShapeDirty = true;
    this.chips.render(this.watch.states.values(), isStale);
    this.table.render(nowMs, isStale);
  }
}

if (byId("device-table")) new GroupPage(readConfig()).start();
