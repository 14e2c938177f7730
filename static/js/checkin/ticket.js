// @ts-check
// Reads and verifies the text of a ticket's QR code, as `booking-core/src/tickets.rs` writes it.

/** @typedef {{ keyId: number, publicKey: Uint8Array }} TicketKey */
/** @typedef {{ showNo: number, ticketId: string, generation: number, seatNo: number, validFrom: number, validTo: number }} Claims */
/** @typedef {(key: Uint8Array, signature: Uint8Array, message: Uint8Array) => Promise<boolean>} Verify */

const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const VERSION = 1;
const CLAIMS_BYTES = 36;
const SIGNATURE_BYTES = 64;
/** Domain separation, the same as where tickets are signed. */
const CONTEXT = new TextEncoder().encode("ropeline ticket v1\0");

/**
 * @param {string} text
 * @returns {Uint8Array | null}
 */
export function base45(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((letter) => BASE45.indexOf(letter));
    if (digits.length === 1 || digits.includes(-1)) return null;
    const value = digits[0] + digits[1] * 45 + (digits[2] ?? 0) * 2025;
    if (value > (digits.length === 3 ? 0xffff : 0xff)) return null;
    if (digits.length === 3) bytes.push(value >> 8);
    bytes.push(value & 0xff);
  }
  return Uint8Array.from(bytes);
}

/**
 * @param {string} text base64url without padding
 * @returns {Uint8Array}
 */
export function base64url(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/**
 * @param {Uint8Array} packed
 * @returns {Claims}
 */
function unpack(packed) {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const hex = [...packed.subarray(6, 22)].map((byte) => byte.toString(16).padStart(2, "0"));
  return {
    showNo: view.getUint32(2),
    ticketId: `tkt_${hex.join("")}`,
    generation: view.getUint16(22),
    seatNo: view.getUint32(24),
    validFrom: view.getUint32(28) * 1000,
    validTo: view.getUint32(32) * 1000,
  };
}

/**
 * The claims of a ticket whose signature is ours, or why there are none.
 *
 * @param {string} text
 * @param {readonly TicketKey[]} keys
 * @param {Verify} verify
 * @returns {Promise<{ claims: Claims } | { refused: "UNREADABLE" | "FORGED" | "UNKNOWN_KEY" }>}
 */
export async function readTicket(text, keys, verify) {
  const token = base45(text);
  if (token === null || token.length !== CLAIMS_BYTES + SIGNATURE_BYTES) return { refused: "UNREADABLE" };
  const [packed, signature] = [token.subarray(0, CLAIMS_BYTES), token.subarray(CLAIMS_BYTES)];
  const key = keys.find((one) => one.keyId === packed[1]);
  if (key === undefined) return { refused: "UNKNOWN_KEY" };
  const message = new Uint8Array(CONTEXT.length + packed.length);
  message.set(CONTEXT);
  message.set(packed, CONTEXT.length);
  if (!(await verify(key.publicKey, signature, message))) return { refused: "FORGED" };
  return packed[0] === VERSION ? { claims: unpack(packed) } : { refused: "UNKNOWN_KEY" };
}
