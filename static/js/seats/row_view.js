// @ts-check
// The row with the keyboard focus, as elements. A canvas is invisible to assistive technology, and
// elements for every seat of a hall are too many for a phone, so one row at a time has elements.

/** @typedef {import("./hall.js").Seat} Seat */
/** @typedef {import("./hall.js").Row} Row */

/**
 * @typedef {object} Spoken
 * @property {string} label
 * @property {boolean} chosen
 * @property {boolean} free
 */

export class RowView {
  #group;
  #describe;
  #name;
  /** @type {Row | null} */
  #row = null;
  /** @type {Map<string, HTMLElement>} */
  #elements = new Map();
  #focused = "";

  /**
   * @param {HTMLElement} group
   * @param {(row: Row) => string} name
   * @param {(seat: Seat) => Spoken} describe
   */
  constructor(group, name, describe) {
    this.#group = group;
    this.#name = name;
    this.#describe = describe;
  }

  /** The seat in the tab order. */
  get focused() {
    return this.#focused;
  }

  /**
   * Shows `row`, with `seat` in the tab order.
   * @param {Row} row
   * @param {Seat} seat
   * @param {boolean} move whether to move the focus there now
   */
  show(row, seat, move) {
    if (row !== this.#row) this.#build(row);
    this.#elements.get(this.#focused)?.setAttribute("tabindex", "-1");
    this.#focused = seat.seatId;
    const element = this.#elements.get(seat.seatId);
    element?.setAttribute("tabindex", "0");
    if (move) element?.focus({ preventScroll: true });
  }

  /** Updates the labels of the row's seats. */
  refresh() {
    for (const seat of this.#row?.seats ?? []) {
      const element = this.#elements.get(seat.seatId);
      const { label, chosen, free } = this.#describe(seat);
      element?.setAttribute("aria-label", label);
      element?.setAttribute("aria-checked", String(chosen));
      element?.setAttribute("aria-disabled", String(!free));
    }
  }

  /**
   * Positions the elements over their seats, for the focus ring and for exploring by touch.
   * @param {(seat: Seat) => {left: number, top: number, size: number}} place
   */
  lay(place) {
    for (const seat of this.#row?.seats ?? []) {
      const element = this.#elements.get(seat.seatId);
      if (element === undefined) continue;
      const { left, top, size } = place(seat);
      element.style.transform = `translate(${left}px, ${top}px)`;
      element.style.width = element.style.height = `${size}px`;
    }
  }

  /** @param {Row} row */
  #build(row) {
    const had = this.#group.contains(document.activeElement);
    this.#row = row;
    this.#elements = new Map(row.seats.map((seat) => {
      const element = document.createElement("span");
      element.className = "row-seat";
      element.setAttribute("role", "checkbox");
      element.setAttribute("tabindex", "-1");
      element.setAttribute("data-seat", seat.seatId);
      return [seat.seatId, element];
    }));
    this.#group.setAttribute("aria-label", this.#name(row));
    this.refresh();
    this.#group.replaceChildren(...this.#elements.values());
    // Replacing the focused element would move the focus to the top of the page.
    if (had) this.#elements.values().next().value?.focus({ preventScroll: true });
  }
}
