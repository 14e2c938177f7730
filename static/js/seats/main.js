// @ts-check
// Wires the seat map: state, transport, view, and the form that holds the seats.

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
const chosenBefore = (dataset.chosen ?? "").split(",").map((id) => id.trim()).filter(Boolean);
const money = priceFormat(dataset.currency ?? "USD");
const categories = [...document.querySelectorAll("#legend [data-category]")].map((item) => ({
  code: item.getAttribute("data-category") ?? "",
  name: item.childNodes[1]?.textContent?.trim() ?? "",
}));
const view = new SeatView(element("map-frame"), categories, money, (seatId) => {
  dispatch({ type: "toggled", seatId });
});
const client = new SeatClient(new URL(dataset.api ?? "", location.href).href, dispatch, (live) => {
  element("map-link").textContent = live ? texts.live : texts.stale;
});
let state = initial(Number(dataset.limit), chosenBefore);

/** @param {import("./seat_state.js").SeatEvent} event */
function dispatch(event) {
  const before = state;
  state = reduce(state, event);
  // The map is shown before it is drawn: its size on the screen decides how taps are read.
  if (state.seats.size > 0) element("map").hidden = false;
  view.render(state);
  renderBasket();
  tell(before.chosen);
  if (state.stale && !before.stale) void client.load();
}

function renderBasket() {
  field.value = state.chosen.join(", ");
  const items = state.chosen.map((id) => {
    const item = document.createElement("li");
    const seat = state.seats.get(id);
    const name = document.createElement("span");
    name.textContent = `${id} · ${money(seat?.priceMinor ?? 0)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", fill(texts.remove, { seat: id }));
    remove.addEventListener("click", () => dispatch({ type: "toggled", seatId: id }));
    item.append(name, remove);
    return item;
  });
  element("basket").replaceChildren(...items);
  element("basket").hidden = items.length === 0;
  element("total").hidden = items.length === 0;
  element("total").textContent = money(total(state));
  /** @type {HTMLButtonElement} */ (element("hold")).disabled = items.length === 0;
}

/** @param {string[]} before what was chosen before */
function tell(before) {
  const note = element("seat-note");
  const values = { count: state.chosen.length, total: money(total(state)) };
  const added = state.chosen.find((id) => !before.includes(id));
  const removed = before.find((id) => !state.chosen.includes(id));
  if (state.taken.length > 0) note.textContent = fill(texts.taken, { seats: state.taken.join(", ") });
  else if (state.refused) note.textContent = fill(texts.limit, { limit: state.limit });
  else if (added) note.textContent = fill(texts.chosenNote, { seat: added, ...values });
  else if (removed) note.textContent = fill(texts.removedNote, { seat: removed, ...values });
  else if (note.textContent === "" && state.chosen.length === 0) note.textContent = texts.none;
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

if (await client.load()) {
  // Typing names stays possible for those who know them, but the map fills the field.
  element("seats-field").hidden = true;
  client.listen();
  window.addEventListener("pagehide", () => client.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) client.listen();
  });
} else {
  element("seat-note").textContent = texts.failed;
}
element("zoom-in").addEventListener("click", () => view.zoomIn());
element("zoom-out").addEventListener("click", () => view.zoomOut());
element("zoom-all").addEventListener("click", () => view.zoomAll());
