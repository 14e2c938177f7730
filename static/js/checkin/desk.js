// @ts-check
// The scanner: takes scans one after the other, asks the gateway or decides by itself, keeps what
// could not be sent, and learns of conflicts.

import { decide } from "./decision.js";
import { base64url, readTicket } from "./ticket.js";
import { Malformed, Refused, Unreachable } from "./uplink.js";

/** @typedef {import("./decision.js").Direction} Direction */
/** @typedef {"unknown" | "online" | "offline" | "refused"} Link */
/** @typedef {{ result: string, direction: Direction, offline: boolean, seatId?: string | null, earlier?: any }} Outcome */

/** Scans of one upload; the gateway takes twice as many. */
const UPLOAD_MAX = 100;
/** Longest text that can be a ticket. */
const TICKET_LETTERS_MAX = 512;
const NONCE_BYTES = 16;
/** Letters of a name that the gateway takes. */
const NAME_LETTERS_MAX = 40;
/** A refused double can turn out to have been let in, which changes no count; so they are read this often. */
const CONFLICTS_EVERY_MS = 60_000;

export class Desk {
  /** @type {Link} */
  link = "unknown";
  /** @type {{ scannerId: string, showId: string, gate: string } | null} */
  scanner = null;
  /** @type {any} */
  manifest = null;
  /** @type {any} who came, as it was last heard */
  counts = null;
  /** @type {any[]} those whom a scanner let in without a network, and should not have */
  conflicts = [];

  /**
   * Who is inside with a ticket that was cancelled since. Not kept: it is what was read last.
   * @type {any[]}
   */
  insideVoid = [];
  queued = 0;
  /** Those of the queued that are of another show, whose token is not good any longer. */
  stuck = 0;
  /** @type {import("./kept.js").Waiting[]} scans that the gateway refused as malformed */
  aside = [];
  device = "";

  #kept;
  #verify;
  #linkTo;
  #onChange;
  /** @type {import("./uplink.js").Uplink | null} */
  #uplink = null;
  /** @type {string | null} */
  #token = null;
  /** @type {string | null} the token that the manifest was read with, which is one of its show */
  #manifestToken = null;
  /** @type {string | null} */
  #etag = null;
  /** How far the clock of this device is ahead of the gateway's. */
  #aheadMs = 0;
  /** @type {Map<string, import("./decision.js").Seen>} */
  #seen = new Map();
  /** @type {Set<string>} */
  #acknowledged = new Set();
  #conflictCount = -1;
  /** When the conflicts were last read, by the time since the page was opened. */
  #conflictsAt = -CONFLICTS_EVERY_MS;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {Promise<void> | null} */
  #refreshing = null;

  /**
   * @param {import("./kept.js").Kept} kept
   * @param {import("./ticket.js").Verify} verify
   * @param {(token: string) => import("./uplink.js").Uplink} linkTo
   * @param {() => void} onChange
   */
  constructor(kept, verify, linkTo, onChange) {
    this.#kept = kept;
    this.#verify = verify;
    this.#linkTo = linkTo;
    this.#onChange = onChange;
  }

