// @ts-check
// The hall on a canvas, with elements for the row that has the keyboard focus.

import { fill } from "../duration.js";
import texts from "../texts/seats.en.js";
import { neighbour } from "./hall.js";
import { drawSeat, drawSmall, inkOf, SHAPE_PX } from "./marks.js";
import { RowView } from "./row_view.js";
import { statusAt } from "./seat_state.js";
import { pan, reveal, zoom } from "./viewport.js";

/** @typedef {import("./hall.js").Seat} Seat */
/** @typedef {import("./hall.js").Hall} Hall */
/** @typedef {import("./seat_state.js").SeatState} SeatState */
/** @typedef {import("./viewport.js").Box} Box */
/** @typedef {{clientX: number, clientY: number}} OnScreen */

/** A pointer that moved less than this is a click. */
const CLICK_PX = 6;
/** Seats smaller than this are too small for a finger: a tap zooms in first. */
const FINGER_PX = 18;
/** Longest distance of a click from a seat's middle, in seat widths. */
const REACH = 0.75;
const ZOOM_STEP = 1.6;
const MARGIN = 2;
const STAGE_HEIGHT = 2;
/** Smallest seat in pixels from which row names are drawn. */
const NAME_PX = 8;

/** @type {Record<string, "left" | "right" | "up" | "down">} */
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export class SeatView {
  #frame;
  #canvas;
  #context;
  #names;
  #money;
  #onToggle;
  #row;
  #ink;
  /** @type {SeatState | null} */
  #state = null;
  /** @type {Hall | null} */
  #drawn = null;
  /** @type {Map<number, Seat[]> | null} seats by cell, once something was clicked */
  #cells = null;
  /** @type {Box} */
  #hall = { x: 0, y: 0, width: 1, height: 1 };
  /** @type {Box} */
  #box = this.#hall;
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();
  #moved = 0;
  #awaited = false;

  /**
   * @param {HTMLElement} frame
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} group where the elements of a row go
   * @param {{code: string, name: string}[]} categories in the order of their shapes
   * @param {(minor: number) => string} money
   * @param {(seatId: string) => void} onToggle
   */
  constructor(frame, canvas, group, categories, money, onToggle) {
    this.#frame = frame;
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#names = new Map(categories.map(({ code, name }, index) => [code, { name, index }]));
    this.#money = money;
    this.#onToggle = onToggle;
    this.#ink = inkOf(frame);
    this.#row = new RowView(group,
      ({ section, row }) => fill(texts.row, { section, row }), (seat) => this.#describe(seat));
    this.#listen();
  }

  /** @param {SeatState} state */
  render(state) {
    this.#state = state;
    const { hall } = state;
    if (hall === null) return;
    if (hall !== this.#drawn) this.#furnish(hall, state);
    if (!state.changed) return;
    this.#row.refresh();
    this.#draw();
  }

  zoomIn() {
    this.#zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.#zoomBy(1 / ZOOM_STEP);
  }

  zoomAll() {
    this.#look(this.#hall);
  }

  /** @param {number} factor */
  #zoomBy(factor) {
    const { x, y, width, height } = this.#box;
    this.#look(zoom(this.#box, this.#hall, factor, { x: x + width / 2, y: y + height / 2 }));
  }

  /**
   * @param {Hall} hall
   * @param {SeatState} state
   */
  #furnish(hall, state) {
    const first = this.#drawn === null;
    this.#drawn = hall;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    this.#cells = null;
    for (const seat of hall.seats) {
      left = Math.min(left, seat.x);
      right = Math.max(right, seat.x);
      top = Math.min(top, seat.y);
      bottom = Math.max(bottom, seat.y);
    }
    this.#hall = {
      x: left - MARGIN, y: top - MARGIN - STAGE_HEIGHT,
      width: right - left + 2 * MARGIN, height: bottom - top + 2 * MARGIN + STAGE_HEIGHT,
    };
    if (first) this.#look(this.#hall);
    const focused = this.#row.focused === "" ? undefined : hall.byId.get(this.#row.focused);
    const focus = focused
      ?? hall.seats.find((seat) => statusAt(state, seat) === "AVAILABLE") ?? hall.seats[0];
    if (focus !== undefined) this.#focus(focus, false);
  }

  /** @param {Seat} seat */
  #describe(seat) {
    const state = this.#state;
    const chosen = state?.chosen.includes(seat.seatId) ?? false;
    const status = state === null ? "BLOCKED" : statusAt(state, seat);
    const words = [fill(texts.seat, {
      section: seat.section, row: seat.row, number: seat.number,
      category: this.#names.get(seat.category)?.name ?? seat.category,
      price: this.#money(seat.priceMinor),
    })];
    if (seat.accessible) words.push(texts.accessible);
    words.push(chosen ? texts.chosen : /** @type {Record<string, string>} */ (texts)[status] ?? "");
    return { label: words.join(", "), chosen, free: status === "AVAILABLE" };
  }

  /** Draws in the next frame, once for any number of calls. */
  #draw() {
    if (this.#awaited) return;
    this.#awaited = true;
    requestAnimationFrame(() => {
      this.#awaited = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const state = this.#state;
    const hall = state?.hall;
    if (!state || !hall) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#canvas;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    const { scale, left, top } = this.#fit();
    const context = this.#context;
    const device = scale * ratio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(device, 0, 0, device, left * ratio, top * ratio);
    this.#drawStage(hall, scale);
    const chosen = new Set(state.chosen);
    const [fromX, toX] = [-left / scale - 1, (clientWidth - left) / scale + 1];
    const [fromY, toY] = [-top / scale - 1, (clientHeight - top) / scale + 1];
    const small = scale < SHAPE_PX;
    for (const seat of hall.seats) {
      if (seat.x < fromX || seat.x > toX || seat.y < fromY || seat.y > toY) continue;
      const category = this.#names.get(seat.category)?.index ?? 0;
      const status = statusAt(state, seat);
      const isChosen = chosen.size > 0 && chosen.has(seat.seatId);
      // A hall may have tens of thousands of seats, nearly all without a sign or a selection.
      if (small && !isChosen && !seat.accessible) {
        drawSmall(context, this.#ink, category, status, seat.x, seat.y);
        continue;
      }
      context.setTransform(device, 0, 0, device,
        (left + seat.x * scale) * ratio, (top + seat.y * scale) * ratio);
      drawSeat(context, this.#ink, { seat, category, status, chosen: isChosen }, scale);
      context.setTransform(device, 0, 0, device, left * ratio, top * ratio);
    }
    this.#row.lay((seat) => ({
      left: left + (seat.x - 0.5) * scale, top: top + (seat.y - 0.5) * scale, size: scale,
    }));
  }

  /**
   * @param {Hall} hall
   * @param {number} scale
   */
  #drawStage(hall, scale) {
    const context = this.#context;
    const { x, y, width } = this.#hall;
    context.fillStyle = this.#ink.named["--line"] ?? "";
    context.fillRect(x + width / 5, y + 0.5, width * 3 / 5, STAGE_HEIGHT * 0.75);
    context.fillStyle = this.#ink.named["--soft"] ?? "";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = `600 ${Math.max(0.9, 11 / scale)}px sans-serif`;
    context.fillText(texts.stage, x + width / 2, y + 0.5 + STAGE_HEIGHT * 0.375);
    if (scale < NAME_PX) return;
    context.font = "600 0.6px sans-serif";
    for (const { row, seats } of hall.rows) {
      const [first, last] = [seats[0], seats[seats.length - 1]];
      if (first === undefined || last === undefined) continue;
      context.fillText(row, first.x - 1.2, first.y);
      context.fillText(row, last.x + 1.2, last.y);
    }
  }

  #listen() {
    const canvas = this.#canvas;
    this.#frame.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const factor = Math.exp(-event.deltaY / 400);
      this.#look(zoom(this.#box, this.#hall, factor, this.#at(event)));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (this.#pointers.size === 0) this.#moved = 0;
      this.#pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"])) {
      canvas.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    // Assistive technology clicks the elements of the row; fingers and mice click the canvas.
    this.#frame.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#ink = inkOf(this.#frame);
      this.#draw();
    });
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    this.#pointers.set(event.pointerId, event);
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    this.#moved += Math.hypot(dx, dy);
    if (this.#moved < CLICK_PX) return;
    if (this.#pointers.size === 1) {
      const { scale } = this.#fit();
      this.#look(pan(this.#box, this.#hall, -dx / scale, -dy / scale));
      return;
    }
    const other = [...this.#pointers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other === undefined) return;
    const distance = (/** @type {PointerEvent} */ one) =>
      Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    const around = this.#at({
      clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2,
    });
    this.#look(zoom(this.#box, this.#hall, distance(event) / distance(before), around));
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = event.target instanceof Element ? event.target.closest("[data-seat]") : null;
    if (target === null && this.#moved >= CLICK_PX) return;
    const named = this.#state?.hall?.byId.get(target?.getAttribute("data-seat") ?? "");
    const seat = named ?? this.#hit(event);
    if (seat === null) return;
    this.#focus(seat, true);
    this.#onToggle(seat.seatId);
  }

  /**
   * The seat under a click; null when the click only zoomed in.
   * @param {MouseEvent} event
   * @returns {Seat | null}
   */
  #hit(event) {
    const finger = !(event instanceof PointerEvent) || event.pointerType !== "mouse";
    const point = this.#at(event);
    const { scale } = this.#fit();
    if (finger && scale < FINGER_PX) {
      this.#look(zoom(this.#box, this.#hall, (FINGER_PX * 1.5) / scale, point));
      return null;
    }
    /** @type {Seat | null} */
    let best = null;
    let bestDistance = REACH;
    const cells = this.#cells ??= cellsOf(this.#drawn?.seats ?? []);
    for (const dx of [-1, 0, 1]) {
      for (const dy of [-1, 0, 1]) {
        for (const seat of cells.get(cell(point.x + dx, point.y + dy)) ?? []) {
          const distance = Math.hypot(seat.x - point.x, seat.y - point.y);
          if (distance < bestDistance) [best, bestDistance] = [seat, distance];
        }
      }
    }
    return best;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const hall = this.#state?.hall;
    const from = hall?.byId.get(this.#row.focused);
    if (!hall || from === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = ARROWS[event.key];
    if (direction !== undefined) {
      const next = neighbour(hall.seats, from, direction);
      if (next !== null) this.#focus(next, true);
    } else if (event.key === "Enter" || event.key === " ") {
      this.#onToggle(from.seatId);
    } else if (event.key === "+") {
      this.zoomIn();
    } else if (event.key === "-") {
      this.zoomOut();
    } else {
      return;
    }
    event.preventDefault();
  }

  /**
   * Only one seat is in the tab order; arrow keys move from it.
   * @param {Seat} seat
   * @param {boolean} move whether to move the focus there now
   */
  #focus(seat, move) {
    const row = this.#drawn?.rowOf(seat);
    if (row === undefined) return;
    this.#row.show(row, seat, move);
    if (move) this.#look(reveal(this.#box, this.#hall, seat));
    else this.#draw();
  }

  /** @param {Box} box */
  #look(box) {
    this.#box = box;
    this.#draw();
  }

  /**
   * The position of the box on the canvas: pixels per seat width, and the pixel of the hall's
   * origin.
   */
  #fit() {
    const { clientWidth, clientHeight } = this.#canvas;
    const { x, y, width, height } = this.#box;
    const scale = Math.min(clientWidth / width, clientHeight / height) || 1;
    return {
      scale,
      left: (clientWidth - width * scale) / 2 - x * scale,
      top: (clientHeight - height * scale) / 2 - y * scale,
    };
  }

  /** @param {OnScreen} event */
  #at({ clientX, clientY }) {
    const frame = this.#canvas.getBoundingClientRect();
    const { scale, left, top } = this.#fit();
    return { x: (clientX - frame.left - left) / scale, y: (clientY - frame.top - top) / scale };
  }
}

/** Cells per column, far more than any hall has rows. */
const CELLS = 1_000_000;

/**
 * The grid cell of a point; cells are one seat wide.
 * @param {number} x
 * @param {number} y
 */
function cell(x, y) {
  return Math.round(x) * CELLS + Math.round(y);
}

/** @param {Seat[]} seats */
function cellsOf(seats) {
  /** @type {Map<number, Seat[]>} */
  const cells = new Map();
  for (const seat of seats) {
    const key = cell(seat.x, seat.y);
    const there = cells.get(key);
    if (there === undefined) cells.set(key, [seat]);
    else there.push(seat);
  }
  return cells;
}
