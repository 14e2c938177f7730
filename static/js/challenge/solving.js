// @ts-check
// Solves proofs of work: looks for the number that makes the digest of the salt.

import { sha256 } from "./sha256.js";

/**
 * @typedef {{algorithm: string, challenge: string, maxnumber: number, salt: string,
 *   signature: string}} Challenge
 */

/**
 * The number below `until` and from `from` on that solves `challenge`, or `undefined`.
 *
 * @param {Challenge} challenge
 * @param {number} from
 * @param {number} until
 */
export function find(challenge, from, until) {
  for (let number = from; number < until; number += 1) {
    if (sha256(challenge.salt + number) === challenge.challenge) {
      return number;
    }
  }
  return undefined;
}

/**
 * The solution as the server reads it.
 *
 * @param {Challenge} challenge
 * @param {number} number
 */
export function solution(challenge, number) {
  const { algorithm, salt, signature } = challenge;
  return btoa(
    JSON.stringify({ algorithm, challenge: challenge.challenge, number, salt, signature }),
  );
}
