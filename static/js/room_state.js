// @ts-check
// The page's state, and how events change it. Pure: no DOM, no network, no clock.

/** @typedef {import("./wording.js").Status} Status */

/**
 * @typedef {object} RoomState
 * @property {Status | null} status the last status document
 * @property {number} heardAt when it came, local clock, milliseconds
 * @property {number} skewMs server clock minus local clock, as far as known
 * @property {"connecting" | "live" | "polling" | "stale" | "unavailable" | "offline"} link
 * @property {number} pollMs interval, when polling
 * @property {"no" | "joining" | "yes"} joined
 * @property {number | null} joinedAt when a join gave the place, local clock, milliseconds
 * @property {number} joinFailures joins in a row that nothing answered
 * @property {string | null} refused problem code of the last refused join
 * @property {number | null} autoEnterAt local clock, milliseconds
 * @property {boolean} stayed whether the fan stopped the automatic entry
 */

/**
 * @typedef {{type: "joining"}
 *   | {type: "joinFailed"}
 *   | {type: "refused", code: string}
 *   | {type: "alive"}
 *   | {type: "status", status: Status, at: number}
 *   | {type: "linked", how: "live" | "polling", pollMs?: number}
 *   | {type: "linkLost", offline: boolean}
 *   | {type: "unavailable"}
 *   | {type: "placeLost", code: string}
 *   | {type: "stayed"}} RoomEvent
 */

/**
 * Time in which a fan can stop the automatic entry. WCAG 2.2.1 requires at least 20 seconds.
 */
export const AUTO_ENTER_MS = 20_000;
/**
 * A fan who is called this soon after joining goes in at once: there is nothing to come back to,
 * and no wait in which they could have turned to something else.
 */
export const AT_ONCE_MS = 1_000;
/** Part of a short claim window after which the page enters by itself. */
const AUTO_ENTER_SHARE = 0.5;

/** @type {Readonly<RoomState>} */
export const INITIAL = Object.freeze({
  status: null, heardAt: 0, skewMs: 0, link: "connecting", pollMs: 0, joined: "no",
  joinedAt: null, joinFailures: 0, refused: null, autoEnterAt: null, stayed: false,
});

/**
 * @param {RoomState} state
 * @param {RoomEvent} event
 * @returns {RoomState}
 */
export function reduce(state, event) {
  switch (event.type) {
    case "joining":
      return { ...state, joined: "joining", joinFailures: 0, refused: null };
    case "joinFailed":
      return { ...state, joinFailures: state.joinFailures + 1 };
    case "refused":
      return { ...state, joined: "no", refused: event.code };
    case "alive":
      return state;
    case "status":
      return heard(state, event.status, event.at);
    case "linked":
      return { ...state, link: event.how, pollMs: event.pollMs ?? 0 };
    case "linkLost":
      return { ...state, link: event.offline ? "offline" : state.status ? "stale" : "connecting" };
    case "unavailable":
      return { ...state, link: "unavailable" };
    case "placeLost":
      return { ...INITIAL, skewMs: state.skewMs, refused: event.code };
    case "stayed":
      return { ...state, stayed: true, autoEnterAt: null };
  }
}

/**
 * @param {RoomState} state
 * @param {Status} status
 * @param {number} at
 */
function heard(state, status, at) {
  // A frame can arrive before the response to an earlier poll.
  if (state.status !== null && status.updatedAt < state.status.updatedAt) return state;
  // Every document is as old as its transfer or older, so the largest difference is the best
  // estimate.
  const ahead = Date.parse(status.updatedAt) - at;
  const skewMs = state.status === null ? ahead : Math.max(state.skewMs, ahead);
  const joins = state.joined === "joining" && status.state === "waiting";
  const joinedAt = joins ? at : state.joinedAt;
  const next = { ...state, status, heardAt: at, skewMs, joinedAt, joinFailures: 0, joined: /** @type {const} */ ("yes"), refused: null };
  if (status.state !== "called") return { ...next, autoEnterAt: null, stayed: false };
  if (state.status?.state === "called" || state.stayed) return next;
  const isAtOnce = state.status?.state === "waiting" && joinedAt !== null && at - joinedAt <= AT_ONCE_MS;
  return { ...next, autoEnterAt: isAtOnce ? at : at + autoEnterIn(status, at + skewMs) };
}

/**
 * @param {Status} status
 * @param {number} serverNow
 */
function autoEnterIn(status, serverNow) {
  if (status.claimBy === null) return AUTO_ENTER_MS;
  const left = Math.max(0, Date.parse(status.claimBy) - serverNow);
  return Math.min(AUTO_ENTER_MS, left * AUTO_ENTER_SHARE);
}

/**
 * Milliseconds until the claim deadline, or null.
 * @param {RoomState} state
 * @param {number} now local clock
 */
export function claimLeft(state, now) {
  const by = state.status?.state === "called" ? state.status.claimBy : null;
  return by ? Math.max(0, Date.parse(by) - (now + state.skewMs)) : null;
}

/**
 * Milliseconds until the page enters by itself, or null if it does not.
 * @param {RoomState} state
 * @param {number} now local clock
 */
export function autoEnterLeft(state, now) {
  return state.autoEnterAt === null ? null : Math.max(0, state.autoEnterAt - now);
}

/**
 * Whether a status can still change, so that the page has to listen.
 * @param {Status | null} status
 */
export function isOpenEnded(status) {
  return status !== null && ["prequeue", "waiting", "called", "missed"].includes(status.state);
}
