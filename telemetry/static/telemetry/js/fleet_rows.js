// What a fleet page shows of all devices, as its address says: filter, order, window.
// Pure. The hub does the same without a script (fleet/query.py), with the same cases.

import { byName } from "./format.js";

// Problems first.
const RANKS = { offline: 0, late: 1, live: 2, paused: 3, new: 4 };
export const SORTS = ["state", "name", "group", "m1", "m2", "last"];
export const MOST_ROWS = 60;

const VALUES = {
  state: (row) => RANKS[row.state],
  name: (row) => row.name,
  group: (row) => row.groups[0]?.name ?? null,
  m1: (row) => valueOf(row.cells[0]),
  m2: (row) => valueOf(row.cells[1]),
  last: (row) => row.lastReadingMs,
};

function valueOf(cell) {
  const value = cell?.value ?? null;
  return typeof value === "boolean" ? Number(value) : value;
}

// The address → {q, status, group, sort, view, m}; what is no choice is as if not there.
export function readView(search) {
  const asked = new URLSearchParams(search);
  const one = (name, allowed, usual) => (allowed.includes(asked.get(name)) ? asked.get(name) : usual);
  return {
    q: (asked.get("q") ?? "").slice(0, 100),
    status: one("status", Object.keys(RANKS), ""),
    group: asked.get("group") ?? "",
    sort: one("sort", SORTS.flatMap((name) => [name, `-${name}`]), "state"),
    view: one("view", ["tiles"], "table"),
    m: [...new Set(asked.getAll("m").join(",").split(",").filter(Boolean))].slice(0, 2),
  };
}

// And back; the usual is left out.
export function writeView({ q, status, group, sort, view, m }) {
  const said = new URLSearchParams();
  const pairs = {
    q: q.trim(), status, group, sort: sort === "state" ? "" : sort, view: view === "table" ? "" : view, m: m.join(","),
  };
  for (const [name, text] of Object.entries(pairs)) if (text) said.set(name, text);
  const query = said.toString().replaceAll("%2C", ",");
  return query ? `?${query}` : "";
}

// A click on a column's head: this way, then the other.
export function nextSort(sort, column) {
  return sort === column ? `-${column}` : column;
}

export function select(rows, { q, status, group, sort }) {
  const words = q.toLowerCase().split(/\s+/u).filter(Boolean);
  return arrange(rows.filter((row) => (
    (!status || row.state === status)
    && (!group || row.groups.some(({ slug }) => slug === group))
    && words.every((word) => row.text.includes(word))
  )), sort);
}

// In order; what has no value comes last, whichever way; ties by name.
export function arrange(rows, sort) {
  const isDown = sort.startsWith("-");
  const read = VALUES[isDown ? sort.slice(1) : sort];
  const keyed = rows.map((row) => ({ row, value: read(row) }));
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || ties(a.row, b.row);
    return compare(a.value, b.value) * (isDown ? -1 : 1) || ties(a.row, b.row);
  });
  return keyed.map(({ row }) => row);
}

// Numbers before texts: one metric may be both.
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return byName(a, b);
}

// Looked up once a row: a collator is slow, and a fleet is sorted every few seconds.
export function rankNames(rows) {
  const ordered = [...rows].sort((a, b) => byName(a.name, b.name) || (a.slug < b.slug ? -1 : 1));
  ordered.forEach((row, at) => { row.place = at; });
}

function ties(a, b) {
  return a.place - b.place;
}

// What is searched in.
export function searchText({ name, slug, tags, serial }) {
  return `${name}\n${slug}\n${tags}\n${serial}`.toLowerCase();
}

// How many rows would move, come or go if `wanted` took the place of `shown`.
export function countMoves(shown, wanted) {
  const places = new Map(shown.map((row, at) => [row.slug, at]));
  const order = wanted.filter((row) => places.has(row.slug)).map((row) => places.get(row.slug));
  return shown.length - order.length + wanted.length - longestRise(order);
}

// The length of the longest rising part: what may stay where it is.
function longestRise(numbers) {
  const ends = [];
  for (const number of numbers) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] < number) low = middle + 1;
      else high = middle;
    }
    ends[low] = number;
  }
  return ends.length;
}

// Which of `count` rows of one height are to be in the page: [from, to[. topPx: where
// the first row is, above 0 when it has been scrolled past.
export function windowOf({ topPx, viewPx, rowPx, count }) {
  const seen = Math.ceil(viewPx / rowPx) + 1;
  const most = Math.max(MOST_ROWS, seen);
  const spare = Math.floor((most - seen) / 2);
  const first = Math.floor(topPx / rowPx) - spare;
  const from = Math.max(0, Math.min(first, count - most));
  return [from, Math.min(count, from + most)];
}
