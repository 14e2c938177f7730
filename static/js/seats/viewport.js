// @ts-check
// The visible part of the hall. Pure geometry, in seat widths.

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** Closest zoom: this many seats across. */
const WIDTH_MIN = 8;

/**
 * The box after zooming by `factor` around a point that stays in place.
 * @param {Box} box
 * @param {Box} hall
 * @param {number} factor above 1 zooms in
 * @param {{x: number, y: number}} around
 * @returns {Box}
 */
export function zoom(box, hall, factor, around) {
  const width = Math.min(hall.width, Math.max(Math.min(WIDTH_MIN, hall.width), box.width / factor));
  const scale = width / box.width;
  return keep({
    x: around.x - (around.x - box.x) * scale,
    y: around.y - (around.y - box.y) * scale,
    width,
    height: box.height * scale,
  }, hall);
}

/**
 * @param {Box} box
 * @param {Box} hall
 * @param {number} dx
 * @param {number} dy
 * @returns {Box}
 */
export function pan(box, hall, dx, dy) {
  return keep({ ...box, x: box.x + dx, y: box.y + dy }, hall);
}

/**
 * The box, moved as little as needed to contain the point with a margin.
 * @param {Box} box
 * @param {Box} hall
 * @param {{x: number, y: number}} point
 * @returns {Box}
 */
export function reveal(box, hall, { x, y }) {
  const margin = 2;
  const toRight = Math.max(0, x + margin - (box.x + box.width));
  const toLeft = Math.max(0, box.x - (x - margin));
  const down = Math.max(0, y + margin - (box.y + box.height));
  const up = Math.max(0, box.y - (y - margin));
  return pan(box, hall, toRight - toLeft, down - up);
}

/**
 * @param {Box} box
 * @param {Box} hall
 * @returns {Box}
 */
function keep(box, hall) {
  const within = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ from,
    /** @type {number} */ whole) =>
    size >= whole ? from + (whole - size) / 2 : Math.min(from + whole - size, Math.max(from, at));
  return {
    ...box,
    x: within(box.x, box.width, hall.x, hall.width),
    y: within(box.y, box.height, hall.y, hall.height),
  };
}
