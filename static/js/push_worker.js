// @ts-check
// Shows push messages, also while no page of ours is open, and opens the page that they are about.

const worker = /** @type {any} */ (self);

worker.addEventListener("push", (/** @type {any} */ event) => {
  /** @type {{ title?: string, body?: string, url?: string, tag?: string }} */
  let message = {};
  try {
    message = event.data?.json() ?? {};
  } catch {
    // A message has to be shown, or browsers stop to deliver them.
  }
  const { title = "Tickets", body = "", url = "/", tag = "ropeline" } = message;
  event.waitUntil(worker.registration.showNotification(title, { body, tag, data: { url } }));
});

worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
  event.notification.close();
  const url = new URL(event.notification.data?.url ?? "/", worker.location.origin);
  // Nobody but us can encrypt a message for this browser; still no other site is opened.
  const target = url.origin === worker.location.origin ? url.href : worker.location.origin;
  event.waitUntil(open(target));
});

/** @param {string} target */
async function open(target) {
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const shown = pages.find((/** @type {any} */ page) => page.url.split("?")[0] === target);
  return shown === undefined ? worker.clients.openWindow(target) : shown.focus();
}
