// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomClient } from "../room_client.js";
import { status } from "./sample.js";

/** A line and a browser made of lists: timers run when the test says so. */
class World {
  /** @type {any[]} */ events = [];
  /** @type {any[]} */ sockets = [];
  /** @type {any[]} */ streams = [];
  /** @type {{path: string, init: any}[]} */ asked = [];
  /** @type {{run: () => void, ms: number}[]} */ timers = [];
  /** @type {((path: string) => {status: number, body?: any, retryAfter?: string} | null)} */
  answer = () => ({ status: 200, body: status() });
  hidden = false;
  time = 0;

  client = new RoomClient("http://line", (event) => this.events.push(event), /** @type {any} */ ({
    fetch: (/** @type {string} */ url, /** @type {any} */ init) => this.fetch(url, init),
    openSocket: () => this.openSocket(),
    openStream: () => this.openStream(),
    setTimer: (/** @type {() => void} */ run, /** @type {number} */ ms) => {
      const timer = { run, ms };
      this.timers.push(timer);
      return timer;
    },
    clearTimer: (/** @type {any} */ timer) => {
      this.timers = this.timers.filter((other) => other !== timer);
    },
    now: () => this.time, random: () => 0.5, isHidden: () => this.hidden, isOnline: () => true,
  }));

  openSocket = () => this.#line(this.sockets);
  openStream = () => this.#line(this.streams);
  fetch = async (/** @type {string} */ url, /** @type {any} */ init) => {
    const path = url.slice("http://line".length);
    this.asked.push({ path, init });
    const found = this.answer(path);
    if (found === null) throw new TypeError("no network");
    return {
      ok: found.status < 300, status: found.status, json: async () => found.body,
      headers: new Headers(found.retryAfter ? { "Retry-After": found.retryAfter } : {}),
    };
  };

  /** @param {any[]} list */
  #line(list) {
    const line = {
      closed: false, said: /** @type {string[]} */ ([]), heard: /** @type {any} */ ({}),
      close() { this.closed = true; },
      /** @param {string} text */
      send(text) { this.said.push(text); },
      /** @param {string} name @param {(message: any) => void} run */
      addEventListener(name, run) { this.heard[name] = run; },
    };
    list.push(line);
    return line;
  }

  /** Runs the timer that comes next, and lets answers arrive. Returns its span. */
  async next() {
    const timer = this.timers.reduce((first, other) => (other.ms < first.ms ? other : first));
    this.timers = this.timers.filter((other) => other !== timer);
    this.time += timer.ms;
    timer.run();
    await this.settle();
    return timer.ms;
  }

  /** A socket speaks. @param {object} frame */
  says(frame) {
    this.sockets.at(-1).onmessage({ data: JSON.stringify(frame) });
  }

  async settle() {
    for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
  }

  /** @param {string} type */
  last(type) {
    return this.events.findLast((event) => event.type === type);
  }
}

test("a join is repeated with the same nonce until the line answers", async () => {
  const world = new World();
  const answers = [null, { status: 503, retryAfter: "7" }, { status: 201, body: status({ usersAhead: 9 }) }];
  world.answer = () => /** @type {any} */ (answers.shift());
  const joined = world.client.join("abc");
  await world.settle();
  await world.next();
  assert.equal(world.last("unavailable")?.type, "unavailable");
  assert.ok(await world.next() >= 7000, "waits as long as the line asked");
  assert.equal(await joined, true);
  assert.deepEqual(world.asked.map(({ init }) => JSON.parse(init.body).nonce), ["abc", "abc", "abc"]);
  assert.equal(world.last("status").status.usersAhead, 9);
});

test("a refusal is a wrong code only where it says so", async () => {
  for (const [body, told] of [
    [{ code: "forbidden", field: "accessCode" }, "forbidden"],
    [{ code: "forbidden" }, "address"],
    [null, "other"],
  ]) {
    const world = new World();
    world.answer = () => ({ status: 403, body });
    assert.equal(await world.client.join("abc"), false);
    assert.equal(world.last("refused").code, told);
  }
});

test("a refused join is told and not repeated", async () => {
  const world = new World();
  world.answer = () => ({ status: 410, body: { code: "room-closed" } });
  assert.equal(await world.client.join("abc"), false);
  assert.deepEqual([world.last("refused").code, world.asked.length], ["room-closed", 1]);
});

