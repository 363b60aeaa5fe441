// All devices of a fleet page: what /fleet.json said, kept true by the live socket.
// Pure; times are the hub's clock, ms.

import { Decimals } from "./format.js";
import { judge } from "./presence.js";
import { rankNames, searchText } from "./fleet_rows.js";

const PAUSED = 1;
const ONLINE = 2;
const ESTIMATED = 4;
const UNFOLLOWED = 8;
const MOST_METRICS = 32; // of one subscription

// The metrics to subscribe to, null for all; before: those of now. What was followed stays
// as long as there is room: what is faster at one look and not at the next moves nothing.
export function metricsOf(followed, before) {
  // Nobody has sent yet: whatever comes first is to be heard.
  if (!followed.length) return null;
  if (!before) return followed;
  if (followed.every((name) => before.includes(name))) return before;
  return [...new Set([...followed, ...before])].slice(0, MOST_METRICS);
}

export class Fleet {
  constructor() {
    this.rows = [];
    this.bySlug = new Map();
    this.cells = new Map(); // series id → [row, column]
    this.columns = [];
    this.groups = [];
    this.followed = [];
    this.decimals = [];
    // A device or series came that the hub has not yet told of.
    this.isIncomplete = false;
  }

  // Take the hub's whole answer; what the socket has said since stays.
  take(answer) {
    const before = this.bySlug;
    this.nowMs = answer.now;
    this.columns = answer.columns.map(([name, title, unit, kind, decimals]) => ({ name, title, unit, kind, decimals }));
    this.groups = answer.groups.map(([slug, name]) => ({ slug, name }));
    this.followed = answer.followed;
    this.rows = answer.slug.map((slug, at) => this.read(answer, slug, at));
    this.bySlug = new Map(this.rows.map((row) => [row.slug, row]));
    this.cells = new Map();
    this.decimals = this.columns.map(() => new Decimals());
    for (const row of this.rows) {
      keepNewer(row, before.get(row.slug));
      row.cells.forEach((cell, at) => {
        if (!cell) return;
        this.cells.set(cell.id, [row, at]);
        this.decimals[at].note(cell.value);
      });
    }
    rankNames(this.rows);
    this.isIncomplete = false;
  }

  read(answer, slug, at) {
    const ago = (ms) => (ms === null ? null : answer.now - ms);
    const flags = answer.flags[at];
    const row = {
      slug,
      name: answer.name[at] || slug,
      serial: answer.serial[at] ?? "",
      tags: answer.tags[at] ?? "",
      groups: answer.in[at].map((place) => this.groups[place]),
      isPaused: Boolean(flags & PAUSED),
      isOnline: Boolean(flags & ONLINE),
      isEstimated: Boolean(flags & ESTIMATED),
      // Whether its readings come live, as long as a group has it.
      isTold: !(flags & UNFOLLOWED),
      changedMs: ago(answer.changed[at]),
      lastSeenMs: ago(answer.seen[at]),
      lastReadingMs: ago(answer.last[at]),
      periodMs: answer.period[at],
      cells: answer.cells.map((cells, column) => (cells.id[at] === null ? null : {
        id: cells.id[at],
        value: cells.value[at],
        heardMs: ago(cells.heard[at]),
        unit: cells.unit[at] ?? this.columns[column].unit,
      })),
      // What the socket says of it; null: no group that is followed has it.
      device: null,
      knownMs: answer.now,
      status: null, // what presence.js said at the last look
      state: "new",
    };
    row.text = searchText(row);
    return row;
  }

  // A change that the store has taken in; group: its state there.
  put(change, group) {
    for (const device of group.devices.values()) this.putDevice(device);
    for (const { id, value } of change.rows) {
      const { device, metric, unit } = group.series.get(id) ?? {};
      const row = this.bySlug.get(device);
      if (!row) continue;
      const { heardMs } = group.rows.get(id);
      if (row.lastReadingMs === null || heardMs > row.lastReadingMs) row.lastReadingMs = heardMs;
      const column = this.columns.findIndex(({ name }) => name === metric);
      if (column < 0) continue;
      row.cells[column] = { id, value, heardMs, unit };
      this.cells.set(id, [row, column]);
      this.decimals[column].note(value);
    }
  }

  putDevice(device) {
    const row = this.bySlug.get(device.slug);
    if (!row) {
      this.isIncomplete = true;
      return;
    }
    if (row.device === device) return;
    row.device = device;
    const { name, isOnline, changedMs, isPaused } = device;
    Object.assign(row, { name, isOnline, changedMs, isPaused });
    row.lastSeenMs = device.lastSeenMs ?? row.lastSeenMs;
    if (device.periodMs !== null) Object.assign(row, { periodMs: device.periodMs, isEstimated: device.isEstimated });
  }

  // groups: the store's state of all that are followed. Of who is in none of them any
  // more, nothing will come: the hub is to be asked whether there still is such a device.
  letGo(groups) {
    for (const row of this.rows) {
      if (row.device === null || groups.some(({ devices }) => devices.has(row.slug))) continue;
      row.device = null;
      this.isIncomplete = true;
    }
  }

  // Whether all that can change a row's state comes live; else it is known as of the answer.
  isFollowed(row) {
    return row.device !== null && (row.isTold || row.isPaused);
  }

  // Time has gone on; knownMs: the last moment of which this page knows.
  judgeAll(knownMs) {
    for (const row of this.rows) {
      row.status = judge(row, this.knownMsOf(row, knownMs), row.status);
      row.state = row.status.state;
    }
  }

  // Up to when something is known of a row: followed, until now.
  knownMsOf(row, knownMs) {
    return this.isFollowed(row) ? knownMs : Math.min(row.knownMs, knownMs);
  }
}

// What came live since the hub made its answer.
function keepNewer(row, old) {
  if (!old) return;
  row.status = old.status;
  // Of who is let go of the answer alone is true.
  if (!old.device) return;
  row.device = old.device;
  Object.assign(row, { isOnline: old.isOnline, changedMs: old.changedMs, isPaused: old.isPaused });
  if ((old.lastReadingMs ?? 0) > (row.lastReadingMs ?? 0)) row.lastReadingMs = old.lastReadingMs;
  row.cells.forEach((cell, at) => {
    const was = old.cells.find((each) => each?.id === cell?.id);
    if (cell && (was?.heardMs ?? 0) > (cell.heardMs ?? 0)) row.cells[at] = was;
  });
}
