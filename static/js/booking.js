// @ts-check
// The button that switches push messages on for a booking.

const button = document.getElementById("push-on");
const note = document.getElementById("push-note");

/**
 * @param {string} path
 * @param {string | undefined} link the token of the link by which the reader came
 * @param {object} body
 * @param {string} [code] a one-time code
 */
function post(path, link, body, code) {
  return fetch(path, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(link ? { "booking-link": link } : {}),
      ...(code ? { "one-time-code": code } : {}),
    },
    body: JSON.stringify(body),
  });
}

async function switchOn() {
  if (button === null || note === null) return;
  const { dataset } = button;
  const { subscribe } = await import("./push.js");
  const push = await subscribe(dataset.key ?? "");
  if (push === null) {
    note.textContent = dataset.refused ?? "";
    return;
  }
  const wanted = { endpoint: push.endpoint, keys: push.keys };
  let answer = await post(dataset.path ?? "", dataset.link, wanted);
  if (answer.status === 403) {
    // A link alone may have been forwarded: a code shows that the mail is the reader's.
    await post(dataset.codes ?? "", dataset.link, {});
    const code = window.prompt(dataset.ask);
    if (code === null) return;
    answer = await post(dataset.path ?? "", dataset.link, wanted, code.trim());
  }
  note.textContent = (answer.ok ? dataset.done : dataset.failed) ?? "";
  if (answer.ok) button.hidden = true;
}

if (button !== null && "serviceWorker" in navigator && "PushManager" in window) {
  button.hidden = false;
  button.addEventListener("click", () => {
    switchOn().catch(() => {
      if (note !== null) note.textContent = button.dataset.failed ?? "";
    });
  });
}
