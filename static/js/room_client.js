// @ts-check
// Speaks with the line: joins, listens, leaves. Knows nothing of the page.

import { Backoff } from "./backoff.js";

/** @typedef {import("./room_state.js").RoomEvent} RoomEvent */
/** @typedef {import("./wording.js").Status} Status */

/** Failures in a row after which the next, simpler way of listening is tried. */
const FAILURES_PER_WAY = 2;
/** Polls after which a socket is tried again. */
const POLLS_PER_RETRY = 12;
/** Silence after which a socket is asked to prove itself by a poll: the server speaks only on change. */
const SILENCE_MS = 45_000;
/** Shortest poll interval of a hidden tab; far below the time after which a place stops counting. */
const HIDDEN_POLL_MS = 30_000;
/** Pause before coming back: the line may take a moment to note that a turn was missed. */
const COME_BACK_MS = 1_500;
/** Longest wait for an answer. */
const ANSWER_MS = 15_000;

/**
 * What the client needs of its surroundings; tests give their own.
 * @typedef {object} Surroundings
 * @property {typeof fetch} fetch
 * @property {(url: string) => WebSocket} openSocket
 * @property {(url: string) => EventSource} openStream
 * @property {(run: () => void, ms: number) => number} setTimer
 * @property {(timer: number) => void} clearTimer
 * @property {() => number} now
 * @property {() => number} random
 * @property {() => boolean} isHidden
 * @property {() => boolean} isOnline
 */

export class RoomClient {
  #api;
  #around;
  #emit;
  #backoff;
  /** @type {"socket" | "stream" | "poll"} */
  #way = "socket";
  #failures = 0;
  #polls = 0;
  /** @type {number | null} */
  #timer = null;
  /** @type {number | null} */
  #watchdog = null;
  /** @type {{close(): void} | null} */
  #line = null;
  #listening = false;

  /**
   * @param {string} api the room's address, without a slash at the end
   * @param {(event: RoomEvent) => void} emit
   * @param {Surroundings} around
   */
  constructor(api, emit, around) {
    this.#api = api;
    this.#emit = emit;
    this.#around = around;
    this.#backoff = new Backoff(around.random);
  }

