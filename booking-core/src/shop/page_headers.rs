//! The headers that every page of the shop is sent with.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// The headers of pages of the shop whose customers pay on pages of these origins.
pub(crate) fn page_headers(payment_origins: &[String]) -> HeaderMap {
    let origins = payment_origins.join(" ");
    let policy = pages::content_security_policy(Some(origins.as_str()).filter(|o| !o.is_empty()));
    // An origin that is no header value is left out of the policy, so forms may not lead to it.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(
        "default-src 'none'; form-action 'self'",
    ));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        // Pages depend on cookies and change within minutes.
        (CACHE_CONTROL, "private, no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}
