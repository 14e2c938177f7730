// @ts-check
// Tells a fan of the turn also while the page is closed: by push message, or else by mail. Loaded on
// a click, because few fans ask.

import { pushTurn, tellTurn } from "./push.js";
import texts from "./texts/turn_notice.en.js";

/**
 * Subscribes this browser, or offers a form for an address where that is not possible.
 * @param {string} api the path of the room
 * @param {HTMLElement} note says what the fan can count on
 */
export async function offer(api, note) {
  if (await pushTurn(api).catch(() => false)) note.textContent = texts.push;
  else note.after(form(api));
}

/** @param {string} api */
function form(api) {
  const form = document.createElement("form");
  const label = document.createElement("label");
  const email = document.createElement("input");
  const button = document.createElement("button");
  const note = document.createElement("p");
  Object.assign(email, { type: "email", autocomplete: "email", required: true, maxLength: 254 });
  label.append(`${texts.email} `, email);
  button.className = "quiet";
  button.textContent = texts.button;
  note.className = "small";
  note.setAttribute("role", "status");
  note.textContent = texts.mail;
  form.append(note, label, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = tellTurn(api, { email: email.value.trim() }).catch(() => false);
    void told.then((isTold) => {
      if (isTold) form.replaceChildren(note);
      note.textContent = isTold ? texts.done : texts.failed;
    });
  });
  return form;
}
