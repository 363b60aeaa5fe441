// One measurement of the link on /ws/echo: connection, round trips, data rate. Socket,
// clock and waiting are handed in, so that a test can drive them; no DOM.

import { BURST_MESSAGES, bitsPerSecond, burstBytes, figures, GUESS_BYTES } from "./link_figures.js";

const EVERY_MS = 100; // Half of the hub's limit.
const ROUND_TRIP_BYTES = 32;
const OPEN_MS = 10_000;
const LATE_MS = 5_000; // After the last one was sent: what is not back does not count.
const BURST_MS = 10_000;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class LinkRun {
  // onPhase(phase): "connecting", "round-trips", "data". onRoundTrip(sentMs, ms): one came
  // back; sentMs counts from the first one.
  constructor({ url, Socket = globalThis.WebSocket, clock = () => performance.now(), wait = sleep, onPhase, onRoundTrip }) {
    Object.assign(this, { url, Socket, clock, wait, onPhase, onRoundTrip });
    this.sent = new Map(); // number → {frame, atMs, back}
    this.number = 0;
    this.ending = null; // {code, reason}: why it ended before its end
    this.ended = new Promise((end) => { this.end = end; });
  }

  // → {connectMs, figures, rate, ending}; figures and rate may be null.
  async measure(seconds) {
    this.onPhase("connecting");
    const started = this.clock();
    const socket = new this.Socket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    const open = new Promise((done) => { socket.onopen = () => done(true); });
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.close(event.code, event.reason);
    const isOpen = await this.within(open, OPEN_MS);
    this.connectMs = isOpen ? this.clock() - started : null;
    if (!isOpen) this.close(1006);
    // The hub looks up who it is before it echoes anything: that is no round trip.
    const [first] = isOpen ? await this.back([this.send(this.frame(ROUND_TRIP_BYTES))], LATE_MS) : [];
    const found = first ? figures(await this.measureRoundTrips(seconds)) : null;
    const rate = found && !this.ending && !this.isStopped ? await this.measureRate(found.p50) : null;
    this.hangUp();
    return { connectMs: this.connectMs, figures: found, rate, ending: this.ending };
  }

  // The user has seen enough: what came back until now is the result.
  stop() {
    this.isStopped = true;
    this.hangUp();
    this.end();
  }

  async measureRoundTrips(seconds) {
    this.onPhase("round-trips");
    const started = this.clock();
    const trips = [];
    for (let at = 0; at < Math.round(seconds * 1000 / EVERY_MS); at += 1) {
      await this.wait(Math.max(0, started + at * EVERY_MS - this.clock()));
      // A hidden tab is woken up once a second: fewer round trips, not a longer check.
      if (this.ending || this.isStopped || this.clock() - started >= seconds * 1000) break;
      const sentMs = this.clock() - started;
      const back = this.send(this.frame(ROUND_TRIP_BYTES));
      trips.push(back);
      back.then(({ ms }) => this.onRoundTrip(sentMs, ms));
    }
    return (await this.back(trips, LATE_MS)).map(({ ms }) => ms);
  }

  // Bits a second of a burst, there and back at once; null: too few came back.
  async measureRate(p50) {
    this.onPhase("data");
    const [guess] = await this.back([this.send(this.frame(GUESS_BYTES))], BURST_MS);
    if (!guess) return null;
    const bytes = burstBytes(guess.ms, p50);
    const frames = Array.from({ length: BURST_MESSAGES }, () => this.frame(bytes));
    const started = this.clock();
    const back = await this.back(frames.map((frame) => this.send(frame)), BURST_MS);
    // Of one or two the round trip is most of the time.
    if (back.length <= 2) return null;
    return bitsPerSecond(back.length * bytes, Math.max(...back.map(({ atMs }) => atMs)) - started);
  }

  // What has come back of these in time: [{ms, atMs}].
  async back(waiting, ms) {
    const done = [];
    const all = waiting.map((each, at) => each.then((came) => { done[at] = came; }));
    await this.within(Promise.all(all), ms);
    return done.filter(Boolean);
  }

  // The promise's value; undefined: the time or the check was over first.
  within(promise, ms) {
    return Promise.race([promise, this.wait(ms).then(() => undefined), this.ended]);
  }

  // A numbered message that nothing on the way can shorten.
  frame(bytes) {
    this.number += 1;
    const frame = crypto.getRandomValues(new Uint8Array(bytes));
    new DataView(frame.buffer).setUint32(0, this.number);
    return frame;
  }

  // Resolves with {ms: how long it took there and back, atMs: when it was back}.
  send(frame) {
    const number = new DataView(frame.buffer).getUint32(0);
    return new Promise((back) => {
      this.sent.set(number, { frame, atMs: this.clock(), back });
      if (this.socket.readyState === 1) this.socket.send(frame);
    });
  }

  receive(frame) {
    // A text is the hub's own word; the reason comes with the close as well.
    if (typeof frame === "string") return this.hear(frame);
    const atMs = this.clock();
    const came = new Uint8Array(frame);
    const number = came.length >= 4 ? new DataView(frame).getUint32(0) : 0;
    const sent = this.sent.get(number);
    this.sent.delete(number);
    if (sent && isSame(sent.frame, came)) return sent.back({ ms: atMs - sent.atMs, atMs });
    this.close(0);
    return this.hangUp();
  }

  hear(text) {
    try {
      const message = JSON.parse(text);
      if (message.type === "error") this.said = message.message;
    } catch {
      // Not the hub's: nobody else sends texts here.
    }
  }

  close(code, reason = "") {
    if (this.isStopped) return;
    this.ending ??= { code, reason: this.said ?? reason };
    this.end();
  }

  hangUp() {
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}

// A loop: it compares a megabyte while the burst comes back.
function isSame(one, other) {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}
