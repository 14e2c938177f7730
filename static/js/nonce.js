// @ts-check
// The browser's nonce for the draw, stored so that a join can be repeated and the draw checked.

const PREFIX = "ropeline-nonce:";
const NONCE_BYTES = 16;

/** @param {Uint8Array} bytes */
export function toBase64Url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** @param {string} text */
export function fromBase64Url(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/**
 * Nonces by room. Without storage (private windows of some browsers) they are lost with the page.
 */
export class NonceStore {
  /** @type {Map<string, string>} */
  #kept = new Map();
  #storage;
  #crypto;

  /**
   * @param {Storage | null} storage
   * @param {Pick<Crypto, "getRandomValues">} crypto may lack what old browsers do not have; then a nonce cannot be made
   */
  constructor(storage, crypto) {
    this.#storage = storage;
    this.#crypto = crypto;
  }

  /** @param {string} room */
  get(room) {
    try {
      return this.#storage?.getItem(PREFIX + room) ?? this.#kept.get(room) ?? null;
    } catch {
      return this.#kept.get(room) ?? null;
    }
  }

  /**
   * The room's nonce, made if there is none.
   * @param {string} room
   */
  obtain(room) {
    return this.get(room) ?? this.renew(room);
  }

  /**
   * A new nonce, for a join after the place of the old one was given up.
   * @param {string} room
   */
  renew(room) {
    const nonce = toBase64Url(this.#crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
    this.#kept.set(room, nonce);
    try {
      this.#storage?.setItem(PREFIX + room, nonce);
    } catch {
      // Storage is full or forbidden: the copy in memory is used until the page closes.
    }
    return nonce;
  }
}
