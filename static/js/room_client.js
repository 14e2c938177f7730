// @ts-check
// The client of the line's API: joins, listens, leaves. Independent of the page.

import { Backoff } from "./backoff.js";

/** @typedef {import("./room_state.js").RoomEvent} RoomEvent */
/** @typedef {import("./wording.js").Status} Status */

/** Failures in a row after which the next, simpler transport is used. */
const FAILURES_PER_WAY = 2;
/** Polls after which a socket is tried again. */
const POLLS_PER_RETRY = 12;
/**
 * Silence after which a connection counts as dead. The server sends a heartbeat after half of it.
 */
const SILENCE_MS = 10_000;
/** Longest silence of a socket after its tab is shown again and a heartbeat was requested. */
const WAKE_SILENCE_MS = 2_500;
/** The same for an event stream, of which nothing can be requested. */
const WAKE_STREAM_SILENCE_MS = 6_000;
/** The text that requests a heartbeat. The server answers any text with one. */
const ARE_YOU_THERE = "ping";
/**
 * Shortest poll interval of a hidden tab, well below the time after which an absent place no longer
 * counts.
 */
const HIDDEN_POLL_MS = 30_000;
/** Pause before the client reconnects, because a missed turn is recorded with a delay. */
const COME_BACK_MS = 1_500;
/** Longest wait for a response. */
const ANSWER_MS = 15_000;
/**
 * Longest wait where the network may be gone: when a tab is shown again, after silence, and after
 * requests without a response. A browser keeps several connections and tries each of them before it
 * opens a new one, and all of them may be dead.
 */
const DOUBTFUL_ANSWER_MS = 3_000;
/** Connections that browsers keep per host. */
const KEPT_CONNECTIONS = 6;