test("frames of the socket become events", () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onmessage({ data: "not json" });
  world.sockets[0].onmessage({ data: JSON.stringify(status({ usersAhead: 3 })) });
  assert.equal(world.last("linked").how, "live");
  assert.equal(world.last("status").status.usersAhead, 3);
});

test("a reconnect order is obeyed after the time it names", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.sockets[0].onmessage({ data: '{"type":"reconnect","afterMs":1200}' });
  assert.equal(world.sockets[0].closed, true);
  const waited = await world.next();
  assert.ok(waited >= 1200 && waited <= 1500, `${waited}`);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.last("linkLost"), undefined, "it was no failure");
});

/** Sockets that fail at once, until the client takes another way. @param {World} world */
async function withoutSockets(world) {
  world.client.listen();
  for (let failure = 0; failure < 2; failure += 1) {
    world.sockets.at(-1).onclose();
    await world.next();
    await world.next();
  }
}

/** @param {World} world */
async function withoutStreams(world) {
  await withoutSockets(world);
  for (let failure = 0; failure < 2; failure += 1) {
    world.streams.at(-1).onerror();
    await world.next();
    if (failure === 0) await world.next();
  }
}

test("without sockets it listens to a stream, without streams it polls", async () => {
  const world = new World();
  await withoutStreams(world);
  assert.deepEqual([world.sockets.length, world.streams.length], [2, 2]);
  assert.equal(world.last("linked").how, "polling");
  assert.ok(world.last("linked").pollMs >= 5000);
});

test("where nothing answers, sockets are not to blame", async () => {
  const world = new World();
  world.answer = () => null;
  world.client.listen();
  for (let failure = 0; failure < 4; failure += 1) {
    world.sockets.at(-1).onclose();
    await world.next();
    world.answer = () => ({ status: 200, body: status() });
    await world.next();
    await world.next();
    world.answer = () => null;
  }
  assert.equal(world.streams.length, 0);
});

test("what the browser does not have is not tried twice", async () => {
  const world = new World();
  world.openSocket = () => { throw new ReferenceError("WebSocket is not defined"); };
  world.openStream = world.openSocket;
  world.client.listen();
  for (let step = 0; step < 3; step += 1) await world.next();
  assert.equal(world.last("linked").how, "polling");
});

test("a browser that cannot ask at all is not taken for a silent line", async () => {
  const world = new World();
  world.fetch = () => { throw new ReferenceError("fetch is not defined"); };
  await assert.rejects(world.client.join("abc"), ReferenceError);
});

test("it needs no AbortSignal.timeout, and waits for no answer for ever", async () => {
  const world = new World();
  const timeout = AbortSignal.timeout;
  // @ts-expect-error what old browsers lack
  delete AbortSignal.timeout;
  try {
    assert.equal(await world.client.join("abc"), true);
    world.fetch = () => new Promise(() => {});
    void world.client.join("abc");
    await world.settle();
    assert.equal(await world.next(), 15_000);
    assert.equal(world.last("joinFailed").type, "joinFailed");
  } finally {
    AbortSignal.timeout = timeout;
  }
});

test("the page of a network's login is no answer of the line", async () => {
  const world = new World();
  world.answer = () => ({ status: 200, body: null });
  void world.client.join("abc");
  await world.settle();
  assert.equal(world.last("joinFailed").type, "joinFailed");
});

test("after a lost socket the numbers come by a poll before the next attempt", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.sockets[0].onclose();
  assert.equal(world.last("linkLost").offline, false);
  await world.next();
  assert.equal(world.asked.at(-1)?.path, "/place");
  await world.next();
  assert.equal(world.sockets.length, 2);
});

test("only what is heard shows that a connection lives", () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen?.();
  assert.equal(world.last("linked"), undefined);
  world.says({ type: "heartbeat" });
  assert.equal(world.last("linked").how, "live");
  assert.equal(world.last("status"), undefined, "a heartbeat is no status");
});

test("ten silent seconds bring a new socket at once, and a poll beside it", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.says({ type: "heartbeat" });
  // Other connections of the browser are as dead: nothing asked over them is answered.
  world.fetch = (url) => {
    world.asked.push({ path: url.slice("http://line".length), init: {} });
    return new Promise(() => {});
  };
  assert.equal(await world.next(), 10_000);
  assert.equal(world.last("linkLost").type, "linkLost");
  assert.deepEqual([world.sockets[0].closed, world.sockets.length], [true, 2]);
  assert.equal(world.asked.at(-1)?.path, "/place");
  world.says(status({ usersAhead: 1 }));
  assert.equal(world.last("linked").how, "live");
  assert.equal(world.last("status").status.usersAhead, 1);
});

