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

  client = new RoomClient("http://line", (event) => this.events.push(event), /** @type {any} */ ({
    fetch: async (/** @type {string} */ url, /** @type {any} */ init) => {
      const path = url.slice("http://line".length);
      this.asked.push({ path, init });
      const found = this.answer(path);
      if (found === null) throw new TypeError("no network");
      return {
        ok: found.status < 300, status: found.status, json: async () => found.body,
        headers: new Headers(found.retryAfter ? { "Retry-After": found.retryAfter } : {}),
      };
    },
    openSocket: () => this.#line(this.sockets),
    openStream: () => this.#line(this.streams),
    setTimer: (/** @type {() => void} */ run, /** @type {number} */ ms) => {
      const timer = { run, ms };
      this.timers.push(timer);
      return timer;
    },
    clearTimer: (/** @type {any} */ timer) => {
      this.timers = this.timers.filter((other) => other !== timer);
    },
    now: () => 0, random: () => 0.5, isHidden: () => this.hidden, isOnline: () => true,
  }));

  /** @param {any[]} list */
  #line(list) {
    const line = { closed: false, close() { this.closed = true; }, addEventListener() {} };
    list.push(line);
    return line;
  }

  /** Runs the timer that comes next, and lets answers arrive. Returns its span. */
  async next() {
    const timer = this.timers.reduce((first, other) => (other.ms < first.ms ? other : first));
    this.timers = this.timers.filter((other) => other !== timer);
    timer.run();
    await this.settle();
    return timer.ms;
  }

  async settle() {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
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

test("a refused join is told and not repeated", async () => {
  const world = new World();
  world.answer = () => ({ status: 410, body: { code: "room-closed" } });
  assert.equal(await world.client.join("abc"), false);
  assert.deepEqual([world.last("refused").code, world.asked.length], ["room-closed", 1]);
});

test("frames of the socket become events", () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen();
  world.sockets[0].onmessage({ data: "not json" });
  world.sockets[0].onmessage({ data: JSON.stringify(status({ usersAhead: 3 })) });
  assert.equal(world.last("linked").how, "live");
  assert.equal(world.last("status").status.usersAhead, 3);
});

test("a reconnect order is obeyed after the time it names", async () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen();
  world.sockets[0].onmessage({ data: '{"type":"reconnect","afterMs":1200}' });
  assert.equal(world.sockets[0].closed, true);
  const waited = await world.next();
  assert.ok(waited >= 1200 && waited <= 1500, `${waited}`);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.last("linkLost"), undefined, "it was no failure");
});

test("without sockets it listens to a stream, without streams it polls", async () => {
  const world = new World();
  world.client.listen();
  for (const list of [world.sockets, world.sockets]) {
    list.at(-1).onclose();
    await world.next();
    await world.next();
  }
  assert.equal(world.streams.length, 1);
  for (let failure = 0; failure < 2; failure += 1) {
    world.streams.at(-1).onerror();
    await world.next();
    if (failure === 0) await world.next();
  }
  assert.equal(world.last("linked").how, "polling");
  assert.ok(world.last("linked").pollMs >= 5000);
});

test("after a lost socket the numbers come by a poll before the next attempt", async () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen();
  world.sockets[0].onclose();
  assert.equal(world.last("linkLost").offline, false);
  await world.next();
  assert.equal(world.asked.at(-1)?.path, "/place");
  await world.next();
  assert.equal(world.sockets.length, 2);
});

test("a silent socket has to prove itself", async () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen();
  world.answer = () => null;
  await world.next();
  assert.equal(world.last("linkLost").type, "linkLost");
  assert.equal(world.sockets[0].closed, true);
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
  world.client.listen();
  for (let failure = 0; failure < 2; failure += 1) {
    world.sockets.at(-1).onclose();
    await world.next();
    await world.next();
  }
  for (let failure = 0; failure < 2; failure += 1) {
    world.streams.at(-1).onerror();
    await world.next();
    if (failure === 0) await world.next();
  }
  const { pollMs } = world.last("linked");
  assert.ok(pollMs >= 30_000 && pollMs < 60_000, `${pollMs}`);
});

test("stopping closes the line and leaves no timer", () => {
  const world = new World();
  world.client.listen();
  world.sockets[0].onopen();
  world.client.stop();
  assert.deepEqual([world.sockets[0].closed, world.timers.length], [true, 0]);
});

test("after a missed turn it connects anew, soon", async () => {
  const world = new World();
  world.client.comeBack();
  assert.equal(world.timers.length, 0, "not before it listens");
  world.client.listen();
  world.sockets[0].onopen();
  world.client.comeBack();
  assert.equal(world.sockets[0].closed, true);
  world.client.comeBack();
  const waited = await world.next();
  assert.ok(waited >= 1000 && waited <= 3000, `${waited}`);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.last("linkLost"), undefined, "it was no failure");
});
