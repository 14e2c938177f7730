//! Handles requests that the gate lets through only for the owner of a hold or booking.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{BookingId, HoldId};
use web::{HolderOnly, NotHolder};

use super::problems::not_found;
use crate::handle::Booking;

/// The owned object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Hold(HoldId),
    Booking(BookingId),
    /// What the link with this token opens.
    Link(String),
    /// All bookings of the caller.
    Mine,
}

impl Owned {
    fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        let mut parts = path.split('/').skip(1);
        let kind = parts.next()?;
        let Some(id) = parts.next() else {
            return (kind == "bookings").then_some(Self::Mine);
        };
        match kind {
            "b" => Some(Self::Link(id.to_owned())),
            "me" => Some(Self::Mine),
            "holds" => Some(Self::Hold(id.parse().ok()?)),
            "bookings" => Some(Self::Booking(id.parse().ok()?)),
            _ => None,
        }
    }
}

/// Marks the response with [`NotHolder`] when a request with [`HolderOnly`] is not the owner's. The
/// request then reaches no handler.
pub(crate) async fn middleware(
    State(booking): State<Booking>,
    request: Request,
    next: Next,
) -> Response {
    if request.extensions().get::<HolderOnly>().is_none() {
        return next.run(request).await;
    }
    let customer = booking.customer(request.headers());
    let owns = match Owned::of(request.uri().path()) {
        None => Ok(false),
        Some(Owned::Hold(hold_id)) => booking.hold_is_of(&customer, hold_id).await,
        // Whether it was revoked or has ended, the handler finds out.
        Some(Owned::Link(token)) => Ok(booking.guest(&token).is_some()),
        // A session can be invented; one that bought something cannot.
        Some(Owned::Mine) => booking
            .my_bookings(&customer)
            .await
            .map(|all| !all.is_empty()),
        Some(Owned::Booking(booking_id)) => booking.booking_is_of(&customer, booking_id).await,
    };
    match owns {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let mut refused = not_found().into_response();
            refused.extensions_mut().insert(NotHolder);
            refused
        }
        Err(error) => web::ApiError::from(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn paths_name_what_is_owned() {
        let hold = HoldId::new(Uuid::from_u128(1));
        let bought = BookingId::new(Uuid::from_u128(2));
        for (path, expected) in [
            (format!("/holds/{hold}/return"), Some(Owned::Hold(hold))),
            (format!("/api/v1/holds/{hold}"), Some(Owned::Hold(hold))),
            (format!("/bookings/{bought}"), Some(Owned::Booking(bought))),
            (format!("/bookings/{hold}"), None),
            (format!("/shows/{hold}/holds"), None),
            (
                "/b/tok/cancel".to_owned(),
                Some(Owned::Link("tok".to_owned())),
            ),
            ("/bookings".to_owned(), Some(Owned::Mine)),
            ("/api/v1/me/bookings".to_owned(), Some(Owned::Mine)),
            ("/bookings/find".to_owned(), None),
            ("/holds".to_owned(), None),
        ] {
            assert_eq!(Owned::of(&path), expected, "{path}");
        }
    }
}
