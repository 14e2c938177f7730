// @ts-check
// Shows the state on the page that the server rendered. Writes text only, never markup.

import { fill, span } from "./duration.js";
import { autoEnterLeft, claimLeft, isOpenEnded } from "./room_state.js";
import texts from "./texts/en.js";
import { wording } from "./wording.js";

/** @typedef {import("./room_state.js").RoomState} RoomState */

/** Shortest time between two announcements of figures by a screen reader. */
const ANNOUNCE_MS = 60_000;
/** Unanswered joins after which the form is shown, while the script keeps trying. */
export const JOIN_FAILURES_SHOWN = 2;

/** @param {string} id */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

export class RoomView {
  #main = element("line");
  #title = this.#main.dataset.title ?? "";
  #opensAt = Date.parse(this.#main.dataset.opensAt ?? "");
  #announcedAt = -Infinity;
  #headline = element("headline").textContent ?? "";
  /** The texts for a visitor without a place. After a lost place they suit most rooms. */
  #outside = this.#main.dataset.status === undefined
    ? { headline: this.#headline, lede: element("lede").textContent ?? "" } : texts.outside.queueing;
  #outsideMood = this.#main.dataset.status === undefined ? document.body.dataset.mood : "wait";

  /**
   * @param {RoomState} state
   * @param {number} now
   */
  render(state, now) {
    if (state.status !== null) this.#renderStatus(state, state.status, now);
    this.#renderJoin(state);
    this.tick(state, now);
  }

  /**
   * Updates the parts that depend on the time only.
   * @param {RoomState} state
   * @param {number} now
   */
  tick(state, now) {
    this.#renderLink(state, now);
    const opensIn = this.#opensAt - (now + state.skewMs);
    const gathering = (state.status?.phase ?? this.#main.dataset.phase) === "prequeue";
    show("opens", gathering && opensIn > 0);
    if (gathering && opensIn > 0) write("opens-in", span(opensIn));
    const left = claimLeft(state, now);
    write("turn-left", left === null ? "" : fill(texts.turn.left, { span: span(left) }));
    const auto = autoEnterLeft(state, now);
    show("stay", auto !== null);
    show("auto", auto !== null || state.stayed);
    if (auto !== null) write("auto", fill(texts.turn.auto, { s: Math.ceil(auto / 1000) }));
    else if (state.stayed) write("auto", texts.turn.stayed);
  }

  /**
   * @param {RoomState} state
   * @param {import("./wording.js").Status} status
   * @param {number} now
   */
  #renderStatus(state, status, now) {
    const words = wording(status);
    document.body.dataset.mood = words.mood;
    write("headline", words.headline);
    write("lede", words.lede);
    figure("ahead", words.ahead);
    figure("wait", words.wait);
    figure("number", words.queueNumber);
    figure("in-line", words.inLine);
    optional("stock", words.stock);
    optional("message", status.message);
    this.#renderProgress(status.progress);
    const inside = status.state === "called" || status.state === "admitted";
    const waits = ["prequeue", "waiting", "missed"].includes(status.state);
    show("turn", inside);
    show("leave", waits);
    show("way-out", words.mood === "over");
    show("alerts", waits && element("alerts-on").hidden);
    document.title = fill(texts.documentTitle, { headline: words.headline, title: this.#title });
    this.#announce(words, now);
    if (words.headline !== this.#headline) {
      this.#headline = words.headline;
      // Focus makes a screen reader read the new heading, and the next controls follow it.
      if (inside) element("headline").focus();
    }
    const stale = isOpenEnded(status) && state.link !== "live" && state.link !== "polling";
    if (stale) document.body.dataset.stale = "";
    else delete document.body.dataset.stale;
  }

  /** @param {number | null} progress */
  #renderProgress(progress) {
    const percent = Math.round(Math.min(1, Math.max(0, progress ?? 0)) * 100);
    element("way").setAttribute("stroke-dasharray", `${percent} 200`);
    element("way").setAttribute("visibility", percent > 0 ? "visible" : "hidden");
    element("bead").setAttribute("stroke-dashoffset", String(-percent));
    element("bead").setAttribute("visibility", progress === null ? "hidden" : "visible");
    const bar = /** @type {HTMLProgressElement} */ (element("progress"));
    bar.value = percent;
    bar.hidden = progress === null;
  }

  /** @param {RoomState} state */
  #renderJoin(state) {
    const status = state.status;
    if (status === null) this.#renderOutside(state);
    else {
      const missed = status.state === "missed";
      const away = missed || status.state === "left" || status.state === "ended";
      show("join", away && status.phase !== "closed" && state.joined !== "joining");
      if (away) write("join-button", missed ? texts.join.back : texts.join.again);
    }
    const refusals = /** @type {Record<string, string>} */ (texts.refused);
    optional("refused", state.refused && (refusals[state.refused] ?? texts.refused.other));
    show("kept", state.refused !== "cookies");
    element("code").setAttribute("aria-invalid", String(state.refused === "forbidden"));
  }

  /** Removes the figures of an earlier place. @param {RoomState} state */
  #renderOutside(state) {
    if (state.joined === "no" && state.refused === null) return;
    const joining = state.joined === "joining";
    document.body.dataset.mood = this.#outsideMood ?? "wait";
    delete document.body.dataset.stale;
    this.#headline = this.#outside.headline;
    document.title = fill(texts.documentTitle, { headline: this.#headline, title: this.#title });
    write("headline", this.#headline);
    write("lede", joining ? texts.join.joining : this.#outside.lede);
    for (const id of ["turn", "leave", "alerts", "stock"]) show(id, false);
    for (const id of ["ahead", "wait", "number"]) figure(id, null);
    this.#renderProgress(null);
    // The refusal announces itself.
    write("announce", "");
    const closed = state.refused === "room-closed" || state.refused === "room-not-found";
    show("way-out", closed);
    // While the script gets no response, submitting the form may still work.
    show("join", joining ? state.joinFailures >= JOIN_FAILURES_SHOWN : !closed);
  }

  /**
   * @param {RoomState} state
   * @param {number} now
   */
  #renderLink(state, now) {
    const link = element("link");
    // A page in a final state has no connection.
    link.hidden = state.status === null ? state.joined === "no" : !isOpenEnded(state.status);
    link.dataset.link = state.link === "polling" ? "live" : state.link;
    const said = {
      live: texts.link.live,
      polling: fill(texts.link.polling, { s: Math.round(state.pollMs / 1000) }),
      connecting: texts.link.connecting,
      stale: fill(texts.link.stale, { span: span(now - state.heardAt) }),
      unavailable: texts.link.unavailable,
      offline: texts.link.offline,
    }[state.link];
    write("link", said);
  }

  /**
   * @param {import("./wording.js").Wording} words
   * @param {number} now
   */
  #announce(words, now) {
    const changed = words.headline !== this.#headline;
    if (!changed && now - this.#announcedAt < ANNOUNCE_MS) return;
    this.#announcedAt = now;
    const said = words.ahead === null
      ? `${words.headline}. ${words.lede}`
      : fill(texts.announce, { headline: words.headline, ahead: words.ahead, wait: words.wait ?? "" });
    write("announce", said);
  }
}

/**
 * @param {string} id
 * @param {string} text
 */
export function write(id, text) {
  const target = element(id);
  // Writing the same text again would make some screen readers repeat it.
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {string} id
 * @param {boolean} visible
 */
export function show(id, visible) {
  element(id).hidden = !visible;
}

/**
 * @param {string} id
 * @param {string | null} text
 */
function optional(id, text) {
  show(id, text !== null);
  write(id, text ?? "");
}

/**
 * @param {string} id
 * @param {string | null} text
 */
function figure(id, text) {
  write(id, text ?? "");
  const group = element(id).parentElement;
  if (group !== null) group.hidden = text === null;
}
