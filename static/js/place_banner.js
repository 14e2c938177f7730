// @ts-check
// A waiting fan may keep browsing: every page of the shop shows the place and keeps it present.

const PREFIX = "ropeline-nonce:";
const TARGET = "ropeline-to:";

/** Rooms that this browser joined; empty where storage is forbidden. */
function rooms() {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));
  } catch {
    return [];
  }
}

/** @param {string} room */
async function watch(room) {
  const api = new URL(`/_line/v1/rooms/${encodeURIComponent(room)}`, location.href).href;
  // Checked before the other scripts are loaded, because most browsers have no place any more.
  const answer = await fetch(`${api}/place`, { cache: "no-store" }).catch(() => null);
  if (answer === null || !answer.ok) return;
  const { showPlace } = await import("./place_view.js");
  const to = localStorage.getItem(TARGET + room) ?? "/";
  showPlace(room, api, to, await answer.json());
}

for (const room of rooms()) void watch(room);
