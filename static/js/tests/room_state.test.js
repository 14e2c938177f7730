// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { AT_ONCE_MS, AUTO_ENTER_MS, claimLeft, INITIAL, isOpenEnded, reduce } from "../room_state.js";
import { status } from "./sample.js";

const SERVER_NOW = Date.parse("2026-11-22T10:00:00.000Z");

/**
 * @param {Record<string, unknown>} changes
 * @param {number} at
 * @returns {any}
 */
const heard = (changes, at = SERVER_NOW) => ({ type: "status", status: status(changes), at });

test("an older document does not replace a newer one", () => {
  const newer = reduce(INITIAL, heard({ updatedAt: "2026-11-22T10:00:05.000Z", usersAhead: 5 }));
  const after = reduce(newer, heard({ updatedAt: "2026-11-22T10:00:04.000Z", usersAhead: 9 }));
  assert.equal(after.status?.usersAhead, 5);
});

test("losing the link keeps the numbers and says that they are old", () => {
  const live = reduce(reduce(INITIAL, heard({})), { type: "linked", how: "live" });
  const lost = reduce(live, { type: "linkLost", offline: false });
  assert.equal(lost.link, "stale");
  assert.equal(lost.status?.usersAhead, 100);
  assert.equal(reduce(live, { type: "linkLost", offline: true }).link, "offline");
  assert.equal(reduce(INITIAL, { type: "linkLost", offline: false }).link, "connecting");
});

test("a call enters by itself, but not before the fan had time to stop it", () => {
  const called = reduce(INITIAL, heard({ state: "called", claimBy: "2026-11-22T10:01:00.000Z" }));
  assert.equal(called.autoEnterAt, SERVER_NOW + AUTO_ENTER_MS);
  const again = reduce(called, heard({ state: "called", claimBy: "2026-11-22T10:01:00.000Z" }, SERVER_NOW + 9000));
  assert.equal(again.autoEnterAt, called.autoEnterAt, "later frames do not postpone it");
});

test("whoever is called just after joining goes in at once", () => {
  const joined = reduce(reduce(INITIAL, { type: "joining" }), heard({ state: "waiting" }));
  const soon = SERVER_NOW + AT_ONCE_MS;
  assert.equal(reduce(joined, heard({ state: "called", claimBy: null }, soon)).autoEnterAt, soon);
  const later = soon + 1;
  const called = reduce(joined, heard({ state: "called", claimBy: null }, later));
  assert.equal(called.autoEnterAt, later + AUTO_ENTER_MS);
});

test("a place that was called before the page was opened leaves time to stop", () => {
  const again = reduce(reduce(INITIAL, { type: "joining" }), heard({ state: "called", claimBy: null }));
  assert.equal(again.autoEnterAt, SERVER_NOW + AUTO_ENTER_MS);
});

test("a fan who stopped the automatic entry is not taken in by later frames", () => {
  const called = reduce(INITIAL, heard({ state: "called" }));
  const stayed = reduce(called, { type: "stayed" });
  assert.equal(stayed.autoEnterAt, null);
  assert.equal(reduce(stayed, heard({ state: "called" })).autoEnterAt, null);
});

test("a short claim window is entered while it is still open", () => {
  const called = reduce(INITIAL, heard({ state: "called", claimBy: "2026-11-22T10:00:10.000Z" }));
  assert.equal(called.autoEnterAt, SERVER_NOW + 5000);
});

test("the countdown follows the server's clock and not the visitor's", () => {
  const wrong = SERVER_NOW + 3_600_000;
  const called = reduce(INITIAL, heard({ state: "called", claimBy: "2026-11-22T10:01:00.000Z" }, wrong));
  assert.equal(claimLeft(called, wrong + 10_000), 50_000);
  assert.equal(claimLeft(called, wrong + 90_000), 0);
});

test("the clock is set by the quickest document", () => {
  const slow = reduce(INITIAL, heard({}, SERVER_NOW + 4000));
  const quick = reduce(slow, heard({ updatedAt: "2026-11-22T10:00:10.000Z" }, SERVER_NOW + 10_100));
  assert.equal(quick.skewMs, -100);
});

test("a refused join keeps its reason until the next one", () => {
  const refused = reduce(reduce(INITIAL, { type: "joining" }), { type: "refused", code: "room-closed" });
  assert.deepEqual([refused.joined, refused.refused], ["no", "room-closed"]);
  assert.equal(reduce(refused, { type: "joining" }).refused, null);
});

test("a lost place forgets the numbers but not the clock", () => {
  const placed = reduce(INITIAL, heard({}, SERVER_NOW + 500));
  const lost = reduce(placed, { type: "placeLost", code: "place-expired" });
  assert.deepEqual([lost.status, lost.refused, lost.skewMs], [null, "place-expired", -500]);
});

test("only states that can change are listened to", () => {
  const open = ["prequeue", "waiting", "called", "missed", "admitted", "left", "ended", "soldOut"]
    .filter((state) => isOpenEnded(status({ state })));
  assert.deepEqual(open, ["prequeue", "waiting", "called", "missed"]);
});
