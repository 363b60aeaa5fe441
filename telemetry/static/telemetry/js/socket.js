// The page's one WebSocket: connects, resumes, acknowledges, notices silence.
//
// Events: "change" (detail: what the store said of a message), "link" (the state
// moved). Sockets, clock and chance are handed in, so that a test can drive them.

import { ack, afterClose, decode, hello, ping, SUBPROTOCOL, subscribe, unsubscribe } from "./protocol.js";

const IDLE_MS = 800; // After this silence the hub is asked whether it is there.
const DEAD_MS = 8_000; // After this silence the socket is given up.
const GOOD_MS = 60_000; // A connection this old makes the backoff start afresh.
const CLOCK_MS = 15_000; // How often the hub's clock is asked for.
const KEPT = 20; // Latencies that the median is taken of.

// This machine's time, ms, which nobody puts forward or back: not Date.now, by which a
// page would wait an hour for what is overdue, or take an hour for silence.
export const steadyMs = () => performance.timeOrigin + performance.now();

export const socketUrl = (path) => location.origin.replace("http", "ws") + path;

export class LiveSocket extends EventTarget {
  // groups: what is followed; metrics: names, null for all.
  constructor({ url, groups, store, metrics = null, intervalMs = 250, Socket = globalThis.WebSocket, clock = steadyMs, random = Math.random }) {
    super();
    Object.assign(this, { url, groups, store, metrics, intervalMs, Socket, clock, random });
    this.socket = null;
    // "connecting", "open", "waiting", "signed-out", "refused", "stopped", "asleep"
    this.phase = "waiting";
    this.code = 0;
    this.isInSync = false;
    this.heardMs = null; // this browser's clock
    this.retryAtMs = null;
    this.offsetMs = 0; // hub clock − this browser's
    this.rttMs = null;
    this.latencies = [];
    this.attempt = 0;
    this.afterMs = 0;
    this.subscriptions = 0;
    this.pingedMs = -Infinity;
    this.clockedMs = -Infinity;
  }

  // Call this a few times a second: time alone changes what is true.
  tick() {
    const now = this.clock();
    const isDue = this.retryAtMs !== null && now >= this.retryAtMs && !this.isAsleep;
    if (isDue && (this.phase === "waiting" || this.phase === "refused")) this.connect();
    if (this.phase !== "open" && this.phase !== "connecting") return;
    const silentMs = now - Math.max(this.heardMs ?? 0, this.openedMs);
    if (silentMs > DEAD_MS) return this.end(1006);
    if (this.phase !== "open") return;
    const isIdle = silentMs > IDLE_MS && now - this.pingedMs > IDLE_MS;
    if (isIdle || now - this.clockedMs > CLOCK_MS) this.ping(now);
  }

  connect() {
    this.openedMs = this.clock();
    this.retryAtMs = null;
    this.afterMs = 0;
    const socket = new this.Socket(this.url, SUBPROTOCOL);
    this.socket = socket;
    socket.onopen = () => socket.send(hello(this.intervalMs));
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.end(event.code);
    this.move("connecting");
  }

  retryNow() {
    if (this.phase === "open" || this.phase === "connecting") return;
    this.connect();
  }

  // Nobody looks: the groups are let go of, the place in them is kept.
  sleep() {
    if (this.phase === "open") this.send(unsubscribe(this.groups));
    this.isAsleep = true;
    this.isInSync = false;
    this.dispatchEvent(new Event("link"));
  }

  wake() {
    if (!this.isAsleep) return;
    this.isAsleep = false;
    if (this.phase === "open") this.subscribe();
    else this.retryNow();
  }

  // The hub's clock, ms.
  hubNow() {
    return this.clock() + this.offsetMs;
  }

  // From a frame's making to its arrival here: the median of the last ones, or null.
  get latencyMs() {
    if (this.rttMs === null || !this.latencies.length) return null;
    const sorted = [...this.latencies].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  receive(text) {
    const message = decode(text);
    if (message === null) return;
    const now = this.clock();
    this.heardMs = now;
    if (message.type === "welcome") this.welcome(message, now);
    else if (message.type === "pong") this.pong(message, now);
    else if (message.type === "bye") this.afterMs = message.after_ms ?? 0;
    else if (message.type === "subscribed") this.subscribed(message);
    else this.take(message, now);
  }

  welcome(message, now) {
    this.resumed = this.store.resume(this.groups);
    this.isSameEpoch = this.resumed?.epoch === message.epoch;
    this.store.apply(message);
    if (this.rttMs === null) this.offsetMs = message.time - now;
    this.move("open");
    this.ping(now);
    if (!this.isAsleep) this.subscribe();
  }

  subscribe() {
    this.subscriptions += 1;
    const resume = this.store.resume(this.groups);
    // The epoch of what is held, not of the process that was just met.
    if (resume && this.resumed && !this.isSameEpoch) resume.epoch = this.resumed.epoch;
    this.send(subscribe(this.subscriptions, this.groups, resume, this.metrics));
  }

  subscribed(message) {
    for (const group of Object.keys(message.refused ?? {})) this.lose(group);
    if (this.phase === "refused") return this.drop();
    // Nothing changed since: no frame has to come before the page is true again.
    if ((this.isSameEpoch || !this.groups.length) && !this.isInSync) this.setInSync();
  }

  // One of several groups is let go of; without the last there is nothing to show.
  lose(group) {
    if (this.groups.length === 1) return this.move("refused");
    this.groups = this.groups.filter((each) => each !== group);
    this.store.groups.delete(group);
  }

  pong(message, now) {
    if (typeof message.echo !== "number") return;
    this.rttMs = now - message.echo;
    if (typeof message.time === "number") this.offsetMs = message.time - (now + message.echo) / 2;
  }

  take(message, now) {
    const change = this.store.apply(message, now + this.offsetMs);
    if (message.type === "update" && message.rows?.length) {
      this.latencies.push(Math.max(0, now + this.offsetMs - message.time));
      if (this.latencies.length > KEPT) this.latencies.shift();
    }
    if (change === null) return;
    if (change.ack !== null) this.send(ack(change.group, change.ack));
    if (change.reason === "forbidden" || change.reason === "gone") this.lose(change.group);
    if (change.kind === "reset") this.isInSync = false;
    this.dispatchEvent(new CustomEvent("change", { detail: change }));
    if (change.kind !== "reset" && !this.isInSync && !this.isAsleep) this.setInSync();
  }

  setInSync() {
    this.isInSync = true;
    this.isSameEpoch = true;
    this.dispatchEvent(new Event("link"));
  }

  end(code) {
    this.drop();
    this.code = code;
    const now = this.clock();
    if (this.phase === "open" && now - this.openedMs > GOOD_MS) this.attempt = 0;
    const wasRefused = this.phase === "refused";
    const { state, waitMs } = afterClose(code, {
      attempt: this.attempt, afterMs: this.afterMs, random: this.random,
    });
    this.attempt += 1;
    this.retryAtMs = waitMs === null ? null : now + waitMs;
    this.move(wasRefused ? "refused" : state === "retry" ? "waiting" : state);
  }

  drop() {
    this.isInSync = false;
    this.store.forgetPages();
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // A dead network never answers a close: nothing is waited for.
    socket.close();
  }

  ping(now) {
    this.pingedMs = now;
    this.clockedMs = now;
    this.send(ping(now));
  }

  send(text) {
    if (this.socket?.readyState === 1) this.socket.send(text);
  }

  move(phase) {
    this.phase = phase;
    this.dispatchEvent(new Event("link"));
  }
}
