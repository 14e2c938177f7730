// @ts-check
// Push messages to this browser: permission, worker, subscription. Loaded on a click, because only
// then browsers ask, and because most fans never need it.

/** How long a worker may take to start. */
const START_MS = 10_000;

/** Whether this browser can take push messages. */
export function canPush() {
  return "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
}

/**
 * Asks the fan, and subscribes this browser to messages from whoever has `key`.
 * @param {string} key base64url
 * @returns {Promise<PushSubscriptionJSON | null>} null when the fan or the browser does not want it
 */
export async function subscribe(key) {
  if (!canPush() || (await Notification.requestPermission()) !== "granted") return null;
  const worker = new URL("./push_worker.js", import.meta.url);
  const registration = await navigator.serviceWorker.register(worker);
  await active(registration);
  const wanted = { userVisibleOnly: true, applicationServerKey: key };
  try {
    return (await registration.pushManager.subscribe(wanted)).toJSON();
  } catch (error) {
    // It is subscribed to a key that is no longer used.
    const old = await registration.pushManager.getSubscription();
    if (old === null) throw error;
    await old.unsubscribe();
    return (await registration.pushManager.subscribe(wanted)).toJSON();
  }
}

/** @param {ServiceWorkerRegistration} registration */
async function active(registration) {
  const worker = registration.installing ?? registration.waiting;
  if (registration.active !== null || worker === null) return;
  await new Promise((resolve, reject) => {
    window.setTimeout(() => reject(new Error("the worker does not start")), START_MS);
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(undefined);
      if (worker.state === "redundant") reject(new Error("the worker is of no use"));
    });
  });
}

/**
 * Asks to be told of the call.
 * @param {string} api the path of the room
 * @param {{ email?: string, push?: PushSubscriptionJSON }} wanted
 * @returns {Promise<boolean>}
 */
export async function tellTurn(api, wanted) {
  const answer = await fetch(`${api}/place/notice`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(plain(wanted)),
  });
  return answer.ok;
}

/**
 * What a server wants of a subscription, and nothing else.
 * @param {{ email?: string, push?: PushSubscriptionJSON }} wanted
 */
function plain({ email, push }) {
  return {
    ...(email === undefined ? {} : { email }),
    ...(push === undefined ? {} : { push: { endpoint: push.endpoint, keys: push.keys } }),
  };
}

/**
 * Subscribes this browser and asks to be told of the call.
 * @param {string} api the path of the room
 */
export async function pushTurn(api) {
  const answer = await fetch(new URL("../push-key", new URL(api, location.href)));
  if (!answer.ok) return false;
  const push = await subscribe((await answer.json()).key);
  return push !== null && tellTurn(api, { push });
}
