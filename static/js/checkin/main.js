// @ts-check
// The scanner page.

import { Camera, detector } from "./camera.js";
import { Desk } from "./desk.js";
import { Kept } from "./kept.js";
import { signal, wake } from "./signal.js";
import { verifier } from "./signature.js";
import { Uplink } from "./uplink.js";
import { queued, setAside, timeOf, where, words } from "./words.js";

/** @typedef {import("./decision.js").Direction} Direction */

const REFRESH_ONLINE_MS = 15_000;
const REFRESH_OFFLINE_MS = 3000;
/** A camera sees one code many times; only after this long it is another scan. */
const SAME_CODE_MS = 4000;
/** How long an answer covers the page, unless somebody taps it or scans again. */
const GOOD_SHOWN_MS = 2500;
const BAD_SHOWN_MS = 8000;
const LINKS = {
  unknown: "Connecting",
  online: "Online",
  offline: "No network: deciding alone",
  refused: "This scanner was switched off",
};

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
const element = (id) => /** @type {T} */ (document.getElementById(id));

const answer = element("answer");
const field = /** @type {HTMLInputElement} */ (element("ticket"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;
const last = { text: "", at: 0 };

/** @type {Desk} */
let desk;

/** @returns {Direction} */
const direction = () => (/** @type {HTMLInputElement} */ (element("way-out")).checked ? "out" : "in");

/** @param {string} text */
async function take(text) {
  const way = direction();
  const outcome = await desk.scan(text, way);
  const { mood, headline, reason } = words(outcome.result, way, outcome);
  signal(mood);
  element("answer-headline").textContent = headline;
  element("answer-reason").textContent = reason;
  element("answer-mark").textContent = { good: "✓", bad: "✕", unsure: "?" }[mood];
  answer.dataset.mood = mood;
  answer.dataset.result = outcome.result;
  answer.dataset.offline = String(outcome.offline);
  answer.hidden = false;
  // A reader's voice hears the same words again when the next scan comes to the same.
  element("announce").textContent = "";
  requestAnimationFrame(() => {
    element("announce").textContent = `${headline}. ${reason}`;
  });
  const line = document.createElement("li");
  line.dataset.mood = mood;
  line.textContent = `${timeOf(new Date().toISOString())} ${way === "in" ? "In" : "Out"}: ${headline}`;
  const log = element("log");
  log.prepend(line);
  while (log.children.length > 8) log.lastElementChild?.remove();
  clearTimeout(hiding);
  hiding = setTimeout(hide, mood === "good" ? GOOD_SHOWN_MS : BAD_SHOWN_MS);
}

function hide() {
  clearTimeout(hiding);
  answer.hidden = true;
  if (!(element("settings") instanceof HTMLDetailsElement && element("settings").hasAttribute("open"))) field.focus();
}

/** @param {string} text that the camera sees */
function see(text) {
  const now = Date.now();
  const isSame = text === last.text && now - last.at < SAME_CODE_MS;
  last.at = now;
  if (isSame) return;
  last.text = text;
  void take(text);
}

function show() {
  const { manifest, counts, scanner } = desk;
  const isSet = desk.hasToken;
  element("setup").hidden = isSet;
  element("desk").hidden = !isSet;
  element("state").hidden = !isSet;
  element("show").textContent = manifest?.title ?? "Check-in";
  element("gate").textContent = scanner ? `Gate ${scanner.gate}` : "";
  element("link").textContent = LINKS[desk.link];
  element("link").dataset.link = desk.link;
  element("queue").textContent = queued(desk.queued, desk.stuck);
  element("queue").dataset.count = String(desk.queued);
  element("aside").textContent = setAside(desk.aside);
  element("aside").hidden = desk.aside.length === 0;
  element("inside").textContent = counts ? String(counts.inside) : "–";
  element("admitted").textContent = counts ? `${counts.admitted} of ${counts.tickets}` : "–";
  const name = /** @type {HTMLInputElement} */ (element("device"));
  if (document.activeElement !== name) name.value = desk.device;
  showConflicts();
  showInsideVoid();
}

function showConflicts() {
  const unseen = desk.unseenConflicts.length;
  element("conflicts").hidden = desk.conflicts.length === 0;
  element("conflicts").dataset.unseen = String(unseen);
  element("conflicts-seen").hidden = unseen === 0;
  element("conflict-list").replaceChildren(
    ...desk.conflicts.slice(0, 20).map((one) => {
      const line = document.createElement("li");
      const what = one.result === "DUPLICATE" ? "let in twice" : `let in, but: ${words(one.result, "in", {}).headline}`;
      const mine = one.isMine ? " (this scanner)" : "";
      const places = [one.earlier, one.scan].filter(Boolean).map((place) => `${place.device ?? "?"} at ${where(place)}`);
      line.textContent = `Seat ${one.seatId ?? "?"} was ${what}${mine}. ${places.join(" ")}`;
      return line;
    }),
  );
}

function showInsideVoid() {
  element("inside-void").hidden = desk.insideVoid.length === 0;
  element("inside-void-list").replaceChildren(
    ...desk.insideVoid.slice(0, 20).map((one) => {
      const line = document.createElement("li");
      line.textContent = `Seat ${one.seatId ?? "?"}, came in at ${where(one.entry)}. The seat may be sold again.`;
      return line;
    }),
  );
}

/** @param {string} problem */
function complain(problem) {
  element("problem").textContent = problem;
  element("problem").hidden = problem === "";
}

async function refreshForever() {
  for (;;) {
    await desk.refresh().catch((error) => complain(String(error)));
    const pause = desk.link === "offline" ? REFRESH_OFFLINE_MS : REFRESH_ONLINE_MS;
    // Sooner when the browser says that there is a network again.
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      addEventListener("online", () => { clearTimeout(timer); resolve(undefined); }, { once: true });
    });
  }
}

