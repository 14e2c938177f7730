// @ts-check
// Keeps the scanner page, so that it opens without a network. The gateway puts the version and the
// names of all its files before this text, so that another version is another worker.

/** @type {string} */
const VERSION = /** @type {any} */ (self).ROPELINE_VERSION;
/** @type {string[]} */
const FILES = /** @type {any} */ (self).ROPELINE_FILES;
const PREFIX = "ropeline-checkin-";
const CACHE = PREFIX + VERSION;
const worker = /** @type {any} */ (self);

worker.addEventListener("install", (/** @type {any} */ event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
    await worker.skipWaiting();
  };
  event.waitUntil(keep());
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  const takeOver = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await worker.clients.claim();
  };
  event.waitUntil(takeOver());
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const url = new URL(event.request.url);
  const isOurs = url.origin === location.origin && FILES.includes(url.pathname);
  if (event.request.method !== "GET" || !isOurs) return;
  const answer = async () => {
    const kept = await caches.match(url.pathname, { cacheName: CACHE });
    return kept ?? fetch(event.request);
  };
  event.respondWith(answer());
});
