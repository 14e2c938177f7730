// @ts-check
// Speaks to the gateway as this scanner.

/** The gateway could not be asked, or had no answer. What was asked may be done all the same. */
export class Unreachable extends Error {}
/** The token of this scanner is not good, or not for this. */
export class Refused extends Error {}

/** What was asked is malformed, and asking again does not help. */
export class Malformed extends Error {}

/** What the gateway answers to a body that it does not take. */
const MALFORMED = new Set([400, 413, 422]);
const API = "/checkin/v1";
/** Longest that a visitor waits at the gate before the scanner decides by itself. */
const SCAN_PATIENCE_MS = 3000;
const PATIENCE_MS = 20_000;

export class Uplink {
  #token;
  #fetch;

  /**
   * @param {string} token
   * @param {typeof fetch} fetcher
   */
  constructor(token, fetcher = (...call) => fetch(...call)) {
    this.#token = token;
    this.#fetch = fetcher;
  }

  /**
   * @param {string} path
   * @param {{ method?: string, body?: unknown, etag?: string | null, patienceMs?: number }} [how]
   * @returns {Promise<Response>}
   */
  async #ask(path, { method = "GET", body, etag, patienceMs = PATIENCE_MS } = {}) {
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${this.#token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (etag) headers["If-None-Match"] = etag;
    let answer;
    try {
      answer = await this.#fetch(`${API}${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(patienceMs),
      });
    } catch (error) {
      throw new Unreachable(String(error));
    }
    if (answer.status === 401 || answer.status === 403) throw new Refused(String(answer.status));
    if (answer.status === 429 || answer.status >= 500) throw new Unreachable(String(answer.status));
    return answer;
  }

  /** @returns {Promise<any>} who this scanner is */
  async scanner() {
    return (await this.#ask("/scanner")).json();
  }

  /**
   * @param {unknown} scan
   * @returns {Promise<any>}
   */
  async scan(scan) {
    const answer = await this.#ask("/scans", { method: "POST", body: scan, patienceMs: SCAN_PATIENCE_MS });
    if (MALFORMED.has(answer.status)) throw new Malformed(String(answer.status));
    if (!answer.ok) throw new Unreachable(String(answer.status));
    return this.#json(answer);
  }

  /**
   * @param {readonly unknown[]} scans
   * @returns {Promise<any[]>} one answer for each
   */
  async upload(scans) {
    const body = { scans, sentAt: new Date().toISOString() };
    const answer = await this.#ask("/scans", { method: "POST", body });
    if (MALFORMED.has(answer.status)) throw new Malformed(String(answer.status));
    if (!answer.ok) throw new Unreachable(String(answer.status));
    return (await this.#json(answer)).scans;
  }

  /**
   * @param {string} showId
   * @param {string | null} etag
   * @returns {Promise<{ manifest: any, etag: string | null, serverNow: number }>} no manifest when it is as it was
   */
  async manifest(showId, etag) {
    const answer = await this.#ask(`/shows/${encodeURIComponent(showId)}/manifest`, { etag });
    const isSame = answer.status === 304;
    if (!answer.ok && !isSame) throw new Unreachable(String(answer.status));
    const serverNow = Date.parse(answer.headers.get("Date") ?? "");
    return { manifest: isSame ? null : await this.#json(answer), etag: answer.headers.get("ETag"), serverNow };
  }

  /**
   * @param {string} showId
   * @returns {Promise<any>}
   */
  async counts(showId) {
    const answer = await this.#ask(`/shows/${encodeURIComponent(showId)}/counts`);
    if (!answer.ok) throw new Unreachable(String(answer.status));
    return this.#json(answer);
  }

  /**
   * @param {string} showId
   * @returns {Promise<{conflicts: any[], insideVoid?: any[]}>}
   */
  async conflicts(showId) {
    const answer = await this.#ask(`/shows/${encodeURIComponent(showId)}/conflicts`);
    if (!answer.ok) throw new Unreachable(String(answer.status));
    return this.#json(answer);
  }

  /** @param {Response} answer */
  async #json(answer) {
    try {
      return await answer.json();
    } catch (error) {
      throw new Unreachable(String(error));
    }
  }
}
