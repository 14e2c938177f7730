// @ts-check
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { span } from "../duration.js";
import { wording } from "../wording.js";
import { status } from "./sample.js";

const cases = JSON.parse(readFileSync(new URL("wording.json", import.meta.url), "utf8"));

for (const { name, status: changes, expected } of cases) {
  test(`wording: ${name}`, () => {
    const said = /** @type {Record<string, unknown>} */ ({ ...wording(status(changes)) });
    for (const [key, value] of Object.entries(expected)) assert.equal(said[key], value, key);
  });
}

test("spans have two units", () => {
  assert.equal(span(-5), "0 s");
  assert.equal(span(59_999), "59 s");
  assert.equal(span(200_000), "3 min 20 s");
  assert.equal(span(3_660_000), "1 h 1 min");
  assert.equal(span(180_000_000), "2 days 2 h");
});
