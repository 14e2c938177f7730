// @ts-check

/** First wait. Shorter ones would make a crowd's reconnects one wave. */
const BASE_MS = 800;
/** Longest wait: well inside the time after which an absent place stops counting. */
const CAP_MS = 30_000;

/** Waits between tries: doubling, with full jitter above a floor. */
export class Backoff {
  #tries = 0;
  #random;

  /** @param {() => number} random in [0, 1) */
  constructor(random) {
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next() {
    const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** this.#tries);
    this.#tries += 1;
    return Math.round(BASE_MS / 2 + this.#random() * ceiling);
  }

  /** After a success. */
  reset() {
    this.#tries = 0;
  }

  /**
   * A span the server asked for, spread out so that not everyone comes back at once.
   * @param {number} ms
   */
  spread(ms) {
    return Math.round(ms * (1 + 0.25 * this.#random()));
  }
}
