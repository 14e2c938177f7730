// @ts-check
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";

import { decide } from "../checkin/decision.js";
import { Desk } from "../checkin/desk.js";
import { verifier } from "../checkin/signature.js";
import { base45, base64url, readTicket } from "../checkin/ticket.js";
import { Refused, Unreachable, Uplink } from "../checkin/uplink.js";
import { queued, setAside, words } from "../checkin/words.js";
import * as library from "../vendor/noble-ed25519/index.js";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const RAW_KEY = String(publicKey.export({ format: "jwk" }).x);
const KEYS = [{ keyId: 1, publicKey: base64url(RAW_KEY) }];
const NOW = Date.parse("2026-12-24T13:00:00Z");
const HOUR = 3_600_000;

/** @param {Uint8Array} bytes */
function encode45(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const pair = bytes.subarray(at, at + 2);
    let value = pair.length === 2 ? pair[0] * 256 + pair[1] : pair[0];
    for (let digit = 0; digit <= pair.length; digit += 1) {
      text += ALPHABET[value % 45];
      value = Math.floor(value / 45);
    }
  }
  return text;
}

/** @param {{ no?: number, showNo?: number, generation?: number, keyId?: number, key?: import("node:crypto").KeyObject, from?: number }} [about] */
function ticket({ no = 1, showNo = 7, generation = 1, keyId = 1, key = privateKey, from = NOW - HOUR } = {}) {
  const packed = Buffer.alloc(36);
  packed[0] = 1;
  packed[1] = keyId;
  packed.writeUInt32BE(showNo, 2);
  packed.writeUInt32BE(no, 18);
  packed.writeUInt16BE(generation, 22);
  packed.writeUInt32BE(12, 24);
  packed.writeUInt32BE(from / 1000, 28);
  packed.writeUInt32BE((from + 10 * HOUR) / 1000, 32);
  const signature = sign(null, Buffer.concat([Buffer.from("ropeline ticket v1\0"), packed]), key);
  return encode45(Buffer.concat([packed, signature]));
}

/** @param {number} no */
const idOf = (no) => `tkt_${no.toString(16).padStart(32, "0")}`;

const none = () => Promise.reject(new Error("not needed"));
const unable = /** @type {any} */ ({ importKey: () => Promise.reject(new Error("not known")) });

test("a ticket is read by the browser's own cryptography and by the library alike", async () => {
  const own = await verifier(/** @type {any} */ (crypto.subtle), none);
  const other = await verifier(unable, async () => library);
  for (const verify of [own, other]) {
    const read = await readTicket(ticket({ no: 5, generation: 3 }), KEYS, verify);
    assert.deepEqual(read, {
      claims: { showNo: 7, ticketId: idOf(5), generation: 3, seatNo: 12, validFrom: NOW - HOUR, validTo: NOW + 9 * HOUR },
    });
    const stranger = generateKeyPairSync("ed25519").privateKey;
    assert.deepEqual(await readTicket(ticket({ key: stranger }), KEYS, verify), { refused: "FORGED" });
    assert.deepEqual(await readTicket(ticket({ keyId: 2 }), KEYS, verify), { refused: "UNKNOWN_KEY" });
    const bytes = /** @type {Uint8Array} */ (base45(ticket()));
    for (const at of [0, 2, 7, 23, 30, 36, 60, 99]) {
      const forged = Uint8Array.from(bytes);
      forged[at] ^= 1;
      assert.deepEqual(await readTicket(encode45(forged), KEYS, verify), { refused: "FORGED" }, `byte ${at}`);
    }
    for (const text of ["", "A", "not a ticket", ":::", '{"ticket": 1}', "0".repeat(150), ticket().slice(3)]) {
      const { refused } = /** @type {any} */ (await readTicket(text, KEYS, verify));
      assert.ok(["UNREADABLE", "UNKNOWN_KEY"].includes(refused), `${text}: ${refused}`);
    }
  }
});

test("base45 is that of RFC 9285", () => {
  const bytes = (/** @type {string} */ text) => Buffer.from(base45(text) ?? []).toString();
  assert.equal(bytes("BB8"), "AB");
  assert.equal(bytes("%69 VD92EX0"), "Hello!!");
  assert.equal(bytes("QED8WEX0"), "ietf!");
  assert.equal(base45("GGX"), null);
  assert.equal(base45("a"), null);
});

