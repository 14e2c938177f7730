// @ts-check
// The browser functions that the scripts use.

/** @returns {import("./room_client.js").Surroundings} */
export function browser() {
  return {
    fetch: (input, init) => fetch(input, init),
    openSocket: (url) => new WebSocket(url.replace(/^http/, "ws")),
    openStream: (url) => new EventSource(url),
    setTimer: (run, ms) => window.setTimeout(run, ms),
    clearTimer: (timer) => window.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    isHidden: () => document.hidden,
    isOnline: () => navigator.onLine !== false,
  };
}
