// @ts-check
// The button that switches push messages on for a booking.

const button = document.getElementById("push-on");
const note = document.getElementById("push-note");

async function switchOn() {
  if (button === null || note === null) return;
  const { dataset } = button;
  const { subscribe } = await import("./push.js");
  const push = await subscribe(dataset.key ?? "");
  if (push === null) {
    note.textContent = dataset.refused ?? "";
    return;
  }
  const answer = await fetch(dataset.path ?? "", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(dataset.link ? { "booking-link": dataset.link } : {}),
    },
    body: JSON.stringify({ endpoint: push.endpoint, keys: push.keys }),
  });
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