test("without a network the rules and their order are those of the gateway", () => {
  const known = { showNo: 7, revoked: new Set([idOf(2)]), reissued: new Map([[idOf(3), 2]]) };
  const claims = { showNo: 7, ticketId: idOf(1), generation: 1, seatNo: 1, validFrom: NOW - 1, validTo: NOW + 1 };
  const inside = { inside: true, at: "", gate: "" };
  const outside = { ...inside, inside: false };
  for (const [about, seen, way, now, expected] of /** @type {[any, any, any, number, string][]} */ ([
    [{}, undefined, "in", NOW, "ACCEPTED"],
    [{}, outside, "in", NOW, "ACCEPTED"],
    [{}, inside, "in", NOW, "DUPLICATE"],
    [{}, inside, "out", NOW, "ACCEPTED"],
    [{}, undefined, "out", NOW, "ACCEPTED"],
    [{}, outside, "out", NOW, "NOT_INSIDE"],
    [{ showNo: 8 }, inside, "in", NOW - 2, "NOT_YET_VALID"],
    [{ showNo: 8 }, inside, "in", NOW + 2, "EXPIRED"],
    [{ showNo: 8, ticketId: idOf(2) }, inside, "in", NOW, "WRONG_SHOW"],
    [{ ticketId: idOf(2) }, inside, "in", NOW, "REVOKED"],
    [{ ticketId: idOf(2) }, inside, "out", NOW, "ACCEPTED"],
    [{ ticketId: idOf(2) }, outside, "out", NOW, "REVOKED"],
    [{ ticketId: idOf(2) }, undefined, "out", NOW, "ACCEPTED"],
    [{ ticketId: idOf(2) }, undefined, "in", NOW, "REVOKED"],
    [{ ticketId: idOf(3) }, inside, "in", NOW, "REISSUED"],
    [{ ticketId: idOf(3), generation: 2 }, undefined, "in", NOW, "ACCEPTED"],
  ])) {
    assert.equal(decide({ ...claims, ...about }, known, seen, way, now), expected, JSON.stringify([about, seen, way]));
  }
});

test("every result has words, and only what is good is green", () => {
  const results = [
    "ACCEPTED", "UNREADABLE", "FORGED", "UNKNOWN_KEY", "NOT_YET_VALID", "EXPIRED", "WRONG_SHOW", "UNKNOWN_TICKET",
    "REVOKED", "REISSUED", "DUPLICATE", "NOT_INSIDE", "NONCE_REUSED", "NO_MANIFEST", "SCANNER_REFUSED",
    "NOT_KEPT",
  ];
  const headlines = new Set(results.map((result) => words(result, "in", {}).headline));
  assert.equal(headlines.size, results.length);
  for (const result of [...results, "SOMETHING_NEW"]) {
    assert.equal(words(result, "in", {}).mood === "good", result === "ACCEPTED", result);
  }
  const earlier = { gate: "North", at: "2026-12-24T13:00:00Z" };
  assert.match(words("DUPLICATE", "in", { earlier }).reason, /Gate North/);
});

