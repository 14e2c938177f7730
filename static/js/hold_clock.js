// @ts-check
// Counts down a hold or a session. The server rendered the time left; this updates it.

import { span } from "./duration.js";

const TICK_MS = 1000;
/** At this time left the clock changes colour and is announced once. */
const LATE_MS = 60_000;
/** Reloads at the end are spread over this time, so that not all clients request at once. */
const RELOAD_SPREAD_MS = 2000;

const clock = document.getElementById("clock");
const left = document.getElementById("clock-left");
const note = document.getElementById("clock-note");

if (clock !== null && left !== null && note !== null) {
  // The visitor's clock may be wrong, so only the difference of two server times is used.
  const spanMs = Date.parse(clock.dataset.expiresAt ?? "") - Date.parse(clock.dataset.now ?? "");
  const lateMs = Number(clock.dataset.lateMs) || LATE_MS;
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const remaining = spanMs - (performance.now() - startedAt);
    left.textContent = span(remaining);
    if (remaining <= lateMs && !clock.hasAttribute("data-late")) {
      clock.setAttribute("data-late", "");
      note.textContent = span(remaining);
    }
    if (remaining <= 0) {
      clearInterval(timer);
      setTimeout(() => location.reload(), Math.random() * RELOAD_SPREAD_MS);
    }
  }, TICK_MS);
}
