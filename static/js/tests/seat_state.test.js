// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { neighbour, unpack } from "../seats/hall.js";
import { initial, reduce, statusOf, total } from "../seats/seat_state.js";
import { pan, reveal, zoom } from "../seats/viewport.js";

const run = { category: 0, priceMinor: 1000, count: 3, number: 1, x: 1 };
/** @type {any} */
const map = {
  version: 4, sections: ["Stalls", "Balcony"], categories: ["GOLD"], accessible: [1],
  runs: [
    { ...run, section: 0, row: "A", y: 1, prefix: "A" },
    { ...run, section: 1, row: "A", y: 2, prefix: "BAL-A-" },
    { ...run, section: 1, row: "A", y: 2, x: 9, count: 1, number: 7, prefix: "", seatId: "ROYAL" },
  ],
  statuses: "AABAAAA",
};
/** @param {string[]} chosen */
const loaded = (chosen = [], limit = 2) =>
  reduce(initial(limit, chosen), { type: "loaded", map });
/** @param {string} seatId @returns {any} */
const toggled = (seatId) => ({ type: "toggled", seatId });
/** @param {number} fromVersion @param {number} version @param {Record<string, string>} changes @returns {any} */
const changed = (fromVersion, version, changes) => ({
  type: "changed", fromVersion, version,
  changes: Object.entries(changes).map(([seatId, status]) => ({ seatId, status })),
});

test("a seat is chosen and given back", () => {
  const chosen = reduce(reduce(loaded(), toggled("A1")), toggled("BAL-A-2"));
  assert.deepEqual(chosen.chosen, ["A1", "BAL-A-2"]);
  assert.equal(total(chosen, 0), 2000);
  assert.equal(total(chosen, 150), 1850);
  assert.deepEqual(reduce(chosen, toggled("A1")).chosen, ["BAL-A-2"]);
});

test("a seat over the limit is refused and told", () => {
  const full = reduce(reduce(loaded(), toggled("A1")), toggled("A2"));
  const over = reduce(full, toggled("BAL-A-1"));
  assert.deepEqual([over.chosen, over.refused], [["A1", "A2"], true]);
});

test("a sold seat cannot be chosen", () => {
  assert.deepEqual(reduce(loaded(), toggled("A3")).chosen, []);
  assert.deepEqual(loaded(["A3", "A1"]).chosen, ["A1"], "also not from an earlier form");
});

test("a chosen seat that someone else took leaves the list and is told", () => {
  const after = reduce(reduce(loaded(), toggled("A1")), changed(4, 5, { A1: "HELD" }));
  assert.deepEqual([after.chosen, after.taken, after.changed], [[], ["A1"], true]);
});

test("missed changes ask for the map, old ones are ignored", () => {
  const gap = reduce(loaded(), changed(6, 7, { A1: "HELD" }));
  assert.equal(gap.stale, true);
  assert.equal(statusOf(gap, "A1"), "AVAILABLE");
  assert.equal(statusOf(reduce(loaded(), changed(2, 3, { A1: "HELD" })), "A1"), "AVAILABLE");
});

test("a map older than what is known does not turn time back", () => {
  const known = reduce(loaded(), changed(4, 9, { A1: "BOOKED" }));
  const old = reduce(known, { type: "loaded", map: { ...map, version: 6 } });
  assert.equal(statusOf(old, "A1"), "BOOKED");
});

test("arrows lead along the row and to the nearest seat of the next row", () => {
  const { seats } = unpack(map);
  const from = /** @type {any} */ (seats[1]);
  const to = (/** @type {any} */ direction) => neighbour(seats, from, direction)?.seatId ?? null;
  assert.deepEqual([to("left"), to("right"), to("up"), to("down")], ["A1", "A3", null, "BAL-A-2"]);
});

test("the view stays on the hall", () => {
  const hall = { x: 0, y: 0, width: 80, height: 40 };
  const near = zoom(hall, hall, 4, { x: 80, y: 40 });
  assert.deepEqual(near, { x: 60, y: 30, width: 20, height: 10 });
  assert.deepEqual(pan(near, hall, 100, 100), near);
  assert.deepEqual(zoom(near, hall, 0.01, { x: 1, y: 1 }), hall);
  const seen = reveal(near, hall, { x: 5, y: 5 });
  assert.ok(seen.x <= 5 && seen.y <= 5 && seen.x >= 0);
});

test("runs unfold to seats with their places, sections and signs", () => {
  const { seats, rows, byId } = unpack(map);
  assert.deepEqual(seats.map((seat) => seat.seatId),
    ["A1", "A2", "A3", "BAL-A-1", "BAL-A-2", "BAL-A-3", "ROYAL"]);
  assert.deepEqual(rows.map(({ section, row, seats: all }) => [section, row, all.length]),
    [["Stalls", "A", 3], ["Balcony", "A", 4]], "a row is one of its section");
  const seat = byId.get("BAL-A-3");
  assert.deepEqual([seat?.section, seat?.number, seat?.x, seat?.y], ["Balcony", 3, 3, 2]);
  assert.deepEqual(seats.filter((one) => one.accessible).map((one) => one.seatId), ["A2"]);
});
