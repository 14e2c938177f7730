// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { bars, cells, conversion, money, told } from "../sales.js";

test("amounts have the digits of their currency", () => {
  assert.equal(money(123_456, "EUR"), "EUR 1,234.56");
  assert.equal(money(123_456, "JPY"), "JPY 123,456");
  assert.equal(money(-1_000, "KWD"), "-KWD 1.000");
});

test("a show's row tells seats, money and who of those called bought", () => {
  const show = {
    sold: 1200, comp: 0, held: 7, free: 34, currency: "EUR", grossMinor: 500, refundedMinor: 200,
    netMinor: 300, room: { room: "eras", calls: 2000, buyers: 1500 },
  };
  assert.deepEqual(cells(show), {
    sold: "1,200", held: "7", free: "34", gross: "EUR 5.00", refunded: "EUR 2.00",
    net: "EUR 3.00", conversion: "75.0 %",
  });
  assert.equal(cells({ ...show, comp: 12 }).sold, "1,200 (12 given)");
  assert.equal(conversion(undefined), "no room");
  assert.equal(conversion({ calls: 0, buyers: 0 }), "nobody called");
});

test("bars are as high as their hour compared with the best", () => {
  assert.deepEqual(bars([0, 5, 10]), [0, 0.5, 1]);
  assert.deepEqual(bars([0, 0]), [0, 0]);
  assert.deepEqual(bars([]), []);
  assert.equal(told([0, 5, 10]), "15 tickets in 3 hours, 10 in this one, at most 10 in one");
});
