// @ts-check
// The texts for a status document. `waiting.rs` makes the same ones on the server;
// tests/wording.json tests both.

import { ahead, count, estimate, fill, roughly } from "./duration.js";
import texts from "./texts/en.js";

/**
 * @typedef {object} Status a status document of the contract
 * @property {string} phase
 * @property {string} state
 * @property {number | null} queueNumber
 * @property {number | null} usersAhead
 * @property {boolean} usersAheadExact
 * @property {number} usersInLine
 * @property {{p50Seconds: number, p90Seconds: number} | null} estimatedWait
 * @property {number | null} progress
 * @property {string | null} claimBy
 * @property {{level: string, remaining: number | null, outlook: string}} stock
 * @property {string | null} message
 * @property {string | null} pausedReason
 * @property {string} updatedAt
 * @property {number} pollAfterMs
 * @property {string} [orderKey]
 */

/**
 * @typedef {object} Wording
 * @property {string} mood
 * @property {string} headline
 * @property {string} lede
 * @property {string | null} ahead
 * @property {string | null} wait
 * @property {string | null} inLine
 * @property {string | null} queueNumber
 * @property {string | null} stock
 */

/**
 * @param {Status} status
 * @returns {[mood: string, said: {headline: string, lede: string}]}
 */
function face({ state, phase, usersAhead }) {
  const said = texts.state;
  switch (state) {
    case "called": return ["turn", said.called];
    case "admitted": return ["turn", said.admitted];
    case "left": return ["over", said.left];
    case "ended": return ["over", said.ended];
    case "soldOut": return ["over", said.soldOut];
  }
  if (phase === "closed") return ["over", said.closed];
  if (phase === "paused") return ["pause", said.paused];
  if (state === "missed") return ["wait", said.missed];
  if (state === "prequeue") return ["gather", said.prequeue];
  return ["wait", usersAhead === 0 ? said.next : said.waiting];
}

/**
 * @param {Status} status
 * @returns {Wording}
 */
export function wording(status) {
  const [mood, { headline, lede }] = face(status);
  /** @type {Wording} */
  const wording = {
    mood, headline, lede, ahead: null, wait: null, inLine: null, queueNumber: null, stock: null,
  };
  if (mood === "pause" && status.pausedReason !== null) wording.lede = status.pausedReason;
  if (status.state === "prequeue") wording.inLine = count(status.usersInLine);
  if (mood !== "over" && (status.state === "waiting" || status.state === "missed")) {
    wording.ahead = status.usersAhead === null
      ? texts.unknown : ahead(status.usersAhead, status.usersAheadExact);
    wording.wait = status.estimatedWait === null ? texts.unknown : estimate(status.estimatedWait);
    wording.inLine = count(status.usersInLine);
    wording.queueNumber = status.queueNumber === null ? null : count(status.queueNumber);
    wording.stock = stock(status.stock);
  }
  return wording;
}

/** @param {Status["stock"]} stock */
function stock({ level, remaining, outlook }) {
  const parts = [];
  if (level === "gone") parts.push(texts.stock.gone);
  else if (level === "low" && remaining === null) parts.push(texts.stock.low);
  else if (level === "low") {
    parts.push(fill(texts.stock.lowCount, { count: count(roughly(remaining ?? 0)) }));
  }
  if (outlook === "likely") parts.push(texts.stock.likely);
  else if (outlook === "uncertain") parts.push(texts.stock.uncertain);
  else if (outlook === "unlikely") parts.push(texts.stock.unlikely);
  return parts.length > 0 ? parts.join(" ") : null;
}