test("a way on which only the first message comes through is given up", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  assert.equal(await world.next(), 10_000);
  assert.equal(world.sockets.length, 2);
  world.says(status());
  await world.next();
  assert.equal(world.sockets[1].closed, true);
  for (let step = 0; step < 2; step += 1) await world.next();
  assert.deepEqual([world.sockets.length, world.streams.length], [2, 1]);
});

test("polls over dead connections are given up soon, and later ones may take their time", async () => {
  const world = new World();
  await withoutStreams(world);
  world.fetch = () => new Promise(() => {});
  await world.next();
  const waits = [];
  for (let poll = 0; poll < 8; poll += 1) {
    waits.push(await world.next());
    await world.next();
  }
  assert.deepEqual(waits, [15_000, ...Array(6).fill(3_000), 15_000]);
});

test("a stream that never speaks is held back on its way: it polls instead", async () => {
  const world = new World();
  await withoutSockets(world);
  world.streams[0].onopen?.();
  assert.equal(await world.next(), 10_000);
  await world.next();
  assert.equal(world.streams.length, 1);
  assert.equal(world.last("linked").how, "polling");
});

test("heartbeats of a stream are heard", async () => {
  const world = new World();
  await withoutSockets(world);
  world.streams[0].heard.heartbeat({ data: '{"type":"heartbeat"}' });
  assert.deepEqual([world.last("linked").how, world.last("alive").type], ["live", "alive"]);
});

test("a tab that is seen again asks at once and replaces a socket that stays silent", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.time += 5_000;
  world.client.wake();
  assert.equal(world.asked.at(-1)?.path, "/place");
  assert.deepEqual(world.sockets[0].said, ["ping"]);
  await world.settle();
  assert.ok(await world.next() <= 3_000);
  assert.deepEqual([world.sockets[0].closed, world.sockets.length], [true, 2]);
});

test("a socket that answers when the tab is seen again is kept", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.client.wake();
  world.says({ type: "heartbeat" });
  await world.settle();
  assert.ok(await world.next() <= 3_000);
  world.says({ type: "heartbeat" });
  assert.deepEqual(world.sockets[0].said, ["ping", "ping"]);
  assert.equal(world.timers[0]?.ms, 10_000);
  assert.equal(world.sockets[0].closed, false);
});

test("what was on its way before the network was lost does not prove a socket", async () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.client.wake();
  world.says({ type: "heartbeat" });
  await world.settle();
  assert.ok(await world.next() <= 3_000);
  assert.ok(await world.next() <= 3_000);
  assert.deepEqual([world.sockets[0].closed, world.sockets.length], [true, 2]);
});

test("after a long sleep the socket is replaced at once", () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.time += 3_600_000;
  world.client.wake();
  assert.deepEqual([world.sockets[0].closed, world.sockets.length], [true, 2]);
  assert.equal(world.asked.at(-1)?.path, "/place");
});

test("a lost place ends listening and says why", async () => {
  const world = new World();
  world.answer = () => ({ status: 410, body: { code: "place-expired" } });
  world.client.listen();
  world.sockets[0].onclose();
  await world.next();
  assert.equal(world.last("placeLost").code, "place-expired");
  assert.equal(world.timers.length, 0);
});

test("a hidden tab polls slower but does not stop", async () => {
  const world = new World();
  world.hidden = true;
  await withoutStreams(world);
  const { pollMs } = world.last("linked");
  assert.ok(pollMs >= 30_000 && pollMs < 60_000, `${pollMs}`);
});

test("stopping closes the line and leaves no timer", () => {
  const world = new World();
  world.client.listen();
  world.says(status());
  world.client.stop();
  assert.deepEqual([world.sockets[0].closed, world.timers.length], [true, 0]);
});

test("after a missed turn it connects anew, soon", async () => {
  const world = new World();
  world.client.comeBack();
  assert.equal(world.timers.length, 0, "not before it listens");
  world.client.listen();
  world.says(status());
  world.client.comeBack();
  assert.equal(world.sockets[0].closed, true);
  world.client.comeBack();
  const waited = await world.next();
  assert.ok(waited >= 1000 && waited <= 3000, `${waited}`);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.last("linkLost"), undefined, "it was no failure");
});
