// @ts-check
// What a result means, in words that a person at a gate reads at a glance.

/** @typedef {{ mood: "good" | "bad" | "unsure", headline: string, reason: string }} Words */

/** @type {Record<string, [string, string]>} */
const REFUSALS = {
  UNREADABLE: ["Not a ticket", "This code is not one of our tickets."],
  FORGED: ["Forged", "The signature is not ours. Somebody made this code up."],
  UNKNOWN_KEY: ["Unknown key", "This scanner does not know the key of this ticket. Connect it to the network."],
  NOT_YET_VALID: ["Too early", "This ticket is for a later time."],
  EXPIRED: ["Too late", "The show of this ticket is over."],
  WRONG_SHOW: ["Another show", "This ticket is for another show."],
  UNKNOWN_TICKET: ["Unknown", "We know of no such ticket."],
  REVOKED: ["Cancelled", "This ticket was cancelled and admits nobody."],
  REISSUED: ["Replaced", "A newer print of this ticket was made. Ask for that one."],
  DUPLICATE: ["Already inside", "Somebody went in with this ticket."],
  NOT_INSIDE: ["Not inside", "Nobody is known to be inside with this ticket."],
  NONCE_REUSED: ["Scan again", "This scan could not be told from another."],
  SCANNER_REFUSED: ["Switched off", "The token of this scanner is not good any longer. Ask an operator."],
  NOT_KEPT: ["Not checked", "This device cannot write scans down; its storage may be full. Use another one."],
  NO_MANIFEST: ["Not ready", "Connect this scanner to the network once, so that it can learn the keys."],
};

/**
 * @param {string} result
 * @param {"in" | "out"} direction
 * @param {{ seatId?: string | null, offline?: boolean, earlier?: { gate: string, at: string } | null }} about
 * @returns {Words}
 */
export function words(result, direction, about) {
  if (result === "ACCEPTED") {
    const seat = about.seatId ? `Seat ${about.seatId}. ` : "";
    const how = about.offline ? "Checked without a network." : "";
    return {
      mood: "good",
      headline: direction === "in" ? "Come in" : "Goodbye",
      reason: `${seat}${how}`.trim() || "The ticket is good.",
    };
  }
  const [headline, reason] = REFUSALS[result] ?? ["Refused", `The answer was ${result}.`];
  const mood = result === "NOT_INSIDE" && direction === "out" ? "unsure" : "bad";
  return { mood, headline, reason: about.earlier ? `${reason} ${where(about.earlier)}` : reason };
}

/** @param {{ gate: string, at: string }} place */
export function where(place) {
  return `Gate ${place.gate}, ${timeOf(place.at)}.`;
}

/** @param {string} at */
export function timeOf(at) {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** @param {readonly { scan: { at: string, admitted: boolean } }[]} aside */
export function setAside(aside) {
  if (aside.length === 0) return "";
  const count = `${aside.length} ${aside.length === 1 ? "scan" : "scans"} could not be sent: the gateway does not take them as they are.`;
  const times = aside.slice(0, 20).map(({ scan }) => `${timeOf(scan.at)} ${scan.admitted ? "(let in)" : "(refused)"}`);
  return `${count} Tell an operator. ${times.join(", ")}`;
}

/**
 * @param {number} count
 * @param {number} stuck
 */
export function queued(count, stuck) {
  if (count === 0) return "All scans sent";
  const waits = `${count} ${count === 1 ? "scan waits" : "scans wait"} to be sent`;
  return stuck === 0 ? waits : `${waits}, ${stuck} of them until this scanner gets a new link of their show`;
}