/** What a browser keeps, in memory. */
class Memory {
  facts = new Map();
  seenTickets = new Map();
  /** @type {any[]} */
  items = [];
  #next = 1;
  fact = async (/** @type {string} */ name) => structuredClone(this.facts.get(name));
  note = async (/** @type {string} */ name, /** @type {any} */ value) => void this.facts.set(name, structuredClone(value));
  seen = async () => new Map(this.seenTickets);
  see = async (/** @type {string} */ id, /** @type {any} */ seen) => void this.seenTickets.set(id, seen);
  queue = async () => [...this.items];
  enqueue = async (/** @type {any} */ waiting, /** @type {any} */ passed) => {
    // A disk takes its time.
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.items.push({ no: this.#next++, ...structuredClone(waiting) });
    if (passed) this.seenTickets.set(passed.ticketId, passed.seen);
  };
  dequeue = async (/** @type {number[]} */ numbers) => {
    this.items = this.items.filter(({ no }) => !numbers.includes(no));
  };
  setAside = async (/** @type {number[]} */ numbers, /** @type {any[]} */ aside) => {
    await this.dequeue(numbers);
    await this.note("aside", aside);
  };
  forget = async () => {
    for (const name of ["manifest", "etag", "conflicts", "acknowledged"]) this.facts.delete(name);
    this.seenTickets.clear();
  };
}

/** A gateway that a network leads to, or does not, and that sees every nonce once. */
class Gateway {
  up = true;
  good = true;
  showId = "s";
  /** Of tokens that are for another show. @type {Map<string, string>} */
  shows = new Map();
  /** Tickets that are not taken, and what is answered. */
  malformed = new Set();
  status = 422;
  /** How often a whole manifest was sent. */
  manifests = 0;
  /** @type {Set<string>} */
  badTokens = new Set();
  /** @type {[string, string][]} nonces, with the show that they were sent for */
  sent = [];
  /** @type {Map<string, any>} */
  scans = new Map();
  inside = new Set();
  /** Tickets that were cancelled since the manifest. */
  revoked = new Set();
  /** @type {any[]} */
  conflicts = [];
  /** @type {any[]} */
  insideVoid = [];
  /** How far the clocks of scanners are ahead of this one's. */
  behindMs = 0;
  /** Answers are lost on the way back. */
  losesAnswers = false;

  /** @param {any} scan */
  #settle(scan) {
    const known = this.scans.get(scan.nonce);
    const ticketId = scan.ticket;
    const isRevoked = this.revoked.has(ticketId);
    const isDouble = this.inside.has(ticketId);
    if (!isRevoked) this.inside.add(ticketId);
    const result = isRevoked ? "REVOKED" : isDouble ? "DUPLICATE" : "ACCEPTED";
    const answer = known ?? { nonce: scan.nonce, result, direction: "in", ticketId, seatId: "A1", earlier: null };
    this.scans.set(scan.nonce, answer);
    const recorded = this.conflicts.find((one) => one.nonce === scan.nonce);
    if (recorded) recorded.admitted ||= scan.admitted === true;
    else if (answer.result === "DUPLICATE" || (answer.result === "REVOKED" && scan.admitted)) {
      this.conflicts.push({ ...answer, admitted: scan.admitted === true, scan: { ...scan, scannerId: "scn_1" }, earlier: null });
    }
    return answer;
  }

  /** @type {typeof fetch} */
  fetch = async (input, init) => {
    if (!this.up) throw new TypeError("no network");
    const path = String(input);
    const headers = { Date: new Date(Date.now() - this.behindMs).toUTCString(), ETag: '"1"' };
    const json = (/** @type {any} */ body) => new Response(JSON.stringify(body), { headers });
    const token = /** @type {any} */ (init?.headers).Authorization.slice("Bearer ".length);
    const showId = this.shows.get(token) ?? this.showId;
    if (!this.good || this.badTokens.has(token)) return new Response("{}", { status: 401 });
    if (path.endsWith("/scanner")) return json({ scannerId: "scn_1", showId, gate: "North" });
    if (path.endsWith("/conflicts")) return json({ conflicts: this.conflicts, insideVoid: this.insideVoid });
    const counts = { conflicts: this.conflicts.length, inside: this.inside.size, admitted: 0, tickets: 9, gates: [] };
    if (path.endsWith("/counts")) return json(counts);
    if (path.endsWith("/manifest")) {
      const known = /** @type {any} */ (init?.headers)["If-None-Match"];
      if (known === `"${showId}"`) return new Response(null, { status: 304, headers });
      headers.ETag = `"${showId}"`;
      this.manifests += 1;
      const keys = [{ keyId: 1, publicKey: RAW_KEY }];
      return json({ showId, showNo: 7, title: "S", keys, revoked: [], reissued: [], counts });
    }
    const body = JSON.parse(String(init?.body));
    const scans = body.scans ?? [body];
    if (scans.some((/** @type {any} */ scan) => this.malformed.has(scan.ticket))) return new Response("{}", { status: this.status });
    for (const scan of scans) this.sent.push([showId, scan.nonce]);
    const answers = scans.map((/** @type {any} */ scan) => this.#settle(scan));
    if (this.losesAnswers) throw new TypeError("broken off");
    return json(body.scans ? { scans: answers } : answers[0]);
  };
}

async function desk(gateway = new Gateway(), memory = new Memory()) {
  const verify = await verifier(/** @type {any} */ (crypto.subtle), none);
  const made = new Desk(/** @type {any} */ (memory), verify, (token) => new Uplink(token, gateway.fetch), () => {});
  await made.load();
  return { made, gateway, memory };
}

const live = () => ticket({ from: Date.now() - HOUR - (Date.now() % 1000) });

test("a scanner decides alone, keeps its scans over a restart, and sends each once", async () => {
  const { made, gateway, memory } = await desk();
  await made.use("rscan_a");
  assert.equal(made.link, "online");
  gateway.up = false;
  const code = live();
  assert.deepEqual([(await made.scan(code, "in")).result, made.link, made.queued], ["ACCEPTED", "offline", 1]);
  assert.equal((await made.scan(code, "in")).result, "DUPLICATE");
  assert.equal((await made.scan("HELLO", "in")).result, "UNREADABLE");
  assert.equal(made.queued, 2, "what is no ticket is not kept");
  // The page is closed and opened again, without a network.
  const again = (await desk(gateway, memory)).made;
  await again.refresh();
  assert.deepEqual([again.link, again.queued], ["offline", 2]);
  assert.equal((await again.scan(code, "in")).result, "DUPLICATE");
  gateway.up = true;
  await again.refresh();
  assert.deepEqual([again.link, again.queued], ["online", 0]);
  assert.equal(gateway.scans.size, 3);
  const sent = [...gateway.scans.values()].map((one) => one.result);
  assert.deepEqual(sent, ["ACCEPTED", "DUPLICATE", "DUPLICATE"]);
  // Nobody was let in twice: those were refused at the gate.
  assert.deepEqual(again.conflicts, []);
});

test("what cannot be written down is not shown green", async () => {
  const { made, gateway, memory } = await desk();
  await made.use("rscan_a");
  gateway.up = false;
  const { enqueue } = memory;
  memory.enqueue = () => Promise.reject(new Error("the disk is full"));
  const code = live();
  assert.deepEqual([(await made.scan(code, "in")).result, made.queued], ["NOT_KEPT", 0]);
  // Nobody went in with it.
  memory.enqueue = enqueue;
  assert.deepEqual([(await made.scan(code, "in")).result, made.queued], ["ACCEPTED", 1]);
});

test("a manifest that is as it was is read once, and the counts every time", async () => {
  const { made, gateway, memory } = await desk();
  await made.use("rscan_a");
  await made.scan(live(), "in");
  await made.refresh();
  assert.deepEqual([gateway.manifests, made.counts.inside], [1, 1]);
  const again = (await desk(gateway, memory)).made;
  gateway.inside.add("another");
  await again.refresh();
  assert.deepEqual([gateway.manifests, again.counts.inside], [1, 2]);
});

test("two scans at once of one ticket admit once", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  gateway.up = false;
  const code = live();
  const both = await Promise.all([made.scan(code, "in"), made.scan(code, "in"), made.scan(code, "in")]);
  assert.deepEqual(both.map((one) => one.result), ["ACCEPTED", "DUPLICATE", "DUPLICATE"]);
});

test("a scan whose answer was lost is sent again as the same scan", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  gateway.losesAnswers = true;
  assert.equal((await made.scan(live(), "in")).result, "ACCEPTED");
  assert.equal(gateway.scans.size, 1);
  gateway.losesAnswers = false;
  await made.refresh();
  assert.deepEqual([gateway.scans.size, made.queued, made.conflicts.length], [1, 0, 0]);
});

