// @ts-check
/** Pure: texts and series from a room's numbers. No DOM, no network. */

/** Points kept per chart: five minutes at one a second. */
export const POINTS_MAX = 300;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number|null|undefined} seconds */
export function wait(seconds) {
  return seconds === null || seconds === undefined ? "unknown" : duration(seconds);
}

/** @param {Record<string, any>} stats @returns {[string, string][]} */
export function figures(stats) {
  const count = (n) => Number(n).toLocaleString("en");
  const share = (n) => (n === null || n === undefined ? "unknown" : `${(n * 100).toFixed(1)} %`);
  const rate = (n) => `${Number(n).toFixed(1)}/s`;
  return [
    ["In line", count(stats.inLine)],
    ["Absent", count(stats.absent)],
    ["Called", count(stats.called)],
    ["Sessions", count(stats.active)],
    ["Joins", rate(stats.joinsPerSecond)],
    ["Calls", rate(stats.callsPerSecond)],
    ["Claims", rate(stats.claimsPerSecond)],
    ["Entries", `${count(stats.entriesPerMinute)}/min`],
    ["Show when called", share(stats.showShare)],
    ["Expected wait", wait(stats.expectedWaitSeconds)],
    ["Actual wait", wait(stats.actualWaitSeconds)],
    ["Served", count(stats.callsTotal)],
    ["Sockets here", count(stats.sockets)],
  ];
}

/** @template T @param {T[]} points @param {T} point @returns {T[]} */
export function appended(points, point) {
  return [...points, point].slice(-POINTS_MAX);
}

/** Scales values to heights from 0 (bottom) to 1; all at the bottom when all are zero. */
/** @param {number[]} values */
export function scaled(values) {
  const top = Math.max(...values, 0);
  return values.map((value) => (top === 0 ? 0 : value / top));
}

/** Which buttons make sense. @param {string} phase @param {string|null} word */
export function actions(phase, word) {
  return {
    open: word !== "open",
    pause: phase !== "closed",
    resume: word === "pause" || word === "close",
    close: word !== "close",
  };
}
