// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { before, figures, question, reason } from "../figures.js";

/** The names of the cards from left to right, after they were made in this order. */
function row(/** @type {string[]} */ made) {
  const cards = /** @type {string[]} */ ([]);
  for (const name of made) {
    // The map of cards is in the order in which they were made, the row is not.
    const next = before(made.slice(0, made.indexOf(name)), name);
    cards.splice(next === null ? cards.length : cards.indexOf(next), 0, name);
  }
  return cards;
}

/** Every order of `names`. @param {string[]} names @returns {string[][]} */
function orders(names) {
  if (names.length < 2) return [names];
  return names.flatMap((name) =>
    orders(names.filter((other) => other !== name)).map((rest) => [name, ...rest]));
}

test("cards stand by name, in whatever order their numbers arrive", () => {
  for (const made of orders(["b", "a-1", "a", "eras", "c"])) {
    assert.deepEqual(row(made), ["a", "a-1", "b", "c", "eras"], made.join(" "));
  }
});

test("an idle room says that everyone passes through, and until when", () => {
  const idle = { phase: "idle", pausedReason: null };
  assert.equal(reason(idle), "everyone passes through until you open it");
  const opensAt = "2026-11-22T10:00:00.000Z";
  const at = new Date(opensAt).toLocaleString();
  assert.equal(reason({ ...idle, opensAt }), `everyone passes through until ${at}`);
  assert.match(reason({ ...idle, suspended: true, opensAt }), /out of use/);
  assert.match(reason({ ...idle, queueingMethod: "passthrough", opensAt }), /passthrough$/);
  assert.equal(reason({ phase: "paused", pausedReason: "Soon." }), "Soon.");
  assert.equal(reason({ phase: "paused", pausedReason: " " }), "");
});

test("resuming a closed room is asked otherwise than resuming a paused one", () => {
  assert.match(question("resume", "close"), /schedule.*everyone passes through/);
  assert.equal(question("resume", "pause"), "The room goes back to what it did before.");
});

test("an empty line has no wait", () => {
  const stats = { inLine: 0, expectedWaitSeconds: 120, joinsPerSecond: 0 };
  const shown = (/** @type {Record<string, any>} */ of) => Object.fromEntries(figures(of));
  assert.equal(shown(stats)["Expected wait"], "nobody waits");
  assert.equal(shown({ ...stats, inLine: 1 })["Expected wait"], "2 min");
});

test("a room that calls in batches shows how many it calls at once", () => {
  const shown = (/** @type {Record<string, any>} */ of) => Object.fromEntries(figures(of));
  assert.equal(shown({ callBatch: 1000 })["Called at once"], "1,000");
  assert.equal("Called at once" in shown({ callBatch: null }), false);
});