/**
 * Browser functions that the client needs; tests pass their own.
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

/**
 * A response with its body.
 * @typedef {object} Answer
 * @property {boolean} ok
 * @property {number} status
 * @property {any} body what it says as JSON, null when it is none
 * @property {number} retryAfterMs 0 when it does not say
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
  /** @type {{close(): void, send?: (text: string) => void} | null} */
  #line = null;
  /** Messages over the present connection, and when the last one arrived. */
  #spoken = 0;
  #heardAt = 0;
  /** Whether messages prove nothing for now, because they may be older than a loss. */
  #doubtful = false;
  /** Polls in a row without any response. */
  #unanswered = 0;
  #listening = false;
  #joining = false;

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
   * Joins, and retries while the line does not answer. The same nonce gives the same place. Does
   * nothing while a join is under way.
   * @param {string} nonce
   * @param {string} [accessCode]
   * @returns {Promise<boolean>} whether there is a place now
   */
  async join(nonce, accessCode) {
    if (this.#joining) return false;
    this.#joining = true;
    try {
      return await this.#join(nonce, accessCode);
    } finally {
      this.#joining = false;
    }
  }

  /**
   * @param {string} nonce
   * @param {string} [accessCode]
   */
  async #join(nonce, accessCode) {
    this.#emit({ type: "joining" });
    const body = JSON.stringify(accessCode ? { nonce, accessCode } : { nonce });
    for (;;) {
      const answer = await this.#ask("/places", {
        method: "POST", body, headers: { "Content-Type": "application/json" },
      });
      if (isStatus(answer)) {
        this.#backoff.reset();
        this.#told(answer.body);
        return true;
      }
      if (answer !== null && !answer.ok && answer.status !== 429 && answer.status < 500) {
        this.#emit({ type: "refused", code: problemCode(answer) });
        return false;
      }
      this.#lost(answer);
      this.#emit({ type: "joinFailed" });
      await new Promise((resolve) => {
        this.#around.setTimer(() => resolve(null), this.#pause(answer));
      });
    }
  }

  /** Starts listening; has no effect if it is listening already. */
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

  /**
   * The tab is shown again, or the network is back: polls at once, and replaces the connection if
   * it stays silent.
   */
  wake() {
    if (!this.#listening) return;
    if (this.#way === "poll") {
      this.#drop();
      void this.#poll(DOUBTFUL_ANSWER_MS);
      return;
    }
    if (this.#line === null || this.#around.now() - this.#heardAt >= SILENCE_MS) {
      this.#drop();
      this.#connect();
    } else {
      this.#doubt();
    }
    void this.#look();
  }

  /** Reconnects soon: opening a connection after a missed turn is what counts as returning. */
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
    return answer?.ok ? answer.body : null;
  }

  #connect() {
    if (this.#way === "poll") {
      void this.#poll();
      return;
    }
    this.#spoken = 0;
    this.#doubtful = false;
    this.#heardAt = this.#around.now();
    try {
      if (this.#way === "socket") this.#connectSocket();
      else this.#connectStream();
    } catch {
      // The browser lacks this transport or forbids it.
      this.#failures = FAILURES_PER_WAY;
      this.#failed();
      return;
    }
    // From now on, because a connection that is never established is silent too.
    this.#watch(SILENCE_MS);
  }

  #connectSocket() {
    const socket = this.#around.openSocket(`${this.#api}/place/live`);
    this.#line = socket;
    socket.onmessage = (message) => this.#received(String(message.data), socket);
    socket.onclose = () => {
      if (this.#line === socket) this.#failed();
    };
  }

  #connectStream() {
    const stream = this.#around.openStream(`${this.#api}/place/live`);
    this.#line = stream;
    const received = (/** @type {MessageEvent} */ message) =>
      this.#received(String(message.data), stream);
    for (const name of ["message", "status", "heartbeat", "reconnect"]) {
      stream.addEventListener(name, /** @type {EventListener} */ (received));
    }
    stream.onerror = () => {
      // The browser would reconnect by itself, but without reporting the cause.
      stream.close();
      if (this.#line === stream) this.#failed();
    };
  }

  /**
   * @param {string} text
   * @param {{close(): void}} line
   */
  #received(text, line) {
    if (this.#line !== line) return;
    this.#spoke();
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
      this.#told(frame);
    } else {
      this.#emit({ type: "alive" });
    }
  }

  /**
   * Records a message. Only a received message proves the connection: proxies accept connections
   * and may then buffer them.
   */
  #spoke() {
    this.#spoken += 1;
    this.#heardAt = this.#around.now();
    if (this.#spoken === 1) this.#emit({ type: "linked", how: "live" });
    // A single message may be all that a buffering proxy lets through.
    if (this.#spoken === 2) {
      this.#failures = 0;
      this.#backoff.reset();
    }
    if (!this.#doubtful) this.#watch(SILENCE_MS);
  }

  /**
   * Tests the connection in two steps. What arrives in the first one may have been on its way
   * before the network was lost, so it does not prove the connection; the second step does.
   */
  #doubt() {
    const before = this.#spoken;
    const ms = this.#askToSpeak() ? WAKE_SILENCE_MS : WAKE_STREAM_SILENCE_MS;
    this.#doubtful = true;
    this.#watch(ms, () => {
      this.#doubtful = false;
      if (this.#spoken === before) {
        this.#fellSilent();
        return;
      }
      this.#askToSpeak();
      this.#watch(ms);
    });
  }

  /** Requests a heartbeat over a socket. Returns whether the transport is a socket. */
  #askToSpeak() {
    try {
      this.#line?.send?.(ARE_YOU_THERE);
      return typeof this.#line?.send === "function";
    } catch {
      // The socket is not open yet; the silence timer covers that.
      return true;
    }
  }

  /**
   * Replaces the connection, or does something else, if it stays silent for `ms`.
   * @param {number} ms
   * @param {() => void} [run]
   */
  #watch(ms, run = () => this.#fellSilent()) {
    if (this.#watchdog !== null) this.#around.clearTimer(this.#watchdog);
    this.#watchdog = this.#around.setTimer(() => {
      this.#watchdog = null;
      run();
    }, ms);
  }

  /**
   * Nothing arrived for too long. A connection that had delivered messages was lost with its
   * network, so the next one is opened at once: a poll could use another dead connection of the
   * browser.
   */
  #fellSilent() {
    // A connection without any message is blocked or buffered; one with a single message may be.
    if (this.#spoken === 0) this.#failures = FAILURES_PER_WAY;
    else if (this.#spoken === 1) this.#failures += 1;
    if (this.#failures >= FAILURES_PER_WAY) {
      this.#failed(0, DOUBTFUL_ANSWER_MS);
      return;
    }
    this.#drop();
    this.#emit({ type: "linkLost", offline: !this.#around.isOnline() });
    this.#connect();
    void this.#look();
  }

  /**
   * After a failed attempt: one poll, for the status and the cause, then the next attempt.
   * @param {number} [ms] the pause before the poll
   * @param {number} [answerMs] the longest wait for its answer
   */
  #failed(ms, answerMs) {
    this.#drop();
    this.#failures += 1;
    this.#emit({ type: "linkLost", offline: !this.#around.isOnline() });
    this.#schedule(ms ?? this.#backoff.next(), () => void this.#poll(answerMs));
  }

  /** Moves to a simpler transport after failures, if the line itself answers. */
  #lower() {
    if (this.#way === "poll" || this.#failures < FAILURES_PER_WAY) return;
    this.#way = this.#way === "socket" ? "stream" : "poll";
    this.#failures = 0;
  }

  /** @param {number} [answerMs] */
  async #poll(answerMs) {
    const doubtful = this.#unanswered > 0 && this.#unanswered <= KEPT_CONNECTIONS;
    const ms = answerMs ?? (doubtful ? DOUBTFUL_ANSWER_MS : ANSWER_MS);
    const answer = await this.#ask("/place", {}, ms);
    this.#unanswered = answer === null ? this.#unanswered + 1 : 0;
    if (!this.#listening) return;
    if (isStatus(answer)) {
      this.#told(answer.body);
      this.#lower();
      this.#polled(Number(answer.body.pollAfterMs) || HIDDEN_POLL_MS);
    } else if (!this.#gone(answer)) {
      // The line does not answer at all, so the transport is not the cause.
      this.#failures = 0;
      this.#lost(answer);
      this.#schedule(this.#pause(answer), () => void this.#poll());
    }
  }

  /** Polls once beside the connection. */
  async #look() {
    const answer = await this.#ask("/place", {}, DOUBTFUL_ANSWER_MS);
    if (!this.#listening) return;
    if (isStatus(answer)) this.#told(answer.body);
    else this.#gone(answer);
  }

  /**
   * Whether a response says that the place is gone; then the client stops listening.
   * @param {Answer | null} answer
   */
  #gone(answer) {
    if (answer === null || ![401, 404, 410].includes(answer.status)) return false;
    this.stop();
    this.#emit({ type: "placeLost", code: problemCode(answer) });
    return true;
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
    this.#backoff.reset();
    const hidden = this.#around.isHidden() ? HIDDEN_POLL_MS : 0;
    const pollMs = this.#backoff.spread(Math.max(pollAfterMs, hidden));
    this.#emit({ type: "linked", how: "polling", pollMs });
    this.#schedule(pollMs);
  }

  /** @param {Status} status */
  #told(status) {
    this.#emit({ type: "status", status, at: this.#around.now() });
  }

  /** @param {Answer | null} answer */
  #lost(answer) {
    if (answer === null) this.#emit({ type: "linkLost", offline: !this.#around.isOnline() });
    else this.#emit({ type: "unavailable" });
  }

  /** @param {Answer | null} answer */
  #pause(answer) {
    return Math.max(this.#backoff.next(), this.#backoff.spread(answer?.retryAfterMs ?? 0));
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
   * Throws if the browser cannot send requests at all; a missing response is `null`.
   * @param {string} path
   * @param {RequestInit} init
   * @param {number} [ms] longest wait
   * @returns {Promise<Answer | null>} null when there was no answer at all
   */
  async #ask(path, init, ms = ANSWER_MS) {
    const abort = typeof AbortController === "function" ? new AbortController() : null;
    const asked = this.#around.fetch(this.#api + path, {
      credentials: "same-origin", cache: "no-store", ...(abort ? { signal: abort.signal } : {}), ...init,
    });
    /** @type {number | undefined} */
    let timer;
    /** @type {Promise<null>} */
    const late = new Promise((resolve) => {
      timer = this.#around.setTimer(() => resolve(null), ms);
    });
    const answer = await Promise.race([asked.then(read, () => null), late]);
    if (timer !== undefined) this.#around.clearTimer(timer);
    if (answer === null) abort?.abort();
    return answer;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<Answer>}
 */
async function read(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // No body, or the page of a proxy.
  }
  const retryAfterMs = Number(response.headers.get("Retry-After") ?? 0) * 1000 || 0;
  return { ok: response.ok, status: response.status, body, retryAfterMs };
}

/**
 * Whether a response is a status document: networks with a login page answer every request.
 * @param {Answer | null} answer
 * @returns {answer is Answer}
 */
function isStatus(answer) {
  return answer !== null && answer.ok && typeof answer.body?.state === "string";
}

/** @param {Answer} answer */
function problemCode({ body }) {
  // A 403 for another reason than the access code comes from the check of the origin: the page is
  // open at an address other than the public one.
  if (body?.code === "forbidden" && body.field !== "accessCode") return "address";
  return typeof body?.code === "string" ? body.code : "other";
}
