// @ts-check
// Counts a hold or a visit down. The server rendered the time left; this only keeps it moving.

import { span } from "./duration.js";

const TICK_MS = 1000;
/** From here on the clock is shown in the accent colour and said aloud once. */
const LATE_MS = 60_000;
/** Longest wait before the page is loaded anew at the end, so that not everyone asks at once. */
const RELOAD_SPREAD_MS = 2000;

const clock = document.getElementById("clock");
const left = document.getElementById("clock-left");
const note = document.getElementById("clock-note");

if (clock !== null && left !== null && note !== null) {
  // The visitor's clock may be wrong; the span between two server times is not.
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
