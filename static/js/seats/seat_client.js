// @ts-check
// Loads the seat map and listens to its changes.

import { Backoff } from "../backoff.js";

/** @typedef {import("./seat_state.js").SeatEvent} SeatEvent */

export class SeatClient {
  #api;
  #emit;
  #onLink;
  #backoff = new Backoff(Math.random);
  /** @type {EventSource | null} */
  #stream = null;
  #fetching = false;

  /**
   * @param {string} api the show's address
   * @param {(event: SeatEvent) => void} emit
   * @param {(live: boolean) => void} onLink
   */
  constructor(api, emit, onLink) {
    this.#api = api;
    this.#emit = emit;
    this.#onLink = onLink;
  }

  /** @returns {Promise<boolean>} whether the map came */
  async load() {
    if (this.#fetching) return false;
    this.#fetching = true;
    try {
      const answer = await fetch(`${this.#api}/seatmap/compact`);
      if (!answer.ok) return false;
      this.#emit({ type: "loaded", map: await answer.json() });
      return true;
    } catch {
      return false;
    } finally {
      this.#fetching = false;
    }
  }

  listen() {
    this.close();
    const stream = new EventSource(`${this.#api}/seatmap/live`);
    this.#stream = stream;
    stream.onopen = () => {
      this.#backoff.reset();
      this.#onLink(true);
    };
    const changed = (/** @type {MessageEvent} */ message) => this.#received(String(message.data));
    stream.addEventListener("seats", changed);
    // More changes were missed than the server keeps for one client.
    stream.addEventListener("reload", () => void this.load());
    stream.onerror = () => {
      this.close();
      this.#onLink(false);
      setTimeout(() => this.listen(), this.#backoff.next());
    };
  }

  close() {
    this.#stream?.close();
    this.#stream = null;
  }

  /** @param {string} text */
  #received(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (Array.isArray(frame?.changes)) this.#emit({ type: "changed", ...frame });
  }
}
