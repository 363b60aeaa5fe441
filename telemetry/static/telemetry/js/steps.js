// Moving from reading to reading along the columns of a chart. Pure.

// The index that is `steps` readings (a place where any line has a value) from `at` on,
// within [low, high]; the last one on the way there; null where there is none at all.
export function stepFrom(columns, at, steps, [low, high]) {
  const by = Math.sign(steps);
  let found = null;
  let left = Math.abs(steps);
  for (let place = at + by; left > 0 && place >= low && place <= high; place += by) {
    if (!hasValue(columns, place)) continue;
    found = place;
    left -= 1;
  }
  return found;
}

function hasValue(columns, place) {
  for (let column = 1; column < columns.length; column += 1) {
    if (typeof columns[column][place] === "number") return true;
  }
  return false;
}

// The index whose time is nearest to this one; times ascending.
export function nearestPlace(times, seconds) {
  let [low, high] = [0, times.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle;
    else high = middle;
  }
  return Math.abs((times[high] ?? Infinity) - seconds) < Math.abs((times[low] ?? Infinity) - seconds) ? high : low;
}
