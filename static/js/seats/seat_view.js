// @ts-check
// Draws the hall as SVG: one element a seat, one handler for all.

import { fill } from "../duration.js";
import texts from "../texts/seats.en.js";
import { neighbour } from "./seat_state.js";
import { pan, reveal, zoom } from "./viewport.js";

/** @typedef {import("./seat_state.js").Seat} Seat */
/** @typedef {import("./seat_state.js").SeatState} SeatState */
/** @typedef {import("./viewport.js").Box} Box */

const SVG = "http://www.w3.org/2000/svg";
/** Shapes are drawn on a square of 20; a seat is 0.86 seat widths wide, so that neighbours part. */
const SHAPE_SCALE = 0.043;
/** Shapes and colours there are; more categories than these begin again. */
const SHAPES = 6;
/** A pointer that moved less has clicked. */
const CLICK_PX = 6;
/** Seats smaller than this cannot be hit by a finger: a tap zooms in first. */
const FINGER_PX = 18;
const ZOOM_STEP = 1.6;
const MARGIN = 2;
const STAGE_HEIGHT = 2;

/** @type {Record<string, "left" | "right" | "up" | "down">} */
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export class SeatView {
  #frame;
  #names;
  #money;
  #onToggle;
  /** @type {SVGSVGElement} */
  #svg = make("svg", {});
  /** @type {Map<string, SVGElement>} */
  #marks = new Map();
  /** @type {Map<string, Seat>} */
  #seats = new Map();
  /** @type {Box} */
  #hall = { x: 0, y: 0, width: 1, height: 1 };
  /** @type {Box} */
  #box = this.#hall;
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();
  #moved = 0;
  #focused = "";

  /**
   * @param {HTMLElement} frame
   * @param {{code: string, name: string}[]} categories in the order of their shapes
   * @param {(minor: number) => string} money
   * @param {(seatId: string) => void} onToggle
   */
  constructor(frame, categories, money, onToggle) {
    this.#frame = frame;
    this.#names = new Map(categories.map(({ code, name }, index) => [code, { name, index }]));
    this.#money = money;
    this.#onToggle = onToggle;
  }

  /** @param {SeatState} state */
  render(state) {
    const first = this.#marks.size === 0;
    this.#seats = state.seats;
    if (first) this.#draw(state);
    for (const id of new Set([...state.touched, ...state.taken])) this.#paint(id, state);
  }

  /** @param {number} factor */
  zoomBy(factor) {
    const { x, y, width, height } = this.#box;
    this.#look(zoom(this.#box, this.#hall, factor, { x: x + width / 2, y: y + height / 2 }));
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  zoomAll() {
    this.#look(this.#hall);
  }

  /** @param {SeatState} state */
  #draw(state) {
    const seats = [...state.seats.values()];
    const xs = seats.map((seat) => seat.x);
    const ys = seats.map((seat) => seat.y);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    this.#hall = {
      x: left - MARGIN, y: top - MARGIN - STAGE_HEIGHT,
      width: right - left + 2 * MARGIN, height: bottom - top + 2 * MARGIN + STAGE_HEIGHT,
    };
    const third = (right - left) / 3;
    const stage = make("rect", {
      class: "stage", x: left + third / 2, y: top - MARGIN - STAGE_HEIGHT / 2, width: third * 2,
      height: STAGE_HEIGHT * 0.75, rx: 0.4,
    });
    const name = make("text", {
      class: "stage-name", x: left + third * 1.5, y: top - MARGIN - STAGE_HEIGHT / 8,
    });
    name.textContent = texts.stage;
    this.#svg.append(stage, name);
    /** @type {Map<string, Seat[]>} */
    const rows = new Map();
    for (const seat of seats) {
      const row = rows.get(seat.row) ?? [];
      row.push(seat);
      rows.set(seat.row, row);
    }
    for (const [name, row] of rows) this.#svg.append(this.#drawRow(name, row, left, right));
    for (const id of state.seats.keys()) this.#paint(id, state);
    this.#focus(seats.find((seat) => seat.status === "AVAILABLE") ?? seats[0], false);
    this.#frame.append(this.#svg);
    this.#listen();
    this.zoomAll();
  }

  /**
   * @param {string} name
   * @param {Seat[]} row
   * @param {number} left
   * @param {number} right
   */
  #drawRow(name, row, left, right) {
    const group = make("g", { role: "group", "aria-label": name });
    for (const x of [left - 1.2, right + 1.2]) {
      const label = make("text", { x, y: row[0]?.y ?? 0, "aria-hidden": "true" });
      label.textContent = name;
      group.append(label);
    }
    for (const seat of row) {
      const mark = make("use", {
        class: "seat", role: "checkbox", tabindex: -1, "data-seat": seat.seatId,
        transform: `translate(${seat.x - 10 * SHAPE_SCALE} ${seat.y - 10 * SHAPE_SCALE}) scale(${SHAPE_SCALE})`,
      });
      this.#marks.set(seat.seatId, mark);
      group.append(mark);
    }
    return group;
  }

  /**
   * @param {string} id
   * @param {SeatState} state
   */
  #paint(id, state) {
    const [seat, mark] = [state.seats.get(id), this.#marks.get(id)];
    if (seat === undefined || mark === undefined) return;
    const { name, index } = this.#names.get(seat.category) ?? { name: seat.category, index: 0 };
    const chosen = state.chosen.includes(id);
    const free = seat.status === "AVAILABLE";
    const shape = chosen ? "chosen" : free ? String(index % SHAPES)
      : seat.status === "HELD" ? "held" : "gone";
    mark.setAttribute("href", `#shape-${shape}`);
    mark.setAttribute("class", free && !chosen ? `seat cat-${index % SHAPES}` : "seat");
    mark.setAttribute("aria-checked", String(chosen));
    mark.setAttribute("aria-disabled", String(!free));
    const words = [fill(texts.seat, {
      row: seat.row, number: seat.number, category: name, price: this.#money(seat.priceMinor),
    })];
    if (seat.accessible) words.push(texts.accessible);
    words.push(chosen ? texts.chosen : /** @type {Record<string, string>} */ (texts)[seat.status] ?? "");
    mark.setAttribute("aria-label", words.join(", "));
  }

  #listen() {
    const svg = this.#svg;
    svg.addEventListener("keydown", (event) => this.#key(event));
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const factor = Math.exp(-event.deltaY / 400);
      this.#look(zoom(this.#box, this.#hall, factor, this.#at(event)));
    }, { passive: false });
    svg.addEventListener("pointerdown", (event) => {
      if (this.#pointers.size === 0) this.#moved = 0;
      this.#pointers.set(event.pointerId, event);
    });
    svg.addEventListener("pointermove", (event) => this.#drag(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"])) {
      svg.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    svg.addEventListener("click", (event) => this.#click(event));
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
      const scale = 1 / this.#pixelsPerSeat();
      this.#look(pan(this.#box, this.#hall, -dx * scale, -dy * scale));
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
    if (this.#moved >= CLICK_PX) return;
    const finger = !(event instanceof PointerEvent) || event.pointerType !== "mouse";
    // A click made by a key or by assistive technology has no place on the screen.
    const placed = event.clientX !== 0 || event.clientY !== 0;
    if (finger && placed && this.#pixelsPerSeat() < FINGER_PX) {
      const factor = (FINGER_PX * 1.5) / this.#pixelsPerSeat();
      this.#look(zoom(this.#box, this.#hall, factor, this.#at(event)));
      return;
    }
    const id = event.target instanceof Element ? event.target.closest("[data-seat]") : null;
    const seat = this.#seats.get(id?.getAttribute("data-seat") ?? "");
    if (seat === undefined) return;
    this.#focus(seat, true);
    this.#onToggle(seat.seatId);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const from = this.#seats.get(this.#focused);
    if (from === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = ARROWS[event.key];
    if (direction !== undefined) {
      const next = neighbour(this.#seats.values(), from, direction);
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
   * One seat at a time can be reached by the tabulator key; arrows go on from there.
   * @param {Seat | undefined} seat
   * @param {boolean} move whether to move the focus there now
   */
  #focus(seat, move) {
    const mark = this.#marks.get(seat?.seatId ?? "");
    if (seat === undefined || mark === undefined) return;
    this.#marks.get(this.#focused)?.setAttribute("tabindex", "-1");
    this.#focused = seat.seatId;
    mark.setAttribute("tabindex", "0");
    if (!move) return;
    mark.focus({ preventScroll: true });
    this.#look(reveal(this.#box, this.#hall, seat));
  }

  /** @param {Box} box */
  #look(box) {
    this.#box = box;
    this.#svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
  }

  #pixelsPerSeat() {
    return Math.abs(this.#svg.getScreenCTM()?.a ?? 1);
  }

  /** @param {{clientX: number, clientY: number}} event */
  #at({ clientX, clientY }) {
    const screen = this.#svg.getScreenCTM();
    if (screen === null) return { x: this.#box.x, y: this.#box.y };
    return new DOMPoint(clientX, clientY).matrixTransform(screen.inverse());
  }
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElementTagNameMap[T]}
 */
function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
