// @ts-check
// Connects the parts of the waiting page: state, transport, view, buttons.

import { TurnAlert } from "./alert.js";
import { fill } from "./duration.js";
import { NonceStore } from "./nonce.js";
import { RoomClient } from "./room_client.js";
import { autoEnterLeft, INITIAL, isOpenEnded, reduce } from "./room_state.js";
import { element, JOIN_FAILURES_SHOWN, RoomView, show, write } from "./room_view.js";
import { browser } from "./surroundings.js";
import texts from "./texts/en.js";

const TICK_MS = 1000;
/** Times that the page joins again by itself, once the browser is known to keep cookies. */
const REJOINS_MAX = 3;

const main = element("line");
const { dataset } = main;
const room = dataset.room ?? "";
const enterUrl = dataset.enter ?? "/";
try {
  // For the banner on other pages: its link after a call.
  const target = new URL(enterUrl, location.href).searchParams.get("to");
  localStorage.setItem(`ropeline-to:${room}`, target ?? "/");
} catch {
  // Without storage the banner does not work either.
}
const view = new RoomView();
const alert = new TurnAlert();
const nonces = new NonceStore(storage(), globalThis.crypto);
const client = new RoomClient(new URL(dataset.api ?? "", location.href).href, dispatch, browser());
const codeField = /** @type {HTMLInputElement} */ (element("code"));
let state = INITIAL;
let rejoins = 0;
/** Whether the browser has returned a place cookie to the server. */
let cookiesKept = dataset.status !== undefined;
/** @type {number | undefined} */
let entryTimer;
/** Whether a script of this page failed in this browser. */
let broken = false;

/** @param {import("./room_state.js").RoomEvent} event */
function dispatch(event) {
  if (broken) return;
  if (event.type === "linked") cookiesKept = true;
  const before = state.status?.state;
  state = reduce(state, event);
  if (event.type === "placeLost") recover(event.code);
  if (event.type !== "alive") view.render(state, Date.now());
  const after = state.status?.state;
  if (after === "called" && before !== "called") alert.ring(dataset.title ?? "");
  if (event.type === "status" && after === "missed" && !document.hidden) client.comeBack();
  if (after !== undefined && after !== before && !isOpenEnded(state.status)) client.stop();
  aim();
}

/**
 * A lost cookie does not lose the place: the same nonce gives the same place. A browser that keeps
 * no cookies would lose each new one, so it does not join again.
 * @param {string} code
 */
function recover(code) {
  if (code === "place-expired" || code === "room-not-found") return;
  if (!cookiesKept && code === "place-required") {
    state = reduce(state, { type: "refused", code: "cookies" });
  } else if (rejoins++ < REJOINS_MAX) {
    void join(nonces.obtain(room));
  }
}

/**
 * Enters if it is time, otherwise sets one timer for that time. In hidden tabs browsers delay a
 * single timer only a little, but run an interval only once a minute; each status also calls this.
 */
function aim() {
  window.clearTimeout(entryTimer);
  const left = autoEnterLeft(state, Date.now());
  if (left === null) return;
  if (left === 0) enter();
  else entryTimer = window.setTimeout(aim, left);
}

function enter() {
  dispatch({ type: "stayed" });
  location.assign(enterUrl);
}

/** @param {string} nonce */
async function join(nonce) {
  /** @type {HTMLInputElement} */ (element("nonce")).value = nonce;
  if (!(await client.join(nonce, codeField.value.trim() || undefined))) {
    if (state.refused === "forbidden") codeField.focus();
    return;
  }
  if (state.status?.state === "admitted") enter();
  else client.listen();
}

async function leave() {
  const left = await client.leave();
  write("leave-note", left ? "" : texts.leave.failed);
  if (!left) return;
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
  // Loaded on demand, because few fans check the draw.
  const { checkDraw } = await import("./draw.js");
  const found = await checkDraw(crypto.subtle, draw, dataset.commitment ?? "", nonces.get(room));
  write("draw-result", fill(texts.draw[found.verdict], { key: found.key ?? "" }));
}

/** Storage may be forbidden; then reading the property throws. */
function storage() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/**
 * A script of this page failed, because the browser lacks a feature. The page goes on without
 * scripts: its forms work, and `fallback.js` reloads it from time to time.
 * @param {unknown} [error]
 */
function giveWay(error) {
  if (broken) return;
  console.error("the page goes on without its script", error);
  broken = true;
  main.removeAttribute("data-scripted");
  client.stop();
  if (state.status === null) {
    show("join", true);
    show("refused", true);
    write("refused", texts.join.broken);
    write("lede", texts.outside.queueing.lede);
  } else {
    main.dataset.refresh ??= "5";
  }
}

function listenToButtons() {
  element("stay").addEventListener("click", () => dispatch({ type: "stayed" }));
  element("join").addEventListener("submit", (event) => {
    // The script got no answer, so the browser submits the form itself.
    if (broken || state.joinFailures >= JOIN_FAILURES_SHOWN) return;
    event.preventDefault();
    // A visitor who missed their turn keeps their place, and so their nonce.
    const gone = state.status !== null && state.status.state !== "missed";
    const starts = gone || state.refused === "place-expired";
    void join(starts ? nonces.renew(room) : nonces.obtain(room));
  });
  element("alerts").addEventListener("click", () => {
    void alert.enable();
    show("alerts", false);
    show("alerts-on", true);
    const note = element("alerts-on");
    void import("./turn_notice.js").then(({ offer }) => offer(dataset.api ?? "", note)).catch(() => {});
  });
  element("leave-form").addEventListener("submit", (event) => {
    if (broken) return;
    event.preventDefault();
    void leave();
  });
  // Browsers offer hash functions only on HTTPS and on the local machine.
  show("draw-check", typeof globalThis.crypto?.subtle === "object");
  element("draw-check").addEventListener("click", () => void check());
}

function listenToBrowser() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (state.status?.state === "missed") client.comeBack();
    else client.wake();
    aim();
  });
  window.addEventListener("online", () => client.wake());
  window.addEventListener("pagehide", () => client.stop());
  window.addEventListener("pageshow", (event) => {
    // The page was restored from the browser's cache: its figures are old and its socket is closed.
    if (event.persisted && isOpenEnded(state.status)) {
      client.listen();
      client.wake();
    }
  });
}

function listenToFailures() {
  // Scripts of others, such as extensions, can fail on this page too.
  const ours = new URL(".", import.meta.url).href;
  window.addEventListener("error", ({ filename, error }) => {
    if (filename?.startsWith(ours)) giveWay(error);
  });
  window.addEventListener("unhandledrejection", ({ reason }) => {
    if (String(reason?.stack).includes(ours)) giveWay(reason);
  });
}

function start() {
  listenToFailures();
  listenToBrowser();
  listenToButtons();
  main.setAttribute("data-scripted", "");
  if (dataset.status) {
    dispatch({ type: "status", status: JSON.parse(dataset.status), at: Date.now() });
    if (isOpenEnded(state.status)) client.listen();
  } else if (dataset.autoJoin !== undefined) {
    if (navigator.cookieEnabled === false) dispatch({ type: "refused", code: "cookies" });
    else void join(nonces.obtain(room));
  }
  window.setInterval(() => {
    if (!broken) view.tick(state, Date.now());
  }, TICK_MS);
}

// A prerendered page may never be shown, so it must not join.
if (/** @type {any} */ (document).prerendering) {
  document.addEventListener("prerenderingchange", start, { once: true });
} else {
  start();
}
