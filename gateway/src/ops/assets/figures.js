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
    ...(stats.callBatch ? [["Called at once", count(stats.callBatch)]] : []),
    ["Claims", rate(stats.claimsPerSecond)],
    ["Entries", `${count(stats.entriesPerMinute)}/min`],
    ["Show when called", share(stats.showShare)],
    ["Expected wait", stats.inLine === 0 ? "nobody waits" : wait(stats.expectedWaitSeconds)],
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

/**
 * Before which of the cards that are there a new one goes, so that they stand by name; null for the
 * end. Cards that are there never move: a hand may be on its way to a button.
 * @param {Iterable<string>} names @param {string} name
 */
export function before(names, name) {
  const after = [...names].filter((other) => other > name);
  return after.length === 0 ? null : after.reduce((a, b) => (a < b ? a : b));
}

/** What stands beside the phase: why a room is paused, or that an idle one holds nobody up. */
/** @param {Record<string, any>} view */
export function reason(view) {
  if (view.phase === "idle") return `everyone passes through ${idleUntil(view)}`;
  return view.pausedReason?.trim() || "";
}

/** @param {Record<string, any>} view */
function idleUntil(view) {
  if (view.suspended) return "while it is out of use";
  if (view.queueingMethod === "passthrough") return "as long as its queueing method is passthrough";
  const at = view.prequeueOpensAt ?? view.opensAt;
  return at ? `until ${new Date(at).toLocaleString()}` : "until you open it";
}

const QUESTIONS = {
  open: "Fans in line are called from now on, whatever the schedule says.",
  pause: "Nobody is called until you resume. Fans keep their places.",
  resume: "The room goes back to what it did before.",
  close: "Nobody can join and nobody is called any more.",
};

/**
 * What an act does, asked before it is done. Nobody remembers what held before a room was closed.
 * @param {keyof typeof QUESTIONS} act @param {string|null} word
 */
export function question(act, word) {
  if (act === "resume" && word === "close") {
    return "The room was closed: it follows its schedule again. Before its times, and without any, "
      + "everyone passes through.";
  }
  return QUESTIONS[act];
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
