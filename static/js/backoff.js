// @ts-check

/** First wait. With a shorter one, a crowd's reconnects would arrive as one wave. */
const BASE_MS = 800;
/** Longest wait, well below the time after which an absent place no longer counts. */
const CAP_MS = 30_000;

/** Waits between attempts: doubling, with full jitter above a minimum. */
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

  /** Call it after a success. */
  reset() {
    this.#tries = 0;
  }

  /**
   * A wait requested by the server, with jitter, so that not all clients return at once.
   * @param {number} ms
   */
  spread(ms) {
    return Math.round(ms * (1 + 0.25 * this.#random()));
  }
}