test("whom a scanner let in because the answer that refused was lost is a conflict on its page", async () => {
  for (const refused of /** @type {const} */ (["inside", "revoked"])) {
    const { made, gateway } = await desk();
    await made.use("rscan_a");
    const code = live();
    gateway[refused].add(code);
    gateway.losesAnswers = true;
    const outcome = await made.scan(code, "in");
    assert.deepEqual([outcome.result, outcome.offline, made.queued], ["ACCEPTED", true, 1]);
    assert.deepEqual([...gateway.scans.values()].map((one) => one.result), [refused === "inside" ? "DUPLICATE" : "REVOKED"]);
    gateway.losesAnswers = false;
    await made.refresh();
    assert.deepEqual([gateway.scans.size, made.queued, made.unseenConflicts.length], [1, 0, 1], refused);
  }
});

test("a double that another scanner let in after all is learnt within a minute", async (context) => {
  const { made, gateway } = await desk();
  const code = live();
  gateway.conflicts.push({ result: "DUPLICATE", ticketId: code, admitted: false, scan: { at: "", gate: "South" }, earlier: null });
  await made.use("rscan_a");
  gateway.conflicts[0].admitted = true;
  await made.refresh();
  assert.equal(made.conflicts.length, 0, "the count is as it was");
  const minute = performance.now() + 61_000;
  context.mock.method(performance, "now", () => minute);
  await made.refresh();
  assert.equal(made.conflicts.length, 1);
});

