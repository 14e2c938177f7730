// @ts-check
// The banner of a place in the line: position, wait, and the link to enter after a call.

import { ahead, estimate, fill } from "./duration.js";
import { RoomClient } from "./room_client.js";
import { INITIAL, isOpenEnded, reduce } from "./room_state.js";
import { browser } from "./surroundings.js";
import texts from "./texts/en.js";

/**
 * @param {string} room
 * @param {string} api
 * @param {string} to where the fan wants to go
 * @param {import("./wording.js").Status} first
 */
export function showPlace(room, api, to, first) {
  const banner = document.getElementById("place-banner");
  const text = document.getElementById("place-text");
  const link = document.getElementById("place-link");
  if (banner === null || text === null || !(link instanceof HTMLAnchorElement)) return;
  const page = `/_line/rooms/${encodeURIComponent(room)}`;
  const query = `?to=${encodeURIComponent(to)}`;
  const title = document.title;
  let name = "";
  let state = INITIAL;
  const client = new RoomClient(api, dispatch, browser());

  /** @param {import("./room_state.js").RoomEvent} event */
  function dispatch(event) {
    state = reduce(state, event);
    render();
    if (!isOpenEnded(state.status) && event.type !== "linked") client.stop();
  }

  function render() {
    const { status } = state;
    const called = status?.state === "called";
    const open = isOpenEnded(status);
    const said = banner !== null && status !== null && open;
    if (banner === null || text === null || !(link instanceof HTMLAnchorElement)) return;
    banner.hidden = !said;
    banner.toggleAttribute("data-turn", called);
    if (!said) {
      document.title = title;
      return;
    }
    const words = called ? texts.state.called.headline : standing(status);
    const told = name === "" ? words : `${name}: ${words}`;
    if (text.textContent !== told) text.textContent = told;
    link.textContent = called ? texts.turn.enter : texts.banner.look;
    link.href = called ? `${page}/enter${query}` : `${page}${query}`;
    document.title = called ? `${texts.alerts.title} · ${title}` : title;
  }

  dispatch({ type: "status", status: first, at: Date.now() });
  if (!isOpenEnded(first)) return;
  client.listen();
  // The turn is shown without waiting for the line's title.
  void titleOf(api).then((found) => {
    name = found;
    render();
  });
  window.addEventListener("pagehide", () => client.stop());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) client.listen();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) client.wake();
  });
}

/**
 * The room's title, because a fan may have places in several rooms.
 * @param {string} api
 */
async function titleOf(api) {
  try {
    const answer = await fetch(api);
    return answer.ok ? String((await answer.json()).title) : "";
  } catch {
    return "";
  }
}

/** @param {import("./wording.js").Status} status */
function standing(status) {
  if (status.state === "missed") return texts.state.missed.headline;
  if (status.state === "prequeue") return texts.state.prequeue.headline;
  return fill(texts.banner.waiting, {
    ahead: status.usersAhead === null
      ? texts.unknown : ahead(status.usersAhead, status.usersAheadExact),
    wait: status.estimatedWait === null ? texts.unknown : estimate(status.estimatedWait),
  });
}
