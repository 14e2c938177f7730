//! A booking core that is asked as the gate asks it.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use booking_core::Booking;
use contract::principal;
use http::Method;
use web::{AtHand, LimitedAs, Reading};

/// The routes of `booking`, which is first asked for what it has at hand.
pub(crate) fn behind_a_gate(booking: &Booking) -> Router {
    let at_hand = booking.at_hand();
    let layer = from_fn(move |request: Request, next: Next| {
        let ready = ready_for(&*at_hand, &request);
        async move {
            match ready {
                Some(ready) => ready,
                None => next.run(request).await,
            }
        }
    });
    booking.router().layer(layer)
}

fn ready_for(at_hand: &dyn AtHand, request: &Request) -> Option<Response> {
    if request.method() != Method::GET {
        return None;
    }
    let extensions = request.extensions();
    at_hand.answer(&Reading {
        path: request.uri().path(),
        headers: request.headers(),
        principals: &principal::read(request.headers()),
        limited_as: extensions.get::<LimitedAs>().copied(),
    })
}
