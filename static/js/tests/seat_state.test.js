// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { initial, neighbour, reduce, total } from "../seats/seat_state.js";
import { pan, reveal, zoom } from "../seats/viewport.js";

const seats = ["A1", "A2", "A3", "B1", "B2", "B3"].map((seatId) => ({
  seatId, row: seatId.charAt(0), number: Number(seatId.charAt(1)), category: "GOLD",
  status: seatId === "A3" ? "BOOKED" : "AVAILABLE", priceMinor: 1000,
  x: Number(seatId.charAt(1)), y: seatId.startsWith("A") ? 1 : 2, accessible: false,
}));
/** @param {string[]} chosen */
const loaded = (chosen = [], limit = 2) =>
  reduce(initial(limit, chosen), { type: "loaded", version: 4, seats });
/** @param {string} seatId @returns {any} */
const toggled = (seatId) => ({ type: "toggled", seatId });
/** @param {number} fromVersion @param {number} version @param {Record<string, string>} changes @returns {any} */
const changed = (fromVersion, version, changes) => ({
  type: "changed", fromVersion, version,
  changes: Object.entries(changes).map(([seatId, status]) => ({ seatId, status })),
});

test("a seat is chosen and given back", () => {
  const chosen = reduce(reduce(loaded(), toggled("A1")), toggled("B2"));
  assert.deepEqual(chosen.chosen, ["A1", "B2"]);
  assert.equal(total(chosen), 2000);
  assert.deepEqual(reduce(chosen, toggled("A1")).chosen, ["B2"]);
});

test("a seat over the limit is refused and told", () => {
  const full = reduce(reduce(loaded(), toggled("A1")), toggled("A2"));
  const over = reduce(full, toggled("B1"));
  assert.deepEqual([over.chosen, over.refused], [["A1", "A2"], true]);
});

test("a sold seat cannot be chosen", () => {
  assert.deepEqual(reduce(loaded(), toggled("A3")).chosen, []);
  assert.deepEqual(loaded(["A3", "A1"]).chosen, ["A1"], "also not from an earlier form");
});

test("a chosen seat that someone else took leaves the list and is told", () => {
  const after = reduce(reduce(loaded(), toggled("A1")), changed(4, 5, { A1: "HELD" }));
  assert.deepEqual([after.chosen, after.taken, after.touched], [[], ["A1"], ["A1"]]);
});

test("missed changes ask for the map, old ones are ignored", () => {
  const gap = reduce(loaded(), changed(6, 7, { A1: "HELD" }));
  assert.equal(gap.stale, true);
  assert.equal(gap.seats.get("A1")?.status, "AVAILABLE");
  assert.equal(reduce(loaded(), changed(2, 3, { A1: "HELD" })).seats.get("A1")?.status, "AVAILABLE");
});

test("a map older than what is known does not turn time back", () => {
  const known = reduce(loaded(), changed(4, 9, { A1: "BOOKED" }));
  const old = reduce(known, { type: "loaded", version: 6, seats });
  assert.equal(old.seats.get("A1")?.status, "BOOKED");
});

test("arrows lead along the row and to the nearest seat of the next row", () => {
  const from = /** @type {any} */ (seats[1]);
  const to = (/** @type {any} */ direction) => neighbour(seats, from, direction)?.seatId ?? null;
  assert.deepEqual([to("left"), to("right"), to("up"), to("down")], ["A1", "A3", null, "B2"]);
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
