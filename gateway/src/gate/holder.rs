//! What a fan may still do with held seats after their session has ended.
//!
//! A hold that was made in a session may be read, paid, confirmed and released after the session
//! ended, and the resulting booking may be read, cancelled and passed on. Holding new seats needs a
//! session. The gate knows the shapes of these requests and which of them present a credential that
//! an owner could have; the booking core checks the owner and refuses everyone else.

use std::time::Duration;

use http::Method;

/// How long after its expiry a pass still identifies the owner of a hold: the longest hold, plus
/// the longest extension by an open payment, 15 minutes each.
pub(super) const LATE_PASS_MAX: Duration = Duration::from_mins(30);

/// Whether a request acts on one hold, or reads one booking.
pub(super) fn is_about_held(method: &Method, path: &str) -> bool {
    let (is_api, path) = match path.strip_prefix("/api/v1/") {
        Some(rest) => (true, rest),
        None => (false, path.strip_prefix('/').unwrap_or(path)),
    };
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        (is_api, method.as_str(), parts.as_slice()),
        (_, "GET" | "HEAD", ["holds" | "bookings", _])
            | (
                _,
                "POST",
                ["holds", _, "payments" | "quote" | "ticket-types"]
                    | [
                        "bookings",
                        _,
                        "cancel" | "codes" | "transfer" | "reissue" | "contact"
                    ]
            )
            | (true, "DELETE", ["holds", _] | ["holds", _, "coupon"])
            | (
                true,
                "POST" | "DELETE",
                ["bookings", _, "push-subscriptions"]
            )
            | (true, "PUT", ["bookings", _, "contact"])
            | (true, "POST", ["holds", _, "confirm"])
            | (
                true,
                "GET" | "HEAD",
                [
                    "bookings",
                    _,
                    "tickets",
                    _,
                    "qr.svg" | "pass.pkpass" | "google-wallet"
                ] | [
                    "bookings",
                    _,
                    "tickets.pdf"
                        | "calendar.ics"
                        | "refund-offer"
                        | "transfer-offer"
                        | "invoices"
                        | "contact"
                ] | ["bookings", _, "invoices", _]
                    | ["me", "bookings"]
            )
            | (false, "POST", ["holds", _, "release" | "coupon-off"])
            | (false, "GET" | "HEAD", ["holds", _, "return"] | ["bookings"])
    )
}

