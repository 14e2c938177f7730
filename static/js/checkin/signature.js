// @ts-check
// Verifies Ed25519 signatures with the browser's own cryptography, or with a library where that
// does not know them.

/** @typedef {import("./ticket.js").Verify} Verify */

/**
 * @param {SubtleCrypto} subtle
 * @param {() => Promise<{ verifyAsync: (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => Promise<boolean> }>} library
 * @returns {Promise<Verify>}
 */
export async function verifier(subtle, library) {
  if (await hasEd25519(subtle)) {
    return async (key, signature, message) => {
      const own = await subtle.importKey("raw", /** @type {BufferSource} */ (key), "Ed25519", false, ["verify"]);
      return subtle.verify("Ed25519", own, /** @type {BufferSource} */ (signature), /** @type {BufferSource} */ (message));
    };
  }
  const { verifyAsync } = await library();
  // Malformed signatures are refusals, not errors.
  return (key, signature, message) => verifyAsync(signature, message, key).catch(() => false);
}

/** @param {SubtleCrypto} subtle */
async function hasEd25519(subtle) {
  try {
    // The public key of RFC 8032, test 1.
    const key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const bytes = Uint8Array.from(key.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    await subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}