test("who is inside with a cancelled ticket is listed until they leave", async (context) => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  assert.deepEqual(made.insideVoid, []);
  gateway.insideVoid.push({ ticketId: "tkt_1", seatId: "A1", entry: { at: "", gate: "North", device: null } });
  let minutes = performance.now();
  context.mock.method(performance, "now", () => minutes);
  const later = async () => {
    minutes += 61_000;
    await made.refresh();
    return made.insideVoid.map((one) => one.seatId);
  };
  assert.deepEqual(await later(), ["A1"]);
  gateway.insideVoid = [];
  assert.deepEqual(await later(), []);
});

test("whom another scanner let in too is a conflict until somebody has seen it", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  const code = live();
  gateway.up = false;
  await made.scan(code, "in");
  gateway.inside.add(code);
  gateway.up = true;
  await made.refresh();
  assert.equal(made.unseenConflicts.length, 1);
  assert.equal(made.conflicts[0].isMine, true);
  await made.acknowledge();
  assert.deepEqual([made.unseenConflicts.length, made.conflicts.length], [0, 1]);
});

test("without a network tickets are judged by the clock of the gateway, as it was last heard", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  // Somebody sets the clock of the device a day ahead; the manifest is as it was.
  gateway.behindMs = 24 * HOUR;
  const from = Date.now() - 25 * HOUR;
  const code = ticket({ from: from - (from % 1000) });
  await made.refresh();
  gateway.up = false;
  assert.equal((await made.scan(live(), "in")).result, "NOT_YET_VALID");
  assert.equal((await made.scan(code, "in")).result, "ACCEPTED");
});

test("a scanner that was switched off lets nobody in", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  gateway.good = false;
  assert.equal((await made.scan(live(), "in")).result, "SCANNER_REFUSED");
  assert.equal(made.link, "refused");
  assert.equal(made.queued, 0);
});

test("a new token of the same show keeps what is known, one of another show does not", async () => {
  const { made, gateway } = await desk();
  await made.use("rscan_a");
  gateway.up = false;
  const code = live();
  await made.scan(code, "in");
  // Without a network a token cannot be looked up, and the scanner goes on.
  await made.use("rscan_b");
  assert.deepEqual([(await made.scan(code, "in")).result, made.queued], ["DUPLICATE", 2]);
  gateway.up = true;
  await made.refresh();
  assert.deepEqual([made.link, made.queued], ["online", 0]);
  gateway.showId = "t";
  await made.use("rscan_c");
  gateway.up = false;
  assert.equal((await made.scan(code, "in")).result, "ACCEPTED");
});

