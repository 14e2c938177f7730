// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { drawSeat } from "../seats/marks.js";

const INK = {
  categories: ["red", "blue", "green", "gold", "teal", "pink"],
  named: { "--text": "black", "--ground": "white", "--edge": "grey" },
};

/** The colours of the rectangles that drawing a step-free seat fills. */
function filled(/** @type {string} */ status, chosen = false, px = 20) {
  const colours = /** @type {string[]} */ ([]);
  const context = new Proxy(/** @type {Record<string, string>} */ ({}), {
    get: (seen, name) => name === "fillRect" ? () => colours.push(seen.fillStyle ?? "") : () => {},
    set: (seen, name, value) => {
      seen[String(name)] = value;
      return true;
    },
  });
  const seat = /** @type {import("../seats/hall.js").Seat} */ (
    /** @type {unknown} */ ({ accessible: true })
  );
  const drawn = /** @type {CanvasRenderingContext2D} */ (/** @type {unknown} */ (context));
  drawSeat(drawn, INK, { seat, category: 1, status, chosen }, px);
  return colours;
}

test("a step-free seat keeps the colour of its category", () => {
  /** @type {any} */ (globalThis).Path2D = class {};
  assert.deepEqual(filled("AVAILABLE"), ["blue"]);
  assert.deepEqual(filled("AVAILABLE", true), ["black"]);
  assert.deepEqual(filled("BOOKED"), []);
  assert.deepEqual(filled("AVAILABLE", false, 4), ["blue"]);
});
