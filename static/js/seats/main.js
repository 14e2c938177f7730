// @ts-check
// Connects the parts of the seat map: state, transport, view, and the form.

import { fill } from "../duration.js";
import texts from "../texts/seats.en.js";
import { SeatClient } from "./seat_client.js";
import { initial, reduce, total } from "./seat_state.js";
import { SeatView } from "./seat_view.js";

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

const { dataset } = element("choosing");
const field = /** @type {HTMLInputElement} */ (element("seats"));
const money = priceFormat(dataset.currency ?? "USD");
const bookingFee = Number(dataset.bookingFee ?? 0);
const categories = [...document.querySelectorAll("#legend [data-category]")].map((item) => ({
  code: item.getAttribute("data-category") ?? "",
  name: item.childNodes[1]?.textContent?.trim() ?? "",
}));
const view = new SeatView(
  element("map-frame"), /** @type {HTMLCanvasElement} */ (element("map-canvas")),
  element("map-row"), categories, money, (seatId) => dispatch({ type: "toggled", seatId }),
);
const client = new SeatClient(new URL(dataset.api ?? "", location.href).href, dispatch, (live) => {
  element("map-link").textContent = live ? texts.live : texts.stale;
});
let state = initial(Number(dataset.limit), names(dataset.chosen ?? ""));

/** @param {string} text */
function names(text) {
  return text.split(/[\s,;]+/).filter(Boolean);
}

/** @param {import("./seat_state.js").SeatEvent} event */
function dispatch(event) {
  const before = state;
  state = reduce(state, event);
  view.render(state);
  if (state.chosen !== before.chosen || event.type === "loaded") renderBasket();
  tell(before.chosen);
  if (state.stale && !before.stale) void client.load();
}

function renderBasket() {
  // The field is not changed while it is edited.
  if (document.activeElement !== field) field.value = state.chosen.join(", ");
  const items = state.chosen.map((id) => {
    const item = document.createElement("li");
    const seat = state.hall?.byId.get(id);
    const name = document.createElement("span");
    name.textContent = `${label(id)} · ${money(seat?.priceMinor ?? 0)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", fill(texts.remove, { seat: label(id) }));
    remove.addEventListener("click", () => dispatch({ type: "toggled", seatId: id }));
    item.append(name, remove);
    return item;
  });
  element("basket").replaceChildren(...items);
  element("total").textContent = items.length > 0 ? money(total(state, bookingFee)) : "";
}

/** @param {string} id */
function label(id) {
  const seat = state.hall?.byId.get(id);
  return seat === undefined ? id
    : fill(texts.label, { section: seat.section, row: seat.row, number: seat.number });
}

/** @param {string[]} before what was chosen before */
function tell(before) {
  const note = element("seat-note");
  const values = { count: state.chosen.length, total: money(total(state, bookingFee)) };
  const added = state.chosen.find((id) => !before.includes(id));
  const removed = before.find((id) => !state.chosen.includes(id));
  if (state.taken.length > 0) {
    note.textContent = fill(texts.taken, { seats: state.taken.map(label).join("; ") });
  } else if (state.refused) note.textContent = fill(texts.limit, { limit: state.limit });
  else if (added) note.textContent = fill(texts.chosenNote, { seat: label(added), ...values });
  else if (removed) note.textContent = fill(texts.removedNote, { seat: label(removed), ...values });
}

/** @param {string} currency */
function priceFormat(currency) {
  const format = new Intl.NumberFormat(texts.language, { style: "currency", currency });
  const whole = new Intl.NumberFormat(texts.language, {
    style: "currency", currency, minimumFractionDigits: 0, maximumFractionDigits: 0,
  });
  const unit = 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2);
  return (/** @type {number} */ minor) =>
    (minor % unit === 0 ? whole : format).format(minor / unit);
}

/**
 * Selects typed seats on the map; unknown names are left to the server. Runs on each input: if the
 * basket changed only when the field is left, the button would move away under a click.
 */
function typed() {
  const wanted = names(field.value);
  const known = (/** @type {string} */ name) => [...(state.hall?.byId.keys() ?? [])]
    .find((id) => id === name || id.toUpperCase() === name.toUpperCase());
  const ids = wanted.map(known);
  if (state.hall === null || ids.includes(undefined)) return;
  for (const id of state.chosen.filter((id) => !ids.includes(id))) {
    dispatch({ type: "toggled", seatId: id });
  }
  for (const id of ids) {
    if (id !== undefined && !state.chosen.includes(id)) dispatch({ type: "toggled", seatId: id });
  }
}

element("zoom-in").addEventListener("click", () => view.zoomIn());
element("zoom-out").addEventListener("click", () => view.zoomOut());
element("zoom-all").addEventListener("click", () => view.zoomAll());
field.addEventListener("input", typed);
// No top-level `await`, because browsers without it would not run this file at all.
void client.load().then((came) => {
  element("map-wait").textContent = came ? "" : texts.failed;
  if (!came) return;
  // Seats may have been typed before the map was loaded.
  if (document.activeElement === field) typed();
  client.listen();
  window.addEventListener("pagehide", () => client.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) client.listen();
  });
});