  /** Takes up what an earlier visit left. */
  async load() {
    const names = [
      "token", "scanner", "manifest", "manifestToken", "etag", "aheadMs", "device", "conflicts", "acknowledged", "aside",
    ];
    const [token, scanner, manifest, manifestToken, etag, aheadMs, device, conflicts, acknowledged, aside] =
      await Promise.all(names.map((name) => this.#kept.fact(name)));
    this.aside = aside ?? [];
    this.#token = token ?? null;
    this.#manifestToken = manifestToken ?? this.#token;
    this.#uplink = token ? this.#linkTo(token) : null;
    this.scanner = scanner ?? null;
    this.manifest = manifest ?? null;
    this.counts = this.manifest?.counts ?? null;
    this.#etag = etag ?? null;
    this.#aheadMs = aheadMs ?? 0;
    this.conflicts = conflicts ?? [];
    this.#acknowledged = new Set(acknowledged ?? []);
    this.#seen = await this.#kept.seen();
    this.queued = (await this.#kept.queue()).length;
    this.device = nameFrom(device ?? "");
    if (!this.device) await this.name(`Scanner ${hex(crypto.getRandomValues(new Uint8Array(2))).toUpperCase()}`);
    this.#onChange();
  }

  get hasToken() {
    return this.#uplink !== null;
  }

  /** @param {string} device what people call this device */
  async name(device) {
    this.device = nameFrom(device) || this.device;
    await this.#kept.note("device", this.device);
    this.#onChange();
  }

  /** @param {string} token of this scanner from now on */
  async use(token) {
    // A refresh that runs asks for one scanner from its beginning to its end.
    while (this.#refreshing) await this.#refreshing.catch(() => {});
    [this.scanner, this.#etag, this.#conflictCount] = [null, null, -1];
    [this.#token, this.#uplink] = [token, this.#linkTo(token)];
    this.link = "unknown";
    await this.#kept.note("token", token);
    await this.#kept.note("scanner", null);
    await this.refresh();
  }

  /**
   * @param {string} text of a QR code
   * @param {Direction} direction
   * @returns {Promise<Outcome>}
   */
  scan(text, direction) {
    // One after the other: two scans of one ticket must not both find it unused.
    const outcome = this.#last.then(() => this.#scan(text, direction));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  /**
   * @param {string} text
   * @param {Direction} direction
   * @returns {Promise<Outcome>}
   */
  async #scan(text, direction) {
    if (this.#uplink === null || text.length > TICKET_LETTERS_MAX) {
      return { result: this.#uplink === null ? "NO_MANIFEST" : "UNREADABLE", direction, offline: false };
    }
    const scan = {
      ticket: text,
      nonce: base64urlOf(crypto.getRandomValues(new Uint8Array(NONCE_BYTES))),
      at: new Date().toISOString(),
      direction,
      device: this.device,
      ...(this.scanner && { gate: this.scanner.gate }),
    };
    if (this.link === "online" || this.link === "unknown") {
      try {
        const answer = await this.#uplink.scan(scan);
        await this.#learn(answer, scan);
        this.#linked("online");
        return { ...answer, direction, offline: false };
      } catch (error) {
        // One that is malformed says nothing about the network. The scanner decides, and keeps it.
        if (!(error instanceof Malformed)) this.#failed(error);
      }
    }
    if (this.link === "refused") return { result: "SCANNER_REFUSED", direction, offline: false };
    return this.#decideAlone(scan);
  }

  /**
   * @param {any} scan
   * @returns {Promise<Outcome>}
   */
  async #decideAlone(scan) {
    const { direction } = scan;
    if (this.manifest === null) return { result: "NO_MANIFEST", direction, offline: true };
    const keys = this.manifest.keys.map((/** @type {any} */ key) => ({
      keyId: key.keyId,
      publicKey: base64url(key.publicKey),
    }));
    const read = await readTicket(scan.ticket, keys, this.#verify);
    if ("refused" in read) return { result: read.refused, direction, offline: true };
    const { ticketId } = read.claims;
    const seen = this.#seen.get(ticketId);
    const known = {
      showNo: this.manifest.showNo,
      revoked: new Set(this.manifest.revoked),
      reissued: new Map(this.manifest.reissued.map((/** @type {any} */ one) => [one.ticketId, one.generation])),
    };
    const result = decide(read.claims, known, seen, direction, Date.now() - this.#aheadMs);
    // Kept before anybody is let in: what is shown green is never forgotten.
    const admitted = result === "ACCEPTED";
    const passed = admitted ? { ticketId, seen: { inside: direction === "in", at: scan.at, gate: scan.gate } } : null;
    try {
      const of = { showId: this.manifest.showId, token: this.#manifestToken };
      await this.#kept.enqueue({ scan: { ...scan, admitted }, ...of }, passed);
    } catch {
      return { result: "NOT_KEPT", direction, offline: true };
    }
    this.queued += 1;
    if (passed) this.#seen.set(ticketId, passed.seen);
    this.#onChange();
    return { result, direction, offline: true, earlier: result === "DUPLICATE" ? seen : null };
  }

  /**
   * Takes over what the gateway says of a ticket.
   *
   * @param {any} answer
   * @param {any} scan
   */
  async #learn(answer, scan) {
    if (answer.ticketId === null) return;
    if (answer.result === "ACCEPTED") {
      await this.#see(answer.ticketId, { inside: answer.direction === "in", at: scan.at, gate: scan.gate ?? "" });
    } else if (answer.result === "DUPLICATE" && answer.earlier) {
      await this.#see(answer.ticketId, { inside: true, at: answer.earlier.at, gate: answer.earlier.gate });
    }
  }

  /**
   * @param {string} ticketId
   * @param {import("./decision.js").Seen} seen
   */
  async #see(ticketId, seen) {
    this.#seen.set(ticketId, seen);
    // The gateway decided and remembers: a full disk here changes no answer.
    await this.#kept.see(ticketId, seen).catch(() => {});
  }

  /** Sends what waits, and learns what is new. Called again while it runs, it is waited for. */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    if (this.#uplink === null) return;
    try {
      if (this.scanner === null) {
        const scanner = await this.#uplink.scanner();
        if (this.manifest !== null && this.manifest.showId !== scanner.showId) await this.#forget();
        this.scanner = scanner;
        await this.#kept.note("scanner", scanner);
      }
      const sent = await this.#upload();
      await this.#learnManifest();
      await this.#learnCounts();
      const isOld = performance.now() - this.#conflictsAt >= CONFLICTS_EVERY_MS;
      if (sent || isOld || this.counts.conflicts !== this.#conflictCount) await this.#learnConflicts();
      this.#linked("online");
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Forgets what is of another show. */
  async #forget() {
    await this.#kept.forget();
    [this.manifest, this.counts, this.conflicts] = [null, null, []];
    this.insideVoid = [];
    [this.#seen, this.#acknowledged] = [new Map(), new Set()];
  }

  /** @returns {Promise<boolean>} whether anything was sent */
  async #upload() {
    /** Tokens of other shows that are not good any longer. @type {Set<string | null>} */
    const refused = new Set();
    let sent = false;
    for (;;) {
      const queue = await this.#kept.queue();
      const open = queue.filter((one) => !refused.has(this.#tokenFor(one)));
      [this.queued, this.stuck] = [queue.length, queue.length - open.length];
      if (open.length === 0) return sent;
      const token = this.#tokenFor(open[0]);
      const end = open.findIndex((one) => this.#tokenFor(one) !== token);
      const waiting = open.slice(0, end < 0 ? UPLOAD_MAX : Math.min(end, UPLOAD_MAX));
      try {
        await this.#sendOrSetAside(waiting, token);
        sent = true;
      } catch (error) {
        if (!(error instanceof Refused) || token === this.#token) throw error;
        refused.add(token);
      }
      this.#onChange();
    }
  }

  /**
   * Sends scans; those that the gateway does not take as they are do not hold up the others.
   *
   * @param {({ no: number } & import("./kept.js").Waiting)[]} waiting
   * @param {string | null} token
   */
  async #sendOrSetAside(waiting, token) {
    try {
      await this.#send(waiting, token);
      return;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    if (waiting.length > 1) {
      const half = Math.ceil(waiting.length / 2);
      await this.#sendOrSetAside(waiting.slice(0, half), token);
      await this.#sendOrSetAside(waiting.slice(half), token);
      return;
    }
    const [{ no, ...one }] = waiting;
    await this.#kept.setAside([no], [...this.aside, one]);
    this.aside.push(one);
  }

  /**
   * @param {({ no: number } & import("./kept.js").Waiting)[]} waiting
   * @param {string | null} token
   */
  async #send(waiting, token) {
    const isOwn = token === this.#token;
    const uplink = /** @type {import("./uplink.js").Uplink} */ (isOwn ? this.#uplink : this.#linkTo(String(token)));
    const answers = await uplink.upload(waiting.map(({ scan }) => scan));
    // What is known of tickets is of the show at hand.
    if (isOwn) for (const [at, answer] of answers.entries()) await this.#learn(answer, waiting[at].scan);
    await this.#kept.dequeue(waiting.map(({ no }) => no));
  }

  /**
   * The token that a scan is sent with: one of the show whose rules decided it.
   *
   * @param {import("./kept.js").Waiting} waiting
   */
  #tokenFor({ showId, token }) {
    const isOfShow = showId === undefined || showId === /** @type {any} */ (this.scanner).showId;
    return isOfShow ? this.#token : token ?? this.#token;
  }

  async #learnManifest() {
    const uplink = /** @type {import("./uplink.js").Uplink} */ (this.#uplink);
    const showId = /** @type {any} */ (this.scanner).showId;
    const learnt = await uplink.manifest(showId, this.#etag);
    if (!Number.isNaN(learnt.serverNow)) this.#aheadMs = Date.now() - learnt.serverNow;
    await this.#kept.note("aheadMs", this.#aheadMs);
    this.#manifestToken = this.#token;
    await this.#kept.note("manifestToken", this.#manifestToken);
    if (learnt.manifest === null) return;
    [this.manifest, this.counts] = [learnt.manifest, learnt.manifest.counts];
    this.#etag = learnt.etag;
    await this.#kept.note("manifest", this.manifest);
    await this.#kept.note("etag", this.#etag);
  }

  /** The counts change with every scan, and come apart from a manifest that is as it was. */
  async #learnCounts() {
    const uplink = /** @type {import("./uplink.js").Uplink} */ (this.#uplink);
    this.counts = await uplink.counts(/** @type {any} */ (this.scanner).showId);
  }

  async #learnConflicts() {
    const uplink = /** @type {import("./uplink.js").Uplink} */ (this.#uplink);
    const scanner = /** @type {any} */ (this.scanner);
    const { conflicts: all, insideVoid } = await uplink.conflicts(scanner.showId);
    this.insideVoid = insideVoid ?? [];
    const isMine = (/** @type {any} */ place) => place?.scannerId === scanner.scannerId;
    this.conflicts = all
      .filter((one) => one.admitted)
      .map((one) => ({ ...one, isMine: isMine(one.scan) || isMine(one.earlier) }));
    this.#conflictCount = this.counts.conflicts;
    this.#conflictsAt = performance.now();
    await this.#kept.note("conflicts", this.conflicts);
  }

  /** Conflicts that nobody at this scanner has seen yet. */
  get unseenConflicts() {
    return this.conflicts.filter((one) => !this.#acknowledged.has(nameOf(one)));
  }

  /** Somebody at this scanner saw the conflicts. */
  async acknowledge() {
    for (const one of this.conflicts) this.#acknowledged.add(nameOf(one));
    await this.#kept.note("acknowledged", [...this.#acknowledged]);
    this.#onChange();
  }

  /** @param {unknown} error */
  #failed(error) {
    if (error instanceof Refused) this.#linked("refused");
    else if (error instanceof Unreachable) this.#linked("offline");
    else throw error;
  }

  /** @param {Link} link */
  #linked(link) {
    this.link = link;
    this.#onChange();
  }
}

/**
 * What the gateway takes as a name. Cut between letters, of which some are two units of a string.
 *
 * @param {string} text
 */
function nameFrom(text) {
  const letters = [...text.replace(/[\p{Control}\p{Surrogate}]/gu, "").trim()];
  return letters.slice(0, NAME_LETTERS_MAX).join("").trim();
}

/** @param {any} conflict */
function nameOf(conflict) {
  return `${conflict.ticketId} ${conflict.scan.at} ${conflict.scan.gate}`;
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} bytes */
function base64urlOf(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