/** @param {string} token */
async function use(token) {
  complain("");
  await desk.use(token.trim());
  if (desk.link === "refused") complain("This token is not good. Ask an operator for another.");
}

function listen() {
  element("scan-form").addEventListener("submit", (event) => {
    event.preventDefault();
    // A space belongs to a ticket; what a hand scanner adds at the end does not.
    const text = field.value.replace(/[\r\n\t]/g, "");
    field.value = "";
    wake();
    if (text !== "") void take(text);
  });
  element("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = /** @type {HTMLInputElement} */ (element("token"));
    void use(token.value);
    token.value = "";
  });
  element("device").addEventListener("change", (event) => {
    void desk.name(/** @type {HTMLInputElement} */ (event.target).value);
  });
  answer.addEventListener("click", hide);
  addEventListener("keydown", (event) => {
    if (!answer.hidden && event.key === "Escape") hide();
  });
  for (const way of ["way-in", "way-out"]) {
    element(way).addEventListener("change", () => {
      document.body.dataset.direction = direction();
      field.focus();
    });
  }
  element("conflicts-seen").addEventListener("click", () => void desk.acknowledge());
}

async function prepareCamera() {
  const detect = await detector();
  const video = /** @type {HTMLVideoElement} */ (element("video"));
  const camera = new Camera(video, detect, see);
  const button = element("camera");
  button.hidden = navigator.mediaDevices === undefined;
  button.addEventListener("click", async () => {
    wake();
    if (camera.isOn) camera.stop();
    else await camera.start().catch((error) => complain(`The camera cannot be used: ${error.message}`));
    video.hidden = !camera.isOn;
    button.textContent = camera.isOn ? "Stop the camera" : "Start the camera";
  });
  element("picture").addEventListener("change", async (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const file = input.files?.[0];
    if (file === undefined) return;
    const text = await createImageBitmap(file).then(detect, () => null);
    input.value = "";
    if (text === null) complain("There is no QR code in this picture.");
    else await take(text);
  });
}

async function start() {
  if (!isSecureContext) {
    complain("This page needs HTTPS: without it browsers keep no page, and have no camera and no cryptography.");
    return;
  }
  const verify = await verifier(crypto.subtle, () => import("../vendor/noble-ed25519/index.js"));
  desk = new Desk(await Kept.open(), verify, (token) => new Uplink(token), show);
  listen();
  await desk.load();
  // The token comes after the `#`, which no server is told, and does not stay in the address.
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) {
    history.replaceState(null, "", location.pathname);
    await use(token);
  }
  await navigator.storage?.persist?.();
  await prepareCamera();
  await navigator.serviceWorker.register("/checkin/worker.js", { scope: "/checkin/" });
  await navigator.serviceWorker.ready;
  document.body.dataset.ready = "";
  field.focus();
  await refreshForever();
}

start().catch((error) => complain(`The scanner cannot start: ${error.message}`));
