// @ts-nocheck
// Push messages: what is asked of the browser, what is sent to the server, what a message shows.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { canPush, pushTurn, tellTurn } from "../push.js";

const KEYS = { p256dh: "BCVx", auth: "BTBZ" };
const SUBSCRIPTION = { endpoint: "https://push.example/1", expirationTime: null, keys: KEYS };

/** A browser in which the fan answers like this, and whose subscription is old or new. */
function browser({ permission = "granted", old = false } = {}) {
  const calls = [];
  let isOld = old;
  const pushManager = {
    subscribe: async (wanted) => {
      calls.push(wanted);
      if (isOld) throw new DOMException("another key", "InvalidStateError");
      return { toJSON: () => SUBSCRIPTION };
    },
    getSubscription: async () => ({ unsubscribe: async () => (isOld = false) }),
  };
  const serviceWorker = { register: async () => ({ active: {}, installing: null, waiting: null, pushManager }) };
  const requests = [];
  globalThis.window = { PushManager: class {}, Notification: class {} };
  globalThis.Notification = { requestPermission: async () => permission };
  globalThis.location = { href: "https://tickets.example/_line/rooms/big" };
  Object.defineProperty(globalThis, "navigator", { value: { serviceWorker }, configurable: true });
  globalThis.fetch = async (url, request) => {
    requests.push([String(url), request]);
    return { ok: true, json: async () => ({ key: "BKey" }) };
  };
  return { calls, requests };
}

afterEach(() => {
  for (const name of ["window", "Notification", "location", "navigator", "fetch"]) delete globalThis[name];
});

test("a fan who allows it is told on this device", async () => {
  const { calls, requests } = browser();
  assert.equal(canPush(), true);
  assert.equal(await pushTurn("/_line/v1/rooms/big"), true);
  assert.equal(requests[0][0], "https://tickets.example/_line/v1/push-key");
  assert.deepEqual(calls, [{ userVisibleOnly: true, applicationServerKey: "BKey" }]);
  const [url, { method, body }] = requests[1];
  assert.equal(url, "/_line/v1/rooms/big/place/notice");
  assert.equal(method, "PUT");
  assert.deepEqual(JSON.parse(body), { push: { endpoint: SUBSCRIPTION.endpoint, keys: KEYS } });
});

test("a fan who does not allow it is not subscribed", async () => {
  const { calls, requests } = browser({ permission: "denied" });
  assert.equal(await pushTurn("/_line/v1/rooms/big"), false);
  assert.deepEqual([calls.length, requests.length], [0, 1]);
});

test("a subscription to an earlier key is exchanged", async () => {
  const { calls } = browser({ old: true });
  assert.equal(await pushTurn("/_line/v1/rooms/big"), true);
  assert.equal(calls.length, 2);
});

test("an address alone is sent alone", async () => {
  const { requests } = browser();
  assert.equal(await tellTurn("/_line/v1/rooms/big", { email: "fan@example.com" }), true);
  assert.deepEqual(JSON.parse(requests[0][1].body), { email: "fan@example.com" });
});

test("a message is shown, and opens pages of ours alone", async () => {
  const listeners = {};
  const shown = [];
  const opened = [];
  globalThis.self = {
    addEventListener: (name, listener) => (listeners[name] = listener),
    location: { origin: "https://tickets.example" },
    registration: { showNotification: async (title, options) => shown.push([title, options]) },
    clients: { matchAll: async () => [], openWindow: async (url) => opened.push(url) },
  };
  await import("../push_worker.js");
  const message = { title: "Big Night", body: "It is your turn.", url: "https://tickets.example/x", tag: "t" };
  const waits = [];
  const waitUntil = (work) => waits.push(work);
  listeners.push({ data: { json: () => message }, waitUntil });
  listeners.push({
    data: {
      json: () => {
        throw new SyntaxError("no JSON");
      },
    },
    waitUntil,
  });
  await Promise.all(waits);
  assert.deepEqual(shown[0], ["Big Night", { body: "It is your turn.", tag: "t", data: { url: message.url } }]);
  assert.equal(shown[1][0], "Tickets");
  for (const url of ["https://tickets.example/x", "https://evil.example/", "/y"]) {
    let work;
    listeners.notificationclick({
      notification: { close: () => {}, data: { url } },
      waitUntil: (given) => (work = given),
    });
    await work;
  }
  assert.deepEqual(opened, ["https://tickets.example/x", "https://tickets.example", "https://tickets.example/y"]);
});