test("what was decided for one show is sent with a token of that show", async () => {
  const { made, gateway, memory } = await desk();
  gateway.shows = new Map([["rscan_a", "s"], ["rscan_b", "t"], ["rscan_c", "s"]]);
  await made.use("rscan_a");
  gateway.up = false;
  await made.scan(live(), "in");
  // The next token is of another show, which nobody knows without a network: the rules stay.
  await made.use("rscan_b");
  await made.scan(ticket({ no: 2, from: Date.now() - HOUR }), "in");
  gateway.up = true;
  gateway.badTokens.add("rscan_a");
  await made.refresh();
  // The token of the first show was revoked meanwhile: its scans wait, and the scanner works.
  assert.deepEqual([made.link, made.queued, made.stuck, gateway.sent.length], ["online", 2, 2, 0]);
  assert.match(queued(made.queued, made.stuck), /2 scans wait.*new link of their show/);
  gateway.losesAnswers = true;
  await made.scan(ticket({ no: 3, from: Date.now() - HOUR }), "in");
  gateway.losesAnswers = false;
  gateway.sent = [];
  await made.refresh();
  assert.deepEqual([gateway.sent.map(([show]) => show), made.queued], [["t"], 2]);
  // With its own token again, or with another one of its show, each goes to its show.
  const nonces = memory.items.map(({ scan }) => scan.nonce);
  const copy = memory.items.map((one) => ({ ...one }));
  gateway.sent = [];
  gateway.badTokens.clear();
  await made.refresh();
  assert.deepEqual([gateway.sent, made.queued, made.stuck], [nonces.map((nonce) => ["s", nonce]), 0, 0]);
  assert.equal(made.scanner?.showId, "t");
  gateway.badTokens.add("rscan_a");
  memory.items = copy;
  gateway.sent = [];
  await made.use("rscan_c");
  assert.deepEqual([gateway.sent, made.queued], [nonces.map((nonce) => ["s", nonce]), 0]);
});

test("a scan that the gateway does not take is set aside, shown, and holds up no other", async () => {
  for (const status of [400, 413, 422]) {
    const { made, gateway, memory } = await desk();
    await made.use("rscan_a");
    const codes = [1, 2, 3, 4, 5].map((no) => ticket({ no, from: Date.now() - HOUR }));
    gateway.up = false;
    for (const code of codes) assert.equal((await made.scan(code, "in")).result, "ACCEPTED");
    gateway.up = true;
    gateway.status = status;
    gateway.malformed.add(codes[1]);
    await made.refresh();
    assert.deepEqual([made.link, made.queued, made.aside.length, gateway.scans.size], ["online", 0, 1, 4]);
    assert.equal(made.aside[0].scan.ticket, codes[1]);
    assert.match(setAside(made.aside), /^1 scan could not be sent.*\(let in\)$/);
    // It is not asked again, and not forgotten.
    gateway.malformed.clear();
    const again = (await desk(gateway, memory)).made;
    await again.refresh();
    assert.deepEqual([gateway.scans.size, again.aside.length, again.queued], [4, 1, 0]);
    // One that is refused at once is decided here, and the scanner stays online.
    gateway.malformed.add(codes[0]);
    assert.deepEqual([(await again.scan(codes[0], "in")).result, again.link, again.queued], ["DUPLICATE", "online", 1]);
  }
});

test("an answer that is not about the scan keeps it", async () => {
  for (const status of [404, 409, 429, 503]) {
    const { made, gateway } = await desk();
    await made.use("rscan_a");
    const code = live();
    gateway.status = status;
    gateway.malformed.add(code);
    await made.scan(code, "in");
    await made.refresh();
    assert.deepEqual([made.queued, made.aside.length, made.link], [1, 0, "offline"], String(status));
  }
});

test("the name of a device is cut between letters, and is one that the gateway takes", async () => {
  const { made } = await desk();
  await made.name(`${"x".repeat(39)}🎟🎟`);
  assert.equal(made.device, `${"x".repeat(39)}🎟`);
  await made.name(` a\u0007b\ud83c\u009f `);
  assert.equal(made.device, "ab");
  await made.name(" \n");
  assert.equal(made.device, "ab");
  // An earlier version may have kept half a letter.
  const memory = new Memory();
  memory.facts.set("device", "Phone \ud83c");
  assert.equal((await desk(new Gateway(), memory)).made.device, "Phone");
});

test("what is asked in vain is told from what is not allowed", async () => {
  const gateway = new Gateway();
  const uplink = new Uplink("rscan_a", gateway.fetch);
  gateway.good = false;
  await assert.rejects(uplink.scanner(), Refused);
  gateway.up = false;
  await assert.rejects(uplink.scanner(), Unreachable);
  for (const status of [429, 500, 503]) {
    const busy = new Uplink("rscan_a", async () => new Response("{}", { status }));
    await assert.rejects(busy.scan({}), Unreachable);
  }
});
