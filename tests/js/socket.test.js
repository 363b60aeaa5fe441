import assert from "node:assert/strict";
import test from "node:test";
import { freshness } from "../../telemetry/static/telemetry/js/freshness.js";
import { LiveSocket } from "../../telemetry/static/telemetry/js/socket.js";
import { Store } from "../../telemetry/static/telemetry/js/store.js";

class FakeSocket {
  static all = [];

  constructor(url, subprotocol) {
    Object.assign(this, { url, subprotocol, sent: [], readyState: 0, isClosed: false });
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  hangUp(code) {
    this.onclose({ code });
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }
}

function setUp(options = {}) {
  const time = { now: 1_000_000 };
  FakeSocket.all = [];
  const live = new LiveSocket({
    url: "ws://hub/ws/live", groups: ["g"], store: new Store(), Socket: FakeSocket, clock: () => time.now, random: () => 0, ...options,
  });
  live.connect();
  const here = () => FakeSocket.all.at(-1);
  const welcome = (epoch = "e1") => {
    here().open();
    here().say({ type: "welcome", epoch, time: time.now });
  };
  return { live, time, here, welcome };
}

const SNAPSHOT = { type: "snapshot", group: "g", revision: 3, series: [[1, "d", "t", ""]], rows: [[1, 5, 1]], more: false };
const sentTypes = (socket) => socket.sent.map((message) => message.type);

test("it says hello, subscribes, and acknowledges each frame", () => {
  const { live, here, welcome } = setUp();
  welcome();
  assert.deepEqual(sentTypes(here()), ["hello", "ping", "subscribe"]);
  assert.equal(here().subprotocol, "hub.live.v1");
  here().say({ type: "subscribed", id: 1, groups: ["g"], refused: {} });
  assert.equal(live.isInSync, false);
  here().say(SNAPSHOT);
  assert.equal(live.isInSync, true);
  here().say({ type: "update", group: "g", revision: 4, time: 1, rows: [] });
  assert.deepEqual(here().sent.slice(-2), [
    { type: "ack", group: "g", revision: 3 }, { type: "ack", group: "g", revision: 4 },
  ]);
});

test("after a loss it comes back and resumes where it was", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  here().say(SNAPSHOT);
  here().hangUp(1006);
  assert.equal(live.phase, "waiting");
  assert.equal(live.isInSync, false);
  time.now += 600;
  live.tick();
  welcome();
  assert.deepEqual(here().sent.at(-1).resume, { epoch: "e1", revisions: { g: 3 } });
  here().say({ type: "subscribed", id: 2, groups: ["g"], refused: {} });
  assert.equal(live.isInSync, true);
});

test("another process has another epoch: in step only with its snapshot", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  here().say(SNAPSHOT);
  here().hangUp(1006);
  time.now += 600;
  live.tick();
  welcome("e2");
  assert.equal(here().sent.at(-1).resume.epoch, "e1");
  here().say({ type: "subscribed", id: 2, groups: ["g"], refused: {} });
  assert.equal(live.isInSync, false);
  here().say({ ...SNAPSHOT, revision: 1 });
  assert.equal(live.isInSync, true);
});

test("a silent hub is asked, then given up", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  here().say(SNAPSHOT);
  const old = here();
  time.now += 1_000;
  live.tick();
  assert.equal(old.sent.at(-1).type, "ping");
  time.now += 8_000;
  live.tick();
  assert.equal(old.isClosed, true);
  assert.equal(live.phase, "waiting");
});

test("a pong tells the hub's clock, also when the browser's is wrong", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  time.now += 40;
  here().say({ type: "pong", time: 9_000_020, echo: time.now - 40 });
  assert.equal(live.hubNow(), 9_000_040);
  assert.equal(live.rttMs, 40);
});

