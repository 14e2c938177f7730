// @ts-check
import assert from "node:assert/strict";
import { createHash, createHmac, webcrypto } from "node:crypto";
import { test } from "node:test";

import { checkDraw, orderKey } from "../draw.js";
import { fromBase64Url, NonceStore, toBase64Url } from "../nonce.js";

const subtle = /** @type {SubtleCrypto} */ (webcrypto.subtle);
const seed = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const nonce = toBase64Url(Uint8Array.from({ length: 16 }, (_, index) => index));
const commitment = createHash("sha256").update(Buffer.from(seed, "hex")).digest("hex");

/** The algorithm of the contract, written with another library. */
const expected = String(
  createHmac("sha256", Buffer.from(seed, "hex"))
    .update("ropeline-draw-v1\0monsoon\0").update(Buffer.from(nonce, "base64url"))
    .digest().readBigUInt64BE() >> 12n,
);

/** @param {Record<string, unknown>} changes */
const check = (changes, shown = commitment, /** @type {string | null} */ mine = nonce) =>
  checkDraw(subtle, /** @type {any} */ ({
    room: "monsoon", commitment, seed, orderKey: expected, ...changes,
  }), shown, mine);

test("the order key is the contract's", async () => {
  assert.equal(String(await orderKey(subtle, seed, "monsoon", nonce)), expected);
  assert.ok(BigInt(expected) < 2n ** 52n);
});

test("a right draw matches", async () => {
  assert.deepEqual(await check({}), { verdict: "matches", key: expected });
});

test("a changed order key, nonce or room is found", async () => {
  assert.equal((await check({ orderKey: "1" })).verdict, "differs");
  assert.equal((await check({ room: "other" })).verdict, "differs");
  const other = toBase64Url(new Uint8Array(16));
  assert.equal((await check({}, commitment, other)).verdict, "differs");
});

test("a seed that was swapped after the commitment is found", async () => {
  const swapped = seed.replace("00", "01");
  const fitting = createHash("sha256").update(Buffer.from(swapped, "hex")).digest("hex");
  assert.equal((await check({ seed: swapped })).verdict, "commitmentDiffers");
  assert.equal(
    (await check({ seed: swapped, commitment: fitting })).verdict, "commitmentDiffers",
    "the page remembers the commitment it came with",
  );
});

test("what cannot be checked is not said to match", async () => {
  assert.equal((await check({ seed: null })).verdict, "sealed");
  assert.equal((await check({}, commitment, null)).verdict, "noNonce");
  assert.equal((await check({ orderKey: null })).verdict, "noNonce");
  assert.equal((await check({ orderKey: String(2n ** 52n + 5n) })).verdict, "notDrawn");
  assert.equal((await check({ nonce, orderKey: null })).verdict, "notDrawn");
});

test("a nonce has 16 bytes, stays the same for a room and survives without storage", () => {
  const broken = /** @type {any} */ ({
    getItem() { throw new Error("forbidden"); }, setItem() { throw new Error("forbidden"); },
  });
  for (const storage of [null, broken]) {
    const store = new NonceStore(storage, /** @type {any} */ (webcrypto));
    const first = store.obtain("monsoon");
    assert.equal(fromBase64Url(first).length, 16);
    assert.equal(store.obtain("monsoon"), first);
    assert.notEqual(store.obtain("other"), first);
    assert.notEqual(store.renew("monsoon"), first);
  }
});
