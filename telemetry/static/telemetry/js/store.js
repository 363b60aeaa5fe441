// What the hub has said about the groups that this page watches. Pure.
//
// The law: a snapshot and every update after it make what a fresh snapshot would.

import { readDevice, readRow, readSeries } from "./protocol.js";

class Group {
  constructor() {
    this.revision = 0;
    this.series = new Map(); // id → {id, device, metric, unit, periodMs}
    this.rows = new Map(); // id → {time, value, heardMs}
    this.devices = new Map(); // slug → device
  }

  // Whether any of them is new: the others have another period.
  addSeries(rows) {
    const known = this.series.size;
    for (const row of rows ?? []) this.series.set(row[0], readSeries(row));
    return this.series.size > known;
  }

  addDevices(rows) {
    for (const row of rows ?? []) this.devices.set(row[0], readDevice(row));
  }
}

export class Store {
  constructor() {
    this.epoch = null;
    this.groups = new Map();
    this.pages = new Map(); // group → the snapshot that is still coming in
  }

  // Take one message in. nowMs: the hub's time as this page knows it.
  // Returns null, or {group, kind, ack, rows, isNewStructure, late, reason}:
  // kind "snapshot", "update" or "reset"; ack: the revision to acknowledge.
  apply(message, nowMs = 0) {
    switch (message.type) {
      case "welcome":
        this.epoch = message.epoch;
        return null;
      case "snapshot":
        return this.applySnapshot(message, nowMs);
      case "update":
        return this.applyUpdate(message, nowMs);
      case "reset":
        return this.applyReset(message);
      default:
        return null;
    }
  }

  // For `subscribe`: what this page holds, or null when it holds nothing.
  resume(groups) {
    const revisions = {};
    for (const name of groups) {
      const group = this.groups.get(name);
      if (group) revisions[name] = group.revision;
    }
    if (this.epoch === null || !Object.keys(revisions).length) return null;
    return { epoch: this.epoch, revisions };
  }

  // A socket has ended: half a snapshot is none.
  forgetPages() {
    this.pages.clear();
  }

  applySnapshot(message, nowMs) {
    let group = this.pages.get(message.group);
    if (!group || group.revision !== message.revision) {
      group = new Group();
      group.revision = message.revision;
      this.pages.set(message.group, group);
    }
    group.addSeries(message.series);
    group.addDevices(message.devices);
    for (const row of message.rows) {
      // A time ahead of the hub says nothing of when it came; the device's presence does.
      const slug = group.series.get(row[0])?.device;
      const isAhead = nowMs && row[1] > nowMs;
      keepRow(group, readRow(row), isAhead ? group.devices.get(slug)?.lastSeenMs ?? nowMs : nowMs);
    }
    if (message.more) return null;
    this.pages.delete(message.group);
    this.groups.set(message.group, group);
    const rows = [...group.rows].map(([id, row]) => ({
      id, ...row, min: row.value, max: row.value, count: 1,
    }));
    return changed(message.group, "snapshot", { ack: group.revision, rows, isNewStructure: true });
  }

  applyUpdate(message, nowMs) {
    const group = this.groups.get(message.group);
    const answer = { ack: message.revision };
    // Nothing is held yet, or this was applied before: only to be acknowledged.
    if (!group || message.revision < group.revision) {
      return changed(message.group, "update", answer);
    }
    const isRepeat = message.revision === group.revision && message.rows.length > 0;
    group.revision = message.revision;
    const isNewStructure = group.addSeries(message.series);
    group.addDevices(message.devices);
    const heardMs = message.time ?? nowMs;
    const rows = message.rows.map(readRow);
    for (const row of rows) keepRow(group, row, heardMs);
    return changed(message.group, "update", {
      ...answer,
      rows: isRepeat ? [] : rows,
      isNewStructure,
      late: message.late ?? [],
    });
  }

  applyReset(message) {
    this.pages.delete(message.group);
    if (message.reason === "forbidden" || message.reason === "gone") {
      this.groups.delete(message.group);
    }
    return changed(message.group, "reset", { reason: message.reason });
  }
}

// A reading counts as heard when it was read or when it came, whichever is earlier:
// a clock that runs ahead makes nothing look fresh, nor does one that sends old data.
function keepRow(group, row, heardMs) {
  group.rows.set(row.id, {
    time: row.time,
    value: row.value,
    heardMs: heardMs ? Math.min(row.time, heardMs) : row.time,
  });
}

function changed(group, kind, rest) {
  return {
    group, kind, ack: null, rows: [], isNewStructure: false, late: [], reason: null, ...rest,
  };
}
