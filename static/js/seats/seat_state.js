// @ts-check
// The state of the seats and the selection. Pure: no DOM, no network.

import { letterOf, unpack, word } from "./hall.js";

/** @typedef {import("./hall.js").Hall} Hall */
/** @typedef {import("./hall.js").CompactMap} CompactMap */

/**
 * @typedef {object} SeatState
 * @property {Hall | null} hall
 * @property {string[]} letters status of each seat in map order; a copy for every change
 * @property {number} version of the map; -1 before it is known
 * @property {boolean} stale whether changes were missed, so that the map has to be fetched again
 * @property {string[]} chosen in the order of choosing
 * @property {boolean} changed whether the last event changed how any seat looks
 * @property {string[]} taken chosen seats that the last event took away
 * @property {boolean} refused whether the last choice was over the limit
 * @property {number} limit
 */

/**
 * @typedef {{type: "loaded", map: CompactMap}
 *   | {type: "changed", fromVersion: number, version: number,
 *      changes: {seatId: string, status: string}[]}
 *   | {type: "toggled", seatId: string}} SeatEvent
 */

/**
 * @param {number} limit most seats one customer may have
 * @param {string[]} chosen seats to choose as soon as the map is known
 * @returns {SeatState}
 */
export function initial(limit, chosen) {
  return {
    hall: null, letters: [], version: -1, stale: true, chosen, changed: false, taken: [],
    refused: false, limit,
  };
}

/**
 * @param {SeatState} state
 * @param {SeatEvent} event
 * @returns {SeatState}
 */
export function reduce(state, event) {
  const quiet = { ...state, changed: false, taken: [], refused: false };
  switch (event.type) {
    case "loaded": return loaded(quiet, event.map);
    case "changed": return changed(quiet, event);
    case "toggled": return toggled(quiet, event.seatId);
  }
}

/**
 * The status of a seat: `AVAILABLE`, `HELD`, `BOOKED` or `BLOCKED`; undefined for an unknown id.
 * @param {SeatState} state
 * @param {string} seatId
 */
export function statusOf({ hall, letters }, seatId) {
  const seat = hall?.byId.get(seatId);
  return seat && word(letters[seat.index]);
}

/**
 * The status of a seat of the hall.
 * @param {SeatState} state
 * @param {import("./hall.js").Seat} seat
 */
export function statusAt({ letters }, seat) {
  return word(letters[seat.index]);
}

/**
 * @param {SeatState} state
 * @param {CompactMap} map
 * @returns {SeatState}
 */
function loaded(state, map) {
  // A cached map may be older than changes that were already applied.
  if (map.version < state.version) return { ...state, stale: false };
  return settle({
    ...state, hall: unpack(map), letters: [...map.statuses], version: map.version, stale: false,
    changed: true,
  });
}

/**
 * @param {SeatState} state
 * @param {{fromVersion: number, version: number, changes: {seatId: string, status: string}[]}} event
 * @returns {SeatState}
 */
function changed(state, { fromVersion, version, changes }) {
  if (version <= state.version) return state;
  if (fromVersion > state.version) return { ...state, stale: true };
  const letters = [...state.letters];
  for (const { seatId, status } of changes) {
    const seat = state.hall?.byId.get(seatId);
    if (seat !== undefined) letters[seat.index] = letterOf(status);
  }
  return settle({ ...state, letters, version, changed: true });
}

/**
 * Removes selected seats that are no longer available.
 * @param {SeatState} state
 * @returns {SeatState}
 */
function settle(state) {
  const free = (/** @type {string} */ id) => statusOf(state, id) === "AVAILABLE";
  const taken = state.chosen.filter((id) => !free(id));
  return taken.length === 0 ? state : { ...state, taken, chosen: state.chosen.filter(free) };
}

/**
 * @param {SeatState} state
 * @param {string} seatId
 * @returns {SeatState}
 */
function toggled(state, seatId) {
  if (state.chosen.includes(seatId)) {
    return { ...state, chosen: state.chosen.filter((id) => id !== seatId), changed: true };
  }
  if (statusOf(state, seatId) !== "AVAILABLE") return state;
  if (state.chosen.length >= state.limit) return { ...state, refused: true };
  return { ...state, chosen: [...state.chosen, seatId], changed: true };
}

/**
 * Price of the chosen seats in minor units. The price of each contains what a booking pays once.
 * @param {SeatState} state
 * @param {number} bookingFee what a booking pays once, in minor units
 */
export function total({ hall, chosen }, bookingFee) {
  const each = chosen.reduce((sum, id) => sum + (hall?.byId.get(id)?.priceMinor ?? 0), 0);
  return each - Math.max(chosen.length - 1, 0) * bookingFee;
}
