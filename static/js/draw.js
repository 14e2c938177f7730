// @ts-check
// Recomputes a fan's order key from the data that the room publishes after opening.

import { fromBase64Url } from "./nonce.js";

const DOMAIN = "ropeline-draw-v1";
/** Order keys from here on were given by arrival and not by the draw. */
const ARRIVAL_KEYS_FROM = 2n ** 52n;

/** @param {Uint8Array} bytes */
function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} hex */
function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/**
 * The order key: the first 8 bytes of HMAC-SHA256(seed, domain 0 room 0 nonce), shifted right by 12.
 * @param {SubtleCrypto} subtle
 * @param {string} seed hexadecimal
 * @param {string} room
 * @param {string} nonce base64url
 */
export async function orderKey(subtle, seed, room, nonce) {
  const encoder = new TextEncoder();
  const message = new Uint8Array([
    ...encoder.encode(DOMAIN), 0, ...encoder.encode(room), 0, ...fromBase64Url(nonce),
  ]);
  const key = await subtle.importKey(
    "raw", fromHex(seed), { name: "HMAC", hash: "SHA-256" }, false, ["sign"],
  );
  const mac = await subtle.sign("HMAC", key, message);
  return new DataView(mac).getBigUint64(0) >> 12n;
}

/**
 * @param {SubtleCrypto} subtle
 * @param {string} seed hexadecimal
 */
export async function commitment(subtle, seed) {
  return toHex(new Uint8Array(await subtle.digest("SHA-256", fromHex(seed))));
}

/**
 * @typedef {{room: string, commitment: string, seed: string | null, nonce?: string | null,
 *   orderKey: string | null}} Draw
 * @typedef {{verdict: "sealed" | "noNonce" | "notDrawn" | "commitmentDiffers" | "matches" | "differs",
 *   key?: string}} Check
 */

/**
 * The verdict of the check.
 * @param {SubtleCrypto} subtle
 * @param {Draw} draw what the room publishes
 * @param {string} shown the commitment this page was delivered with
 * @param {string | null} nonce this browser's own nonce
 * @returns {Promise<Check>}
 */
export async function checkDraw(subtle, draw, shown, nonce) {
  if (draw.seed === null || draw.seed === undefined) return { verdict: "sealed" };
  const computed = await commitment(subtle, draw.seed);
  if (computed !== draw.commitment.toLowerCase() || computed !== shown.toLowerCase()) {
    return { verdict: "commitmentDiffers" };
  }
  if (draw.orderKey && BigInt(draw.orderKey) >= ARRIVAL_KEYS_FROM) return { verdict: "notDrawn" };
  if (draw.nonce && !draw.orderKey) return { verdict: "notDrawn" };
  if (nonce === null || !draw.orderKey) return { verdict: "noNonce" };
  const key = String(await orderKey(subtle, draw.seed, draw.room, nonce));
  return { verdict: key === draw.orderKey ? "matches" : "differs", key };
}
