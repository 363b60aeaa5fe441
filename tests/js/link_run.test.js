import assert from "node:assert/strict";
import test from "node:test";
import { LinkRun } from "../../telemetry/static/telemetry/js/link_run.js";

// A hub and a clock of the test: time passes only where somebody waits.
class World {
  constructor({ tripMs = 20, bytesAMs = Infinity, ...hub } = {}) {
    Object.assign(this, { tripMs, bytesAMs, hub, now: 0, timers: [], sent: [], phases: [], points: [] });
    const world = this;
    this.Socket = class {
      constructor(url) {
        Object.assign(this, { url, readyState: 0 });
        world.socket = this;
        if (!hub.isDeaf) world.after(30, () => { this.readyState = 1; this.onopen?.(); });
        if (hub.refuses) world.after(40, () => hub.refuses(this));
      }

      send(frame) {
        world.sent.push(frame);
        const freeMs = Math.max(world.now, world.freeMs ?? 0) + frame.length / world.bytesAMs;
        world.freeMs = freeMs;
        const back = (hub.change ?? ((one) => one))(frame, world.sent.length);
        if (back) world.after(freeMs - world.now + world.tripMs, () => !this.isOver && this.onmessage?.({ data: back.buffer ?? back }));
        hub.heard?.(this, world.sent.length);
      }

      lose() {
        this.isOver = true;
        this.onclose({ code: 1006, reason: "" });
      }

      close() {
        this.isClosed = true;
      }
    };
    this.run = new LinkRun({
      url: "ws://hub/ws/echo", Socket: this.Socket, clock: () => this.now,
      wait: (ms) => new Promise((done) => this.after(ms, done)),
      onPhase: (phase) => this.phases.push(phase),
      onRoundTrip: (sentMs, ms) => this.points.push([sentMs, ms]),
    });
  }

  after(ms, call) {
    this.timers.push({ at: this.now + ms, call });
  }

  async measure(seconds = 1) {
    let result = null;
    const measuring = this.run.measure(seconds).then((one) => { result = one; });
    while (!result) {
      await new Promise(setImmediate);
      this.timers.sort((a, b) => a.at - b.at);
      const next = result ? null : this.timers.shift();
      if (!next) break;
      this.now = Math.max(this.now, next.at);
      next.call();
    }
    await measuring;
    return result;
  }
}

test("a good link: connection, round trips, data rate", async () => {
  const world = new World({ tripMs: 20, bytesAMs: 1_000 });
  const { connectMs, figures, rate, ending } = await world.measure(1);
  assert.equal(connectMs, 30);
  assert.equal(figures.roundTrips, 10);
  assert.ok(Math.abs(figures.p50 - 20) < 0.1);
  assert.ok(rate > 7e6 && rate <= 8e6, rate); // 1,000 bytes a ms are 8 Mbit/s.
  assert.equal(ending, null);
  assert.deepEqual(world.phases, ["connecting", "round-trips", "data"]);
  assert.equal(world.points.length, 10);
  assert.ok(world.socket.isClosed);
});

test("no more goes out than the hub takes: one first, ten a second, then 17 at once", async () => {
  const world = new World();
  await world.measure(2);
  assert.equal(world.sent.length, 1 + 20 + 1 + 16);
  assert.ok(world.sent.every((frame) => frame.length <= 65_536));
});

test("a hub that refuses says why, and nothing was measured", async () => {
  const world = new World({
    change: () => null,
    refuses: (socket) => {
      socket.onmessage({ data: '{"type":"error","code":"busy","message":"expected at most 32"}' });
      socket.onclose({ code: 4503, reason: "draining" });
    },
  });
  const { figures, rate, ending } = await world.measure();
  assert.deepEqual({ figures, rate, ending }, { figures: null, rate: null, ending: { code: 4503, reason: "expected at most 32" } });
});

test("an address that does not answer is given up", async () => {
  const world = new World({ isDeaf: true });
  const { connectMs, ending } = await world.measure();
  assert.equal(connectMs, null);
  assert.equal(ending.code, 1006);
  assert.equal(world.now, 10_000);
});

test("a connection that is lost in the middle keeps what it measured", async () => {
  const world = new World({ heard: (socket, count) => count === 7 && socket.lose() });
  const { figures, rate, ending } = await world.measure();
  assert.equal(figures.roundTrips, 5);
  assert.equal(rate, null);
  assert.equal(ending.code, 1006);
});

test("what does not come back in time does not count", async () => {
  const world = new World({ change: (frame, count) => (count % 2 ? frame : null) });
  const { figures } = await world.measure();
  assert.equal(figures.roundTrips, 5);
});

test("what comes back otherwise than it was ends the check", async () => {
  const world = new World({ change: (frame) => frame.map((byte, at) => (at === 9 ? byte ^ 1 : byte)) });
  const { figures, ending } = await world.measure();
  assert.equal(figures, null);
  assert.equal(ending.code, 0);
  assert.ok(world.socket.isClosed);
});

test("stopped, it has what it measured until then", async () => {
  const world = new World({ heard: (socket, count) => count === 5 && world.run.stop() });
  const { figures, rate, ending } = await world.measure();
  assert.equal(figures.roundTrips, 3);
  assert.deepEqual([rate, ending], [null, null]);
  assert.deepEqual(world.phases, ["connecting", "round-trips"]);
});
