// @ts-check
// Solves a challenge beside the page, and tells how far it is.

import { find, solution } from "./solving.js";

/** Numbers between two reports: some hundredths of a second. */
const STEP = 5000;

self.addEventListener("message", (event) => {
  /** @type {import("./solving.js").Challenge} */
  const challenge = event.data;
  for (let from = 0; from <= challenge.maxnumber; from += STEP) {
    const number = find(challenge, from, Math.min(from + STEP, challenge.maxnumber + 1));
    if (number !== undefined) {
      self.postMessage({ proof: solution(challenge, number) });
      return;
    }
    self.postMessage({ done: from / challenge.maxnumber });
  }
  self.postMessage({ failed: true });
});
