// @ts-check
// What this scanner keeps in the browser, so that it works without a network and after a restart.

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

  /**
   * @param {string} store
   * @param {IDBTransactionMode} [mode]
   */
  #store(store, mode = "readonly") {
    // What was written is on the disk before a visitor is let in.
    return this.#database.transaction(store, mode, { durability: "strict" }).objectStore(store);
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
    await done(this.#store("facts", "readwrite").put(value, name));
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
    await done(this.#store("seen", "readwrite").put(seen, ticketId));
  }

  /** @returns {Promise<{ no: number, scan: any }[]>} in the order in which they were scanned */
  queue() {
    return done(this.#store("queue").getAll());
  }

  /** @param {unknown} scan */
  async enqueue(scan) {
    await done(this.#store("queue", "readwrite").add({ scan }));
  }

  /** @param {readonly number[]} numbers */
  async dequeue(numbers) {
    const store = this.#store("queue", "readwrite");
    await Promise.all(numbers.map((no) => done(store.delete(no))));
  }

  /** Forgets what belongs to one show. Scans that wait to be sent stay. */
  async forget() {
    const facts = this.#store("facts", "readwrite");
    const names = ["manifest", "etag", "conflicts", "acknowledged"];
    await Promise.all(names.map((name) => done(facts.delete(name))));
    await done(this.#store("seen", "readwrite").clear());
  }
}
