//! The pass cookie on an upstream's response.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Headers that some shared caches obey instead of `Cache-Control`.
const CACHE_ORDERS: [&str; 8] = [
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "edge-control",
    "expires",
    "netlify-cdn-cache-control",
    "surrogate-control",
    "vercel-cdn-cache-control",
    "x-accel-expires",
];

/// Adds a cookie of the gateway's to a response. It belongs to one fan, so no cache may store the
/// response, whatever the upstream's caching headers say.
pub(super) fn give_cookie(headers: &mut HeaderMap, cookie: HeaderValue) {
    for name in CACHE_ORDERS {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.append(SET_COOKIE, cookie);
}
