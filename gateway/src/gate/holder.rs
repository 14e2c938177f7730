//! What a fan whose session is over may still do with the seats that they hold.
//!
//! A hold that was made inside may be looked at, paid, confirmed and given up after the session
//! ended, and the booking that came of it may be looked at. New seats need a session. The gate
//! knows the shapes of these requests and who shows anything that could make them an owner; the
//! booking core knows whose hold it is, and answers for nobody else.

use std::time::Duration;

use http::Method;

/// How long after its end a pass still shows whose hold it is: the longest hold, and the time for
/// which an open payment keeps its seats, a quarter of an hour each.
pub(super) const LATE_PASS_MAX: Duration = Duration::from_mins(30);

/// Whether a request is about one hold, or looks at one booking.
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
