// @ts-check
// The hall, unpacked from the compact seat map. Pure: no DOM, no network.

/**
 * @typedef {object} Seat
 * @property {number} index position in map order
 * @property {string} seatId
 * @property {string} section
 * @property {string} row
 * @property {number} number
 * @property {string} category
 * @property {number} priceMinor
 * @property {number} x in seat widths from the left
 * @property {number} y in seat widths from the stage
 * @property {boolean} accessible
 */

/**
 * @typedef {object} Row neighbours by name: a row of a section, in map order
 * @property {string} section
 * @property {string} row
 * @property {Seat[]} seats
 */

/**
 * @typedef {object} Hall
 * @property {Seat[]} seats in map order
 * @property {Map<string, Seat>} byId made when it is first asked for: 30,000 names take a phone long
 * @property {Row[]} rows
 * @property {(seat: Seat) => Row | undefined} rowOf
 */

/**
 * @typedef {object} CompactMap as in the contract
 * @property {number} version
 * @property {string[]} sections
 * @property {string[]} categories
 * @property {{section: number, row: string, category: number, priceMinor: number, count: number,
 *   number: number, x: number, y: number, prefix: string, seatId?: string}[]} runs
 * @property {number[]} accessible
 * @property {string} statuses
 */

/** The letters of the compact map, and the same statuses in the live stream. */
const WORDS = /** @type {const} */ ({ A: "AVAILABLE", H: "HELD", B: "BOOKED", X: "BLOCKED" });
const LETTERS = new Map(Object.entries(WORDS).map(([letter, word]) => [word, letter]));

/** @param {string | undefined} letter */
export function word(letter) {
  return /** @type {Record<string, string>} */ (WORDS)[letter ?? "X"] ?? "BLOCKED";
}

/** @param {string} status */
export function letterOf(status) {
  return LETTERS.get(/** @type {any} */ (status)) ?? "X";
}

/**
 * @param {CompactMap} map
 * @returns {Hall}
 */
export function unpack(map) {
  const accessible = new Set(map.accessible);
  /** @type {Seat[]} */
  const seats = [];
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @type {Row[]} the row of each seat, in map order */
  const rowAt = [];
  for (const run of map.runs) {
    const section = map.sections[run.section] ?? "";
    const category = map.categories[run.category] ?? "";
    const key = `${section}\n${run.row}`;
    let row = rows.get(key);
    if (row === undefined) rows.set(key, row = { section, row: run.row, seats: [] });
    for (let at = 0; at < run.count; at += 1) {
      const number = run.number + at;
      const seat = {
        index: seats.length, seatId: run.seatId ?? run.prefix + number, section, row: run.row,
        number, category, priceMinor: run.priceMinor, x: run.x + at, y: run.y,
        accessible: accessible.has(seats.length),
      };
      seats.push(seat);
      row.seats.push(seat);
      rowAt.push(row);
    }
  }
  /** @type {Map<string, Seat> | null} */
  let byId = null;
  return {
    seats,
    rows: [...rows.values()],
    rowOf: (seat) => rowAt[seat.index],
    get byId() {
      return byId ??= new Map(seats.map((seat) => [seat.seatId, seat]));
    },
  };
}

/**
 * The seat that an arrow key moves to: along the row, or the nearest one in the next row.
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
    const ahead = sign * (along ? seat.x - from.x : seat.y - from.y);
    const aside = Math.abs(along ? seat.y - from.y : seat.x - from.x);
    if (ahead <= 0 || (along && aside > 0)) continue;
    // Distance in rows counts more than distance along the row.
    const cost = along ? ahead : ahead * 1000 + aside;
    if (cost < bestCost) [best, bestCost] = [seat, cost];
  }
  return best;
}
