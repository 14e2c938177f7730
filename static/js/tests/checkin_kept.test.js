// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { Kept } from "../checkin/kept.js";

/** A database whose transactions end when the test says so. Its requests succeed at once. */
class Disk {
  /** @type {any[]} */
  transactions = [];
  /** @type {string[]} */
  calls = [];

  /**
   * @param {string[]} stores
   * @param {string} mode
   * @param {any} options
   */
  transaction(stores, mode, options) {
    const call = (/** @type {string} */ name) => () => {
      this.calls.push(name);
      const request = /** @type {any} */ ({ result: undefined });
      queueMicrotask(() => request.onsuccess?.());
      return request;
    };
    const objectStore = (/** @type {string} */ store) =>
      Object.fromEntries(["put", "add", "delete", "clear"].map((name) => [name, call(`${store} ${name}`)]));
    const transaction = { stores, mode, options, objectStore, error: /** @type {any} */ (null) };
    this.transactions.push(transaction);
    return transaction;
  }
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 5));

/** @type {[string, (kept: Kept) => Promise<void>, string[]][]} */
const WRITES = [
  ["enqueue", (kept) => kept.enqueue({ scan: { nonce: "n" } }, null), ["queue add"]],
  ["enqueue of an entry", (kept) => kept.enqueue({ scan: { nonce: "n" } }, { ticketId: "tkt_1", seen: {} }), ["queue add", "seen put"]],
  ["dequeue", (kept) => kept.dequeue([1, 2]), ["queue delete", "queue delete"]],
  ["setAside", (kept) => kept.setAside([1], []), ["queue delete", "facts put"]],
  ["see", (kept) => kept.see("tkt_1", {}), ["seen put"]],
  ["note", (kept) => kept.note("token", "t"), ["facts put"]],
  ["forget", (kept) => kept.forget(), [...Array(4).fill("facts delete"), "seen clear"]],
];

for (const [name, write, calls] of WRITES) {
  test(`${name} waits until the transaction is on the disk`, async () => {
    const disk = new Disk();
    let state = "waits";
    const writing = write(new Kept(/** @type {any} */ (disk))).then(() => { state = "written"; });
    await soon();
    assert.equal(state, "waits", "the requests succeeded, the transaction is not complete");
    assert.deepEqual(disk.calls, calls);
    const [transaction] = disk.transactions;
    assert.deepEqual([disk.transactions.length, transaction.mode], [1, "readwrite"]);
    assert.equal(transaction.options.durability, "strict");
    transaction.oncomplete();
    await writing;
    assert.equal(state, "written");
  });

  for (const end of ["onabort", "onerror"]) {
    test(`${name} fails with ${end}`, async () => {
      const disk = new Disk();
      const writing = write(new Kept(/** @type {any} */ (disk)));
      const full = new Error("QuotaExceededError");
      const failing = assert.rejects(writing, full);
      await soon();
      disk.transactions[0].error = full;
      disk.transactions[0][end]();
      await failing;
    });
  }
}
