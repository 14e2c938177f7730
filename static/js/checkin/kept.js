// @ts-check
// What this scanner keeps in the browser, so that it works without a network and after a restart.

/**
 * A scan that waits to be sent, with the show whose rules decided it and a token of that show.
 *
 * @typedef {{ scan: any, showId?: string, token?: string }} Waiting
 */

const NAME = "ropeline-checkin";
const VERSION = 1;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Until a transaction is on the disk. A request that succeeded is not: the disk may be full, and all
 * of it is taken back.
 *
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
const written = (transaction) =>
  new Promise((resolve, reject) => {
    const fail = () => reject(transaction.error ?? new Error("The browser did not write it down."));
    transaction.oncomplete = () => resolve();
    transaction.onabort = fail;
    transaction.onerror = fail;
  });

export class Kept {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
  }

  static async open() {
    const opening = indexedDB.open(NAME, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("facts");
      opening.result.createObjectStore("seen");
      opening.result.createObjectStore("queue", { keyPath: "no", autoIncrement: true });
    };
    return new Kept(await done(opening));
  }

  /** @param {string} store */
  #store(store) {
    return this.#database.transaction(store).objectStore(store);
  }

  /**
   * Changes stores, all or none of them. What was written is on the disk before a visitor is let in.
   *
   * @param {string[]} stores
   * @param {(...stores: IDBObjectStore[]) => void} change
   */
  async #write(stores, change) {
    const transaction = this.#database.transaction(stores, "readwrite", { durability: "strict" });
    const ending = written(transaction);
    change(...stores.map((store) => transaction.objectStore(store)));
    await ending;
  }

  /**
   * @param {string} name
   * @returns {Promise<any>}
   */
  fact(name) {
    return done(this.#store("facts").get(name));
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  async note(name, value) {
    await this.#write(["facts"], (facts) => facts.put(value, name));
  }

  /** @returns {Promise<Map<string, any>>} by ticket, what was last scanned with it */
  async seen() {
    const store = this.#store("seen");
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return new Map(keys.map((key, at) => [String(key), values[at]]));
  }

  /**
   * @param {string} ticketId
   * @param {unknown} seen
   */
  async see(ticketId, seen) {
    await this.#write(["seen"], (tickets) => tickets.put(seen, ticketId));
  }

  /** @returns {Promise<({ no: number } & Waiting)[]>} in the order in which they were scanned */
  queue() {
    return done(this.#store("queue").getAll());
  }

  /**
   * @param {Waiting} waiting
   * @param {{ ticketId: string, seen: unknown } | null} passed who went through with it
   */
  async enqueue(waiting, passed) {
    await this.#write(["queue", "seen"], (scans, tickets) => {
      scans.add(waiting);
      if (passed) tickets.put(passed.seen, passed.ticketId);
    });
  }

  /** @param {readonly number[]} numbers */
  async dequeue(numbers) {
    await this.#write(["queue"], (scans) => numbers.forEach((no) => scans.delete(no)));
  }

  /**
   * Takes scans out of the queue that will not be sent again.
   *
   * @param {readonly number[]} numbers
   * @param {readonly Waiting[]} aside all that were set aside
   */
  async setAside(numbers, aside) {
    await this.#write(["queue", "facts"], (scans, facts) => {
      for (const no of numbers) scans.delete(no);
      facts.put(aside, "aside");
    });
  }

  /** Forgets what belongs to one show. Scans that wait to be sent stay. */
  async forget() {
    const names = ["manifest", "etag", "conflicts", "acknowledged"];
    await this.#write(["facts", "seen"], (facts, tickets) => {
      for (const name of names) facts.delete(name);
      tickets.clear();
    });
  }
}
