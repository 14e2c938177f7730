// @ts-check
// Which seats there are and which are chosen. Pure: no DOM, no network.

/**
 * @typedef {object} Seat as in the seat map of the contract
 * @property {string} seatId
 * @property {string} row
 * @property {number} number
 * @property {string} category
 * @property {string} status
 * @property {number} priceMinor
 * @property {number} x
 * @property {number} y
 * @property {boolean} accessible
 */

/**
 * @typedef {object} SeatState
 * @property {Map<string, Seat>} seats
 * @property {number} version of the map; -1 before it is known
 * @property {boolean} stale whether changes were missed, so that the map has to be fetched again
 * @property {string[]} chosen in the order of choosing
 * @property {string[]} touched seats whose look changed with the last event
 * @property {string[]} taken chosen seats that the last event took away
 * @property {boolean} refused whether the last choice was over the limit
 * @property {number} limit
 */

/**
 * @typedef {{type: "loaded", version: number, seats: Seat[]}
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
    seats: new Map(), version: -1, stale: true, chosen, touched: [], taken: [], refused: false, limit,
  };
}

/**
 * @param {SeatState} state
 * @param {SeatEvent} event
 * @returns {SeatState}
 */
export function reduce(state, event) {
  const quiet = { ...state, touched: [], taken: [], refused: false };
  switch (event.type) {
    case "loaded": return loaded(quiet, event);
    case "changed": return changed(quiet, event);
    case "toggled": return toggled(quiet, event.seatId);
  }
}

/**
 * @param {SeatState} state
 * @param {{version: number, seats: Seat[]}} map
 * @returns {SeatState}
 */
function loaded(state, { version, seats }) {
  // A cached map may be older than the changes already applied.
  if (version < state.version) return { ...state, stale: false };
  const known = new Map(seats.map((seat) => [seat.seatId, seat]));
  const touched = [...known.keys()].filter(
    (id) => state.seats.get(id)?.status !== known.get(id)?.status,
  );
  return settle({ ...state, seats: known, version, stale: false, touched });
}

/**
 * @param {SeatState} state
 * @param {{fromVersion: number, version: number, changes: {seatId: string, status: string}[]}} event
 * @returns {SeatState}
 */
function changed(state, { fromVersion, version, changes }) {
  if (version <= state.version) return state;
  if (fromVersion > state.version) return { ...state, stale: true };
  const seats = new Map(state.seats);
  const touched = [];
  for (const { seatId, status } of changes) {
    const seat = seats.get(seatId);
    if (seat === undefined || seat.status === status) continue;
    seats.set(seatId, { ...seat, status });
    touched.push(seatId);
  }
  return settle({ ...state, seats, version, touched });
}

/**
 * Takes seats off the list that can no longer be had.
 * @param {SeatState} state
 * @returns {SeatState}
 */
function settle(state) {
  const free = (/** @type {string} */ id) => state.seats.get(id)?.status === "AVAILABLE";
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
    return { ...state, chosen: state.chosen.filter((id) => id !== seatId), touched: [seatId] };
  }
  if (state.seats.get(seatId)?.status !== "AVAILABLE") return state;
  if (state.chosen.length >= state.limit) return { ...state, refused: true };
  return { ...state, chosen: [...state.chosen, seatId], touched: [seatId] };
}

/**
 * Price of the chosen seats in minor units.
 * @param {SeatState} state
 */
export function total({ seats, chosen }) {
  return chosen.reduce((sum, id) => sum + (seats.get(id)?.priceMinor ?? 0), 0);
}

/**
 * The seat an arrow key leads to: along the row, or the nearest one in the next row.
 * @param {Iterable<Seat>} seats
 * @param {Seat} from
 * @param {"left" | "right" | "up" | "down"} direction
 * @returns {Seat | null}
 */
export function neighbour(seats, from, direction) {
  const along = direction === "left" || direction === "right";
  const sign = direction === "left" || direction === "up" ? -1 : 1;
  /** @type {Seat | null} */
  let best = null;
  let bestCost = Infinity;
  for (const seat of seats) {
    const [ahead, aside] = along
      ? [sign * (seat.x - from.x), Math.abs(seat.y - from.y)]
      : [sign * (seat.y - from.y), Math.abs(seat.x - from.x)];
    if (ahead <= 0 || (along && aside > 0)) continue;
    // The next row counts more than how straight the way there is.
    const cost = along ? ahead : ahead * 1000 + aside;
    if (cost < bestCost) [best, bestCost] = [seat, cost];
  }
  return best;
}
