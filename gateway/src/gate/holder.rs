//! What a fan may still do with held seats after their session has ended.
//!
//! A hold that was made in a session may be read, paid, confirmed and released after the session
//! ended, and the resulting booking may be read. Holding new seats needs a session. The gate knows
//! the shapes of these requests and which of them present a credential that an owner could have;
//! the booking core checks the owner and refuses everyone else.

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
            | (_, "POST", ["holds", _, "payments"])
            | (true, "DELETE", ["holds", _])
            | (true, "POST", ["holds", _, "confirm"])
            | (
                true,
                "GET" | "HEAD",
                ["bookings", _, "tickets", _, "qr.svg"]
                    | ["bookings", _, "tickets.pdf" | "calendar.ics"]
            )
            | (false, "POST", ["holds", _, "release"])
            | (false, "GET" | "HEAD", ["holds", _, "return"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_reads_pays_confirms_and_releases_and_does_nothing_else() {
        for (method, path, expected) in [
            (Method::GET, "/holds/h", true),
            (Method::HEAD, "/holds/h", true),
            (Method::GET, "/holds/h/return", true),
            (Method::POST, "/holds/h/payments", true),
            (Method::POST, "/holds/h/release", true),
            (Method::GET, "/bookings/b", true),
            (Method::GET, "/api/v1/holds/h", true),
            (Method::DELETE, "/api/v1/holds/h", true),
            (Method::POST, "/api/v1/holds/h/payments", true),
            (Method::POST, "/api/v1/holds/h/confirm", true),
            (Method::GET, "/api/v1/bookings/b", true),
            (Method::GET, "/api/v1/bookings/b/tickets/t/qr.svg", true),
            (Method::GET, "/api/v1/bookings/b/tickets.pdf", true),
            (Method::HEAD, "/api/v1/bookings/b/calendar.ics", true),
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
}
