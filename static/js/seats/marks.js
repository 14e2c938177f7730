// @ts-check
// Draws seats on a canvas. Each category has a shape and a colour, so that either is enough to tell
// them apart.

/** Number of shapes and colours; further categories reuse them. */
export const SHAPES = 6;
/**
 * Smallest seat in pixels that is drawn with its shape; smaller ones are squares, which draw
 * faster.
 */
export const SHAPE_PX = 6;
/** Smallest seat in pixels that is drawn with the accessibility sign; smaller ones have a ring. */
const SIGN_PX = 12;
/** Width of a mark in seat widths, so that neighbours do not touch. */
const MARK = 0.86;
const STYLES = ["--text", "--ground", "--edge", "--metal", "--line", "--soft"];

/** @typedef {import("./hall.js").Seat} Seat */

/**
 * @typedef {object} Ink colours as the styles of the page have them now
 * @property {string[]} categories
 * @property {Record<string, string>} named
 */

/**
 * @param {Element} element
 * @returns {Ink}
 */
export function inkOf(element) {
  const style = getComputedStyle(element);
  const read = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    categories: Array.from({ length: SHAPES }, (_, at) => read(`--cat-${at}`)),
    named: Object.fromEntries(STYLES.map((name) => [name, read(name)])),
  };
}

/** One path for each category's shape, around (0, 0), one seat wide. */
const OUTLINES = [
  "M-.4 0a.4.4 0 1 0 .8 0a.4.4 0 1 0-.8 0Z", "M-.37-.37h.74v.74h-.74Z", "M0-.43.43 0 0 .43-.43 0Z",
  "M0-.4.43.35H-.43Z", "M-.2-.38h.4L.4 0 .2.38h-.4L-.4 0Z", "M-.42-.24h.84v.48h-.84Z",
];

/**
 * Draws one seat around (0, 0) with `px` pixels a seat width.
 * @param {CanvasRenderingContext2D} context
 * @param {Ink} ink
 * @param {{seat: Seat, category: number, status: string, chosen: boolean}} mark
 * @param {number} px
 */
export function drawSeat(context, ink, { seat, category, status, chosen }, px) {
  const free = status === "AVAILABLE";
  const edge = ink.named["--edge"] ?? "";
  const colour = ink.categories[category % SHAPES] ?? edge;
  if (chosen) drawChosen(context, ink);
  else if (px < SHAPE_PX) drawSmall(context, ink, category, status, 0, 0);
  else if (free) {
    context.fillStyle = colour;
    context.fill(outline(category % SHAPES));
  } else drawUnfree(context, edge, status);
  if (!seat.accessible) return;
  const fill = chosen ? ink.named["--text"] : free ? colour : undefined;
  drawAccessible(context, ink, fill, px);
}

/**
 * Draws a seat around (x, y) that is too small for a shape, neither chosen nor step-free.
 * @param {CanvasRenderingContext2D} context
 * @param {Ink} ink
 * @param {number} category
 * @param {string} status
 * @param {number} x
 * @param {number} y
 */
export function drawSmall(context, ink, category, status, x, y) {
  const free = status === "AVAILABLE";
  const edge = ink.named["--edge"] ?? "";
  context.fillStyle = free ? ink.categories[category % SHAPES] ?? edge : edge;
  const size = free ? MARK : status === "HELD" ? 0.5 : 0.25;
  context.fillRect(x - size / 2, y - size / 2, size, size);
}

/** @type {(Path2D | undefined)[]} */
const paths = [];

/** @param {number} shape */
function outline(shape) {
  return paths[shape] ??= new Path2D(OUTLINES[shape]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Ink} ink
 */
function drawChosen(context, { named }) {
  context.fillStyle = named["--text"] ?? "";
  context.beginPath();
  context.arc(0, 0, 0.45, 0, 7);
  context.fill();
  context.strokeStyle = named["--ground"] ?? "";
  context.lineWidth = 0.12;
  context.beginPath();
  context.moveTo(-0.22, 0.02);
  context.lineTo(-0.07, 0.17);
  context.lineTo(0.23, -0.18);
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} edge
 * @param {string} status
 */
function drawUnfree(context, edge, status) {
  context.strokeStyle = edge;
  context.lineWidth = 0.09;
  context.beginPath();
  if (status === "HELD") {
    context.setLineDash([0.15, 0.12]);
    context.arc(0, 0, 0.32, 0, 7);
  } else {
    context.moveTo(-0.2, -0.2);
    context.lineTo(0.2, 0.2);
    context.moveTo(0.2, -0.2);
    context.lineTo(-0.2, 0.2);
  }
  context.stroke();
  context.setLineDash([]);
}

/**
 * A ring, and on seats that are large enough the sign of a wheel chair.
 * @param {CanvasRenderingContext2D} context
 * @param {Ink} ink
 * @param {string | undefined} fill the colour of the mark to draw on, if it is a filled one
 * @param {number} px
 */
function drawAccessible(context, { named }, fill, px) {
  context.strokeStyle = named["--text"] ?? "";
  context.lineWidth = 0.08;
  context.strokeRect(-0.47, -0.47, 0.94, 0.94);
  if (px < SIGN_PX) return;
  const sign = named[fill ? "--ground" : "--text"] ?? "";
  if (fill) {
    // The sign leaves no space for the shape, so only the colour shows the category.
    context.fillStyle = fill;
    context.fillRect(-0.47, -0.47, 0.94, 0.94);
  }
  drawWheelChair(context, sign);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 */
export function drawWheelChair(context, colour) {
  context.fillStyle = context.strokeStyle = colour;
  context.lineWidth = 0.08;
  context.beginPath();
  context.arc(-0.06, -0.3, 0.07, 0, 7);
  context.fill();
  context.beginPath();
  context.moveTo(-0.06, -0.2);
  context.lineTo(-0.04, 0.06);
  context.lineTo(0.14, 0.06);
  context.lineTo(0.24, 0.3);
  context.moveTo(-0.05, -0.08);
  context.lineTo(0.14, -0.08);
  context.stroke();
  context.beginPath();
  context.arc(-0.04, 0.14, 0.2, -2.6, 1.2, true);
  context.stroke();
}