const ENDS = [[4401, "signed-out"], [4403, "refused"], [4406, "refused"], [1000, "stopped"], [4503, "waiting"], [1011, "waiting"]];
for (const [code, phase] of ENDS) {
  test(`after ${code} it is ${phase}`, () => {
    const { live, here, welcome } = setUp();
    welcome();
    here().hangUp(code);
    assert.equal(live.phase, phase);
  });
}

test("of several groups the refused ones are let go of, the others stay", () => {
  const { live, here, welcome } = setUp({ groups: ["g", "h", "i"] });
  welcome();
  here().say({ type: "subscribed", id: 1, groups: ["g"], refused: { h: "not_found" } });
  assert.equal(live.phase, "open");
  here().say({ type: "reset", group: "i", reason: "forbidden" });
  assert.equal(live.phase, "open");
  assert.deepEqual(live.groups, ["g"]);
  here().say({ type: "reset", group: "g", reason: "gone" });
  assert.equal(live.phase, "refused");
});

test("some metrics are asked for where a page shows only some", () => {
  const { here, welcome } = setUp({ metrics: ["temp"] });
  welcome();
  assert.deepEqual(here().sent.at(-1).metrics, ["temp"]);
});

test("without a group nothing has to come before it is in sync", () => {
  const { live, here, welcome } = setUp({ groups: [] });
  welcome();
  here().say({ type: "subscribed", id: 1, groups: [], refused: {} });
  assert.equal(live.isInSync, true);
});

test("a group that may not be seen is refused, not asked for again", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  here().say({ type: "subscribed", id: 1, groups: [], refused: { g: "not_found" } });
  assert.equal(live.phase, "refused");
  time.now += 60_000;
  live.tick();
  assert.equal(FakeSocket.all.length, 1);
});

test("asleep it lets go of the group, awake it takes it up where it was", () => {
  const { live, here, welcome } = setUp();
  welcome();
  here().say(SNAPSHOT);
  live.sleep();
  assert.equal(here().sent.at(-1).type, "unsubscribe");
  assert.equal(live.isInSync, false);
  live.wake();
  assert.deepEqual(here().sent.at(-1).resume, { epoch: "e1", revisions: { g: 3 } });
});

test("asleep it does not connect again", () => {
  const { live, time, here, welcome } = setUp();
  welcome();
  live.sleep();
  here().hangUp(1006);
  time.now += 60_000;
  live.tick();
  assert.equal(FakeSocket.all.length, 1);
  live.wake();
  assert.equal(FakeSocket.all.length, 2);
});

test("frames that are no messages are nothing", () => {
  const { live, here, welcome } = setUp();
  welcome();
  here().onmessage({ data: "{" });
  here().say({ type: "unheard-of" });
  assert.equal(live.phase, "open");
});

const NOW = 100_000;
const link = (rest) => ({ phase: "open", isInSync: true, heardMs: NOW - 100, startedMs: 0, ...rest });
const FRESH = [
  ["in step and just heard", {}, [true, false]],
  ["silent for 2.4 s", { heardMs: NOW - 2_400 }, [true, false]],
  ["silent for 2.5 s", { heardMs: NOW - 2_500 }, [false, true]],
  ["broken for a second", { phase: "waiting", isInSync: false, heardMs: NOW - 1_000 }, [false, false]],
  ["broken for two", { phase: "waiting", isInSync: false, heardMs: NOW - 2_000 }, [false, true]],
  ["signed out just now", { phase: "signed-out", isInSync: false }, [false, true]],
  ["no longer allowed", { phase: "refused", isInSync: false }, [false, true]],
  ["connected, not in step yet", { isInSync: false }, [false, false]],
  ["nothing heard yet, three seconds after the start", { phase: "connecting", isInSync: false, heardMs: null, startedMs: NOW - 3_000 }, [false, true]],
];
for (const [what, rest, [isLive, isStale]] of FRESH) {
  test(`${what}: ${isLive ? "live" : isStale ? "stale" : "neither"}`, () => {
    const found = freshness(link(rest), NOW);
    assert.deepEqual([found.isLive, found.isStale], [isLive, isStale]);
  });
}
