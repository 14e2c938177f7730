//! Applies the rate limits to requests.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use data_encoding::HEXLOWER;
use http::Method;
use web::{ApiResult, LimitedAs};

use super::checkin;
use crate::checkin::token_hash;
use crate::customer::Customer;
use crate::handle::Booking;
use crate::limits::Kind;
use crate::telemetry;

/// Refuses requests over the limits. The guard of the pages turns a refusal into a page.
pub(crate) async fn middleware(
    State(booking): State<Booking>,
    request: Request,
    next: Next,
) -> Response {
    let Some(kind) = kind_of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let address = request
        .extensions()
        .get::<LimitedAs>()
        .map(|limited| limited.0);
    let counted = match kind {
        Kind::Scan => {
            // Strangers at a venue share its address with the scanners, and must not use up what
            // those may ask. Whoever brings no token that was good here counts by address.
            let token = checkin::bearer(request.headers()).map(token_hash);
            match token.filter(|hash| booking.0.known_tokens.contains(hash)) {
                Some(hash) => check_as(&booking, kind, None, Some(&HEXLOWER.encode(&hash))),
                None => check_as(&booking, kind, address, None),
            }
        }
        _ => check(
            &booking,
            kind,
            address,
            &booking.customer(request.headers()),
        ),
    };
    match counted {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Counts a request.
pub(crate) fn check(
    booking: &Booking,
    kind: Kind,
    address: Option<IpAddr>,
    customer: &Customer,
) -> ApiResult<()> {
    check_as(booking, kind, address, name_of(customer).as_ref())
}

fn check_as(
    booking: &Booking,
    kind: Kind,
    address: Option<IpAddr>,
    name: Option<&String>,
) -> ApiResult<()> {
    let limits = &booking.0.limits;
    limits
        .check(kind, address, name)
        .map_err(|(limit, seconds)| {
            metrics::counter!(telemetry::RATE_LIMITED, "limit" => limit).increment(1);
            Problem::new(ProblemCode::RateLimited)
                .detail("Slow down and try again after the time in Retry-After.")
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
                .into()
        })
}

fn name_of(customer: &Customer) -> Option<String> {
    customer
        .subjects()
        .into_iter()
        .next()
        .or_else(|| customer.session_digest())
}

/// The group that a request is counted in; `None` for the provider's webhooks, which are signed.
fn kind_of(method: &Method, path: &str) -> Option<Kind> {
    if path.starts_with(checkin::PREFIX) {
        return Some(Kind::Scan);
    }
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Some(match (method.as_str(), parts.as_slice()) {
        (_, ["payments", _, "webhook"]) => return None,
        ("POST", ["shows", _, "holds"] | ["holds", _, "release" | "ticket-types"])
        | ("DELETE", ["holds", _]) => Kind::Hold,
        (
            "POST",
            ["holds", _, "payments" | "quote" | "coupon-off"]
            | [
                "bookings" | "b",
                _,
                "cancel" | "transfer" | "reissue" | "contact",
            ],
        )
        | ("PUT", ["bookings", _, "contact"])
        | ("DELETE", ["holds", _, "coupon"]) => Kind::Pay,
        (
            "POST",
            ["bookings" | "b", _, "codes"] | ["bookings", "find"] | ["me", "codes" | "token"],
        ) => Kind::Mails,
        ("POST", ["holds", _, "confirm"]) | (_, ["holds", _, "return"]) => Kind::Confirm,
        _ => Kind::Browse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_apart() {
        for (method, path, kind) in [
            (Method::GET, "/", Some(Kind::Browse)),
            (Method::GET, "/api/v1/shows/a/seats", Some(Kind::Browse)),
            (Method::POST, "/api/v1/shows/a/holds", Some(Kind::Hold)),
            (Method::POST, "/shows/a/holds", Some(Kind::Hold)),
            (Method::POST, "/holds/h/ticket-types", Some(Kind::Hold)),
            (Method::DELETE, "/api/v1/holds/h", Some(Kind::Hold)),
            (Method::POST, "/api/v1/holds/h/payments", Some(Kind::Pay)),
            (Method::POST, "/holds/h/payments", Some(Kind::Pay)),
            (Method::POST, "/holds/h/quote", Some(Kind::Pay)),
            (Method::POST, "/holds/h/coupon-off", Some(Kind::Pay)),
            (Method::DELETE, "/api/v1/holds/h/coupon", Some(Kind::Pay)),
            (Method::POST, "/api/v1/holds/h/confirm", Some(Kind::Confirm)),
            (Method::GET, "/holds/h/return", Some(Kind::Confirm)),
            (Method::POST, "/checkin/v1/scans", Some(Kind::Scan)),
            (Method::GET, "/checkin/", Some(Kind::Browse)),
            (Method::POST, "/api/v1/bookings/b/cancel", Some(Kind::Pay)),
            (Method::POST, "/b/token/cancel", Some(Kind::Pay)),
            (Method::POST, "/b/token/transfer", Some(Kind::Pay)),
            (Method::POST, "/api/v1/bookings/b/reissue", Some(Kind::Pay)),
            (Method::POST, "/api/v1/bookings/b/codes", Some(Kind::Mails)),
            (Method::PUT, "/api/v1/bookings/b/contact", Some(Kind::Pay)),
            (Method::POST, "/b/token/contact", Some(Kind::Pay)),
            (Method::POST, "/b/token/codes", Some(Kind::Mails)),
            (Method::POST, "/bookings/find", Some(Kind::Mails)),
            (Method::POST, "/api/v1/me/token", Some(Kind::Mails)),
            (Method::GET, "/bookings/find", Some(Kind::Browse)),
            (Method::POST, "/api/v1/payments/stripe/webhook", None),
        ] {
            assert_eq!(kind_of(&method, path), kind, "{method} {path}");
        }
    }
}