/// Whether a request comes by the link to a booking, which the booking core checks the signature
/// of. It needs no other credential.
pub(super) fn is_by_link(method: &Method, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/b/") else {
        return false;
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let reads = matches!(
        parts.as_slice(),
        [_] | [_, "tickets.pdf" | "calendar.ics"]
            | [_, "tickets", _, "qr.svg" | "pass.pkpass" | "google-wallet"]
            | [_, "invoices", _]
    );
    let changes = matches!(
        parts.as_slice(),
        [_, "cancel" | "codes" | "transfer" | "reissue" | "contact"]
    );
    match *method {
        Method::GET | Method::HEAD => reads,
        Method::POST => changes,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_reads_pays_confirms_releases_and_cancels_and_does_nothing_else() {
        for (method, path, expected) in [
            (Method::GET, "/holds/h", true),
            (Method::HEAD, "/holds/h", true),
            (Method::GET, "/holds/h/return", true),
            (Method::POST, "/holds/h/payments", true),
            (Method::POST, "/holds/h/release", true),
            (Method::POST, "/holds/h/ticket-types", true),
            (Method::POST, "/api/v1/holds/h/quote", true),
            (Method::POST, "/api/v1/holds/h/ticket-types", true),
            (Method::GET, "/bookings/b", true),
            (Method::GET, "/api/v1/holds/h", true),
            (Method::DELETE, "/api/v1/holds/h", true),
            (Method::POST, "/api/v1/holds/h/payments", true),
            (Method::POST, "/api/v1/holds/h/confirm", true),
            (Method::GET, "/api/v1/bookings/b", true),
            (Method::GET, "/api/v1/bookings/b/tickets/t/qr.svg", true),
            (Method::GET, "/api/v1/bookings/b/tickets.pdf", true),
            (Method::PUT, "/api/v1/bookings/b/contact", true),
            (
                Method::DELETE,
                "/api/v1/bookings/b/push-subscriptions",
                true,
            ),
            (Method::PUT, "/bookings/b/contact", false),
            (
                Method::GET,
                "/api/v1/bookings/b/tickets/t/pass.pkpass",
                true,
            ),
            (
                Method::GET,
                "/api/v1/bookings/b/tickets/t/google-wallet",
                true,
            ),
            (Method::DELETE, "/api/v1/holds/h/coupon", true),
            (Method::POST, "/holds/h/coupon-off", true),
            (Method::POST, "/api/v1/holds/h/coupon-off", false),
            (Method::GET, "/api/v1/bookings/b/invoices", true),
            (Method::GET, "/api/v1/bookings/b/invoices/2026-000001", true),
            (
                Method::POST,
                "/api/v1/bookings/b/invoices/2026-000001",
                false,
            ),
            (Method::HEAD, "/api/v1/bookings/b/calendar.ics", true),
            (Method::POST, "/api/v1/bookings/b/cancel", true),
            (Method::POST, "/api/v1/bookings/b/codes", true),
            (Method::GET, "/api/v1/bookings/b/refund-offer", true),
            (Method::GET, "/api/v1/bookings/b/transfer-offer", true),
            (Method::POST, "/api/v1/bookings/b/transfer", true),
            (Method::POST, "/bookings/b/reissue", true),
            (Method::GET, "/api/v1/me/bookings", true),
            (Method::GET, "/bookings", true),
            (Method::POST, "/bookings/b/cancel", true),
            (Method::POST, "/bookings/b/codes", true),
            (Method::GET, "/api/v1/bookings", false),
            (Method::GET, "/bookings/b/cancel", false),
            (Method::GET, "/b/token", false),
            (Method::GET, "/bookings/b/tickets.pdf", false),
            (Method::POST, "/api/v1/bookings/b/tickets.pdf", false),
            (Method::POST, "/api/v1/shows/s/holds", false),
            (Method::POST, "/shows/s/holds", false),
            (Method::GET, "/shows/s/seats", false),
            (Method::GET, "/api/v1/shows/s/seatmap", false),
            (Method::GET, "/holds", false),
            (Method::GET, "/holds/h/payments", false),
            (Method::POST, "/holds/h", false),
            (Method::PUT, "/api/v1/holds/h", false),
            (Method::POST, "/bookings/b", false),
            (Method::GET, "/eras/holds/h", false),
            (Method::GET, "/", false),
        ] {
            assert_eq!(is_about_held(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_link_opens_its_booking_and_nothing_else() {
        for (method, path, expected) in [
            (Method::GET, "/b/token", true),
            (Method::HEAD, "/b/token/tickets.pdf", true),
            (Method::GET, "/b/token/invoices/2026-000001", true),
            (Method::POST, "/b/token/invoices/2026-000001", false),
            (Method::GET, "/b/token/calendar.ics", true),
            (Method::GET, "/b/token/tickets/t/qr.svg", true),
            (Method::GET, "/b/token/tickets/t/pass.pkpass", true),
            (Method::GET, "/b/token/tickets/t/google-wallet", true),
            (Method::POST, "/b/token/cancel", true),
            (Method::POST, "/b/token/codes", true),
            (Method::POST, "/b/token/transfer", true),
            (Method::POST, "/b/token/reissue", true),
            (Method::POST, "/b/token", false),
            (Method::GET, "/b", false),
            (Method::GET, "/b/token/seats", false),
            (Method::GET, "/eras/b/token", false),
            (Method::GET, "/bookings/b", false),
        ] {
            assert_eq!(is_by_link(&method, path), expected, "{method} {path}");
        }
    }
}