  /**
   * Joins, again and again while the line does not answer. The same nonce gives the same place.
   * @param {string} nonce
   * @param {string} [accessCode]
   * @returns {Promise<boolean>} whether there is a place now
   */
  async join(nonce, accessCode) {
    this.#emit({ type: "joining" });
    const body = JSON.stringify(accessCode ? { nonce, accessCode } : { nonce });
    for (;;) {
      const answer = await this.#ask("/places", {
        method: "POST", body, headers: { "Content-Type": "application/json" },
      });
      if (answer?.ok) {
        this.#backoff.reset();
        this.#heard(await answer.json());
        return true;
      }
      if (answer !== null && answer.status !== 429 && answer.status < 500) {
        this.#emit({ type: "refused", code: await problemCode(answer) });
        return false;
      }
      this.#lost(answer);
      await new Promise((resolve) => {
        this.#around.setTimer(() => resolve(null), this.#pause(answer));
      });
    }
  }

  /** Starts listening; harmless when it already does. */
  listen() {
    if (this.#listening) return;
    this.#listening = true;
    this.#connect();
  }

  /** Stops listening. */
  stop() {
    this.#listening = false;
    this.#drop();
  }

  /** Tries at once instead of waiting: the tab is seen again, or the network is back. */
  wake() {
    if (!this.#listening || (this.#line !== null && this.#way !== "poll")) return;
    this.#drop();
    this.#connect();
  }

  /** Connects anew, soon: whoever opens a connection after a missed turn has come back. */
  comeBack() {
    if (!this.#listening || this.#way === "poll") return;
    this.#drop();
    this.#schedule(this.#backoff.spread(COME_BACK_MS));
  }

  /**
   * Gives the place up.
   * @returns {Promise<boolean>} whether it is gone
   */
  async leave() {
    const answer = await this.#ask("/place", { method: "DELETE" });
    return answer?.ok ?? false;
  }

  /** @returns {Promise<import("./draw.js").Draw | null>} */
  async draw() {
    const answer = await this.#ask("/draw", {});
    return answer?.ok ? answer.json() : null;
  }

  #connect() {
    if (this.#way === "socket") this.#connectSocket();
    else if (this.#way === "stream") this.#connectStream();
    else void this.#poll();
  }

  #connectSocket() {
    const url = `${this.#api}/place/live`;
    let socket;
    try {
      socket = this.#around.openSocket(url);
    } catch {
      this.#failed();
      return;
    }
    this.#line = socket;
    socket.onopen = () => this.#linked();
    socket.onmessage = (message) => this.#received(String(message.data), socket);
    socket.onclose = () => {
      if (this.#line === socket) this.#failed();
    };
  }

  #connectStream() {
    const stream = this.#around.openStream(`${this.#api}/place/live`);
    this.#line = stream;
    stream.onopen = () => this.#linked();
    const received = (/** @type {MessageEvent} */ message) =>
      this.#received(String(message.data), stream);
    for (const name of ["message", "status", "reconnect"]) {
      stream.addEventListener(name, /** @type {EventListener} */ (received));
    }
    stream.onerror = () => {
      // The browser would come back by itself, but without jitter and without telling why.
      stream.close();
      if (this.#line === stream) this.#failed();
    };
  }

  #linked() {
    this.#failures = 0;
    this.#backoff.reset();
    this.#emit({ type: "linked", how: "live" });
    this.#watch();
  }

  /**
   * @param {string} text
   * @param {{close(): void}} line
   */
  #received(text, line) {
    if (this.#line !== line) return;
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame?.type === "reconnect") {
      this.#drop();
      this.#schedule(this.#backoff.spread(Number(frame.afterMs) || 0));
    } else if (frame?.type === "status") {
      this.#heard(frame);
      this.#watch();
    }
  }

  /** After an attempt failed: one poll for numbers and for the reason, then the next attempt. */
  #failed() {
    this.#drop();
    this.#failures += 1;
    if (this.#failures >= FAILURES_PER_WAY && this.#way !== "poll") {
      this.#way = this.#way === "socket" ? "stream" : "poll";
      this.#failures = 0;
    }
    this.#emit({ type: "linkLost", offline: !this.#around.isOnline() });
    this.#schedule(this.#backoff.next(), () => void this.#poll());
  }

  async #poll() {
    const answer = await this.#ask("/place", {});
    if (!this.#listening) return;
    if (answer?.ok) {
      const status = await answer.json();
      this.#heard(status);
      this.#backoff.reset();
      this.#polled(Number(status.pollAfterMs) || HIDDEN_POLL_MS);
    } else if (answer?.status === 401 || answer?.status === 404 || answer?.status === 410) {
      this.stop();
      this.#emit({ type: "placeLost", code: await problemCode(answer) });
    } else {
      this.#lost(answer);
      this.#schedule(this.#pause(answer), () => void this.#poll());
    }
  }

  /** @param {number} pollAfterMs */
  #polled(pollAfterMs) {
    if (!this.#listening) return;
    this.#polls += 1;
    if (this.#way === "poll" && this.#polls % POLLS_PER_RETRY === 0) this.#way = "socket";
    if (this.#way !== "poll") {
      this.#schedule(this.#backoff.next());
      return;
    }
    const hidden = this.#around.isHidden() ? HIDDEN_POLL_MS : 0;
    const pollMs = this.#backoff.spread(Math.max(pollAfterMs, hidden));
    this.#emit({ type: "linked", how: "polling", pollMs });
    this.#schedule(pollMs);
  }

  /** Asks by a poll when a socket has been silent: it may be dead without either side knowing. */
  #watch() {
    if (this.#watchdog !== null) this.#around.clearTimer(this.#watchdog);
    this.#watchdog = this.#around.setTimer(() => void this.#prove(), SILENCE_MS);
  }

  async #prove() {
    const line = this.#line;
    const answer = await this.#ask("/place", {});
    if (line === null || this.#line !== line) return;
    if (answer?.ok) {
      this.#heard(await answer.json());
      this.#watch();
    } else {
      this.#failed();
    }
  }

  /** @param {Status} status */
  #heard(status) {
    this.#emit({ type: "status", status, at: this.#around.now() });
  }

  /** @param {Response | null} answer */
  #lost(answer) {
    if (answer === null) this.#emit({ type: "linkLost", offline: !this.#around.isOnline() });
    else this.#emit({ type: "unavailable" });
  }

  /** @param {Response | null} answer */
  #pause(answer) {
    const asked = Number(answer?.headers.get("Retry-After") ?? 0) * 1000 || 0;
    return Math.max(this.#backoff.next(), this.#backoff.spread(asked));
  }

  /**
   * @param {number} ms
   * @param {() => void} [run]
   */
  #schedule(ms, run = () => this.#connect()) {
    if (this.#timer !== null) this.#around.clearTimer(this.#timer);
    this.#timer = this.#around.setTimer(() => {
      this.#timer = null;
      if (this.#listening) run();
    }, ms);
  }

  #drop() {
    for (const timer of [this.#timer, this.#watchdog]) {
      if (timer !== null) this.#around.clearTimer(timer);
    }
    this.#timer = this.#watchdog = null;
    const line = this.#line;
    this.#line = null;
    line?.close();
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<Response | null>} null when there was no answer at all
   */
  async #ask(path, init) {
    try {
      return await this.#around.fetch(this.#api + path, {
        credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS), ...init,
      });
    } catch {
      return null;
    }
  }
}

/** @param {Response} answer */
async function problemCode(answer) {
  try {
    return String((await answer.json()).code);
  } catch {
    return "other";
  }
}
