// @ts-check
// Wires the waiting page: state, transport, view, buttons.

import { TurnAlert } from "./alert.js";
import { fill } from "./duration.js";
import { NonceStore } from "./nonce.js";
import { RoomClient } from "./room_client.js";
import { INITIAL, isOpenEnded, reduce } from "./room_state.js";
import { element, RoomView, show, write } from "./room_view.js";
import texts from "./texts/en.js";

const TICK_MS = 1000;
/** Times the page asks for its place again by itself; a browser without cookies would never stop. */
const REJOINS_MAX = 3;

const { dataset } = element("line");
const room = dataset.room ?? "";
const enterUrl = dataset.enter ?? "/";
const view = new RoomView();
const alert = new TurnAlert();
const nonces = new NonceStore(storage(), crypto);
const client = new RoomClient(new URL(dataset.api ?? "", location.href).href, dispatch, {
  fetch: (input, init) => fetch(input, init),
  openSocket: (url) => new WebSocket(url.replace(/^http/, "ws")),
  openStream: (url) => new EventSource(url),
  setTimer: (run, ms) => window.setTimeout(run, ms),
  clearTimer: (timer) => window.clearTimeout(timer),
  now: () => Date.now(),
  random: () => Math.random(),
  isHidden: () => document.hidden,
  isOnline: () => navigator.onLine,
});
let state = INITIAL;
let rejoins = 0;

/** @param {import("./room_state.js").RoomEvent} event */
function dispatch(event) {
  const before = state.status?.state;
  state = reduce(state, event);
  view.render(state, Date.now());
  const after = state.status?.state;
  if (after === "called" && before !== "called") alert.ring(dataset.title ?? "");
  // A lost cookie is not a lost place: the same nonce brings the same one back.
  const lost = event.type === "placeLost" && event.code !== "place-expired";
  if (lost && event.code !== "room-not-found" && rejoins++ < REJOINS_MAX) {
    void join(nonces.obtain(room));
  }
  if (event.type === "status" && after === "missed" && !document.hidden) client.comeBack();
  if (after !== undefined && after !== before && !isOpenEnded(state.status)) client.stop();
}

function tick() {
  const now = Date.now();
  view.tick(state, now);
  if (state.autoEnterAt !== null && now >= state.autoEnterAt) enter();
}

function enter() {
  dispatch({ type: "stayed" });
  location.assign(enterUrl);
}

/** @param {string} nonce */
async function join(nonce) {
  const code = /** @type {HTMLInputElement} */ (element("code")).value.trim();
  if (!(await client.join(nonce, code || undefined))) return;
  if (state.status?.state === "admitted") enter();
  else client.listen();
}

async function leave() {
  show("leave-sure", false);
  if (!(await client.leave())) return;
  client.stop();
  if (state.status !== null) {
    dispatch({ type: "status", status: { ...state.status, state: "left" }, at: Date.now() });
  }
}

async function check() {
  write("draw-result", texts.draw.checking);
  const draw = await client.draw();
  if (draw === null) {
    write("draw-result", texts.draw.failed);
    return;
  }
  // Few look at this, so only they load it.
  const { checkDraw } = await import("./draw.js");
  const found = await checkDraw(crypto.subtle, draw, dataset.commitment ?? "", nonces.get(room));
  write("draw-result", fill(texts.draw[found.verdict], { key: found.key ?? "" }));
}

/** Storage may be forbidden, which reading the property tells by throwing. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

element("stay").addEventListener("click", () => dispatch({ type: "stayed" }));
element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  // Whoever missed their turn keeps their place, and so their nonce.
  const gone = state.status !== null && state.status.state !== "missed";
  const starts = gone || state.refused === "place-expired";
  void join(starts ? nonces.renew(room) : nonces.obtain(room));
});
element("alerts").addEventListener("click", () => {
  void alert.enable();
  show("alerts", false);
  show("alerts-on", true);
});
for (const [id, asking] of /** @type {const} */ ([["leave", true], ["leave-no", false]])) {
  element(id).addEventListener("click", () => {
    show("leave-sure", asking);
    show("leave", !asking);
    element(asking ? "leave-no" : "leave").focus();
  });
}
element("leave-yes").addEventListener("click", () => void leave());
// Only pages on HTTPS and on the local machine may compute hashes.
show("draw-check", typeof crypto.subtle === "object");
element("draw-check").addEventListener("click", () => void check());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (state.status?.state === "missed") client.comeBack();
  client.wake();
});
window.addEventListener("online", () => client.wake());
window.addEventListener("pagehide", () => client.stop());
window.addEventListener("pageshow", (event) => {
  // Back from the browser's cache: the numbers are old and the socket is gone.
  if (event.persisted && isOpenEnded(state.status)) client.listen();
});

if (dataset.status) {
  dispatch({ type: "status", status: JSON.parse(dataset.status), at: Date.now() });
  if (isOpenEnded(state.status)) client.listen();
} else if (dataset.autoJoin !== undefined) {
  void join(nonces.obtain(room));
}
window.setInterval(tick, TICK_MS);
