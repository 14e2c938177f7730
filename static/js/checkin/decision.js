// @ts-check
// What a scan comes to without a network: the rules of `booking-core/src/scan.rs`, with what this
// scanner knows. Pure.

/** @typedef {import("./ticket.js").Claims} Claims */
/** @typedef {"in" | "out"} Direction */
/** @typedef {{ showNo: number, revoked: ReadonlySet<string>, reissued: ReadonlyMap<string, number> }} Known */
/** @typedef {{ inside: boolean, at: string, gate: string }} Seen */

/**
 * @param {Claims} claims
 * @param {Known} known
 * @param {Seen | undefined} seen what was last scanned with the ticket, as far as this scanner knows
 * @param {Direction} direction
 * @param {number} now
 * @returns {string}
 */
export function decide(claims, known, seen, direction, now) {
  if (now < claims.validFrom) return "NOT_YET_VALID";
  if (now > claims.validTo) return "EXPIRED";
  if (claims.showNo !== known.showNo) return "WRONG_SHOW";
  // Whoever is inside with a cancelled ticket may leave, also who came in at another gate.
  const mayBeInside = seen === undefined || seen.inside;
  if (known.revoked.has(claims.ticketId)) return direction === "out" && mayBeInside ? "ACCEPTED" : "REVOKED";
  const admits = known.reissued.get(claims.ticketId);
  // A scanner that heard of no newer print takes what it sees.
  if (admits !== undefined && admits !== claims.generation) return "REISSUED";
  if (direction === "in") return seen?.inside ? "DUPLICATE" : "ACCEPTED";
  // Whoever leaves may have come in at another gate.
  return seen !== undefined && !seen.inside ? "NOT_INSIDE" : "ACCEPTED";
}
