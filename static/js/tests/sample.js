// @ts-check

/**
 * A status document with some of its fields changed.
 * @param {Record<string, unknown>} [changes]
 * @returns {any}
 */
export function status(changes = {}) {
  return {
    type: "status", room: "monsoon", phase: "queueing", state: "waiting", queueNumber: 48211,
    usersAhead: 100, usersAheadExact: false, usersInLine: 400210, estimatedWait: null,
    progress: null, claimBy: null, stock: { level: "unknown", remaining: null, outlook: "unknown" },
    message: null, pausedReason: null, updatedAt: "2026-11-22T10:00:00.000Z", pollAfterMs: 5000,
    ...changes,
  };
}
