// The bench of the group's page: stands in for the hub (socket, history) and measures
// what the page's own scripts take. The page itself is the real one, imported last.
//
// `bench` on the window: {frames: [ms of scripting], gaps: [ms between frames], heap:
// [[simulated hours, bytes]], readings, isOver, reset()}. With hours > 0 the page's clock
// is simulated and runs as fast as the frames are taken in.

const wanted = JSON.parse(document.getElementById("bench-config").textContent);
const SERIES = wanted.charts * wanted.devices;
const FRAME_MS = 1_000 / wanted.hz;
// Frames fed in one go, and then the page has a turn; in simulated time 5 s.
const BURST = 50;
const HEAP_EVERY_MS = 15 * 60_000;
const UNITS = ["°C", "%", "W", "bar", "V"];

const realNow = Date.now.bind(Date);
const startMs = realNow();
let simulatedMs = 0;
let spentMs = 0; // scripting since the last frame
const bench = { frames: [], gaps: [], heap: [], readings: 0, isOver: false, reset };
globalThis.bench = bench;

function reset() {
  bench.frames.length = 0;
  bench.gaps.length = 0;
}

// --- time ---------------------------------------------------------------------------

if (wanted.hours) Date.now = () => startMs + simulatedMs;

function timed(callback) {
  return (...args) => {
    const start = performance.now();
    try {
      return callback(...args);
    } finally {
      spentMs += performance.now() - start;
    }
  };
}

const nextFrame = requestAnimationFrame.bind(globalThis);
const everyMs = setInterval.bind(globalThis);
globalThis.requestAnimationFrame = (callback) => nextFrame(timed(callback));
globalThis.setInterval = (callback, ms) => everyMs(timed(callback), ms);

let lastFrame = null;
function count(at) {
  if (lastFrame !== null && bench.frames.length < 100_000) {
    bench.frames.push(spentMs);
    bench.gaps.push(at - lastFrame);
  }
  spentMs = 0;
  lastFrame = at;
  nextFrame(count);
}

// --- the hub ------------------------------------------------------------------------

const values = Float64Array.from({ length: SERIES }, (_, id) => 20 + 60 * (id % wanted.charts) / wanted.charts);

function step(id) {
  values[id] += (Math.random() - 0.5) * 0.4;
  return Math.round(values[id] * 100) / 100;
}

class Socket {
  constructor() {
    this.readyState = 0;
    Socket.open = this;
    setTimeout(() => { this.readyState = 1; this.onopen?.(); });
  }

  send(text) {
    const message = JSON.parse(text);
    const time = Date.now();
    if (message.type === "hello") this.answer({ type: "welcome", time, epoch: "bench", user: "bench", limits: {} });
    if (message.type === "ping") this.answer({ type: "pong", echo: message.echo, time });
    if (message.type === "subscribe") {
      this.answer({ type: "subscribed", id: message.id, groups: message.groups, refused: {} });
      setTimeout(() => this.receive(snapshot()));
    }
  }

  answer(message) {
    setTimeout(() => this.receive(message));
  }

  receive(message) {
    const data = JSON.stringify(message);
    timed(() => this.onmessage?.({ data }))();
  }

  close() {
    this.readyState = 3;
  }
}

let revision = 1;
const ids = Array.from({ length: SERIES }, (_, id) => id);
const deviceOf = (id) => `bench-${Math.floor(id / wanted.charts)}`;
const metricOf = (id) => `metric_${String(id % wanted.charts).padStart(3, "0")}`;
const unitOf = (id) => UNITS[id % wanted.charts % UNITS.length];

function snapshot() {
  const time = Date.now();
  return {
    type: "snapshot", group: "bench", revision, more: false,
    series: ids.map((id) => [id, deviceOf(id), metricOf(id), unitOf(id)]),
    devices: Array.from({ length: wanted.devices }, (_, at) => [`bench-${at}`, `Bench ${at}`, true, time, time, false, FRAME_MS / 1_000, false]),
    rows: ids.map((id) => [id, time, step(id)]),
  };
}

function feed() {
  revision += 1;
  const time = Date.now();
  bench.readings += SERIES;
  Socket.open.receive({ type: "update", group: "bench", revision, time, rows: ids.map((id) => [id, time, step(id)]) });
}

// What the hub would say of a range at this rate: summaries, at most two a pixel.
async function answer(address) {
  const query = new URL(address, location.href).searchParams;
  const [fromMs, toMs, points] = ["from", "to", "points"].map((name) => Number(query.get(name)));
  const until = Math.min(toMs, Date.now());
  const width = Number(query.get("width")) || Math.max(100, Math.ceil((toMs - fromMs) / points / 100) * 100);
  const starts = [];
  for (let start = Math.floor(fromMs / width) * width; start < until; start += width) starts.push(start);
  const series = {};
  for (const id of ids.filter((one) => !query.has("name") || metricOf(one) === query.get("name"))) {
    const mean = starts.map(() => step(id));
    series[id] = {
      starts, mean, min: mean.map((one) => one - 0.2), max: mean.map((one) => one + 0.2),
      count: starts.map(() => Math.max(1, Math.round(width / FRAME_MS))), last: [until - 1, mean.at(-1)], before: null,
    };
  }
  const body = { from: fromMs, to: toMs, width_ms: width, resolution: 0, count: 0, missing: [], series };
  return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
}

// --- run ----------------------------------------------------------------------------

const breath = () => new Promise((resolve) => { nextFrame(() => setTimeout(resolve)); });

function noteHeap() {
  globalThis.gc?.();
  bench.heap.push([simulatedMs / 3_600_000, performance.memory?.usedJSHeapSize ?? 0]);
}

async function soak() {
  while (!Socket.open?.onmessage || !document.querySelector("hub-chart")) await breath();
  let nextHeapMs = 0;
  while (simulatedMs < wanted.hours * 3_600_000) {
    if (simulatedMs >= nextHeapMs) {
      noteHeap();
      nextHeapMs += HEAP_EVERY_MS;
    }
    for (let at = 0; at < BURST; at += 1) {
      simulatedMs += FRAME_MS;
      feed();
    }
    await breath();
  }
  noteHeap();
  bench.isOver = true;
}

globalThis.WebSocket = Socket;
const fetched = fetch.bind(globalThis);
globalThis.fetch = (address, options) => (String(address).startsWith("/bench/") ? answer(address) : fetched(address, options));
nextFrame(count);
await import(wanted.page);
if (wanted.hours) soak();
else everyMs(feed, FRAME_MS);
