//! Choosing seats and holding them.

use axum::extract::State;
use axum::response::Response;
use contract::booking::{Hold, HoldRequest, SaleStatus, SeatMap, Show};
use contract::{ProblemCode, RoomId, SeatId, ShowId};
use data_encoding::BASE64URL_NOPAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use pages::shop::{SeatsPage, categories_left};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use web::{ApiError, ApiForm, ApiPath, ApiResult};

use super::{page, page_of, see_other};
use crate::app::Booking;
use crate::config::HOLD_SEATS_MAX;
use crate::customer::Session;
use crate::holds::{HoldOutcome, Once};
use crate::http::holds::read_held;
use crate::http::problems::{invalid, not_found};
use crate::live::HoldKey;
use crate::store::idempotency::{KeyUse, Known, StoredAnswer};

/// What the two forms of the page send.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HoldForm {
    seats: Option<String>,
    quantity: Option<String>,
    category: Option<String>,
    form_key: String,
}

pub(super) async fn seats(
    State(booking): State<Booking>,
    ApiPath(show_id): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (show, map) = find(&booking, &show_id).await?;
    if show.sale_status != SaleStatus::Open {
        return Ok(see_other(&format!("/shows/{show_id}")));
    }
    let customer = booking.customer(&headers);
    if let Some(room) = &show.room
        && customer.subject_in(room).is_none()
    {
        return Ok(see_other(&line_of(room, &show_id)));
    }
    let html = render(&booking, show, &map, Vec::new(), None);
    let mut response = page(StatusCode::OK, html);
    if customer.session().is_none() {
        // Given before the form is sent, so that a form sent twice is of one browser.
        let cookie = booking.session_new().set_cookie(booking.is_secure());
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn hold_place(
    State(booking): State<Booking>,
    ApiPath(show_id): ApiPath<ShowId>,
    headers: HeaderMap,
    ApiForm(form): ApiForm<HoldForm>,
) -> ApiResult<Response> {
    let (show, map) = find(&booking, &show_id).await?;
    let request = match form.request(&map) {
        Ok(request) => request,
        Err(error) => return Ok(refuse(&booking, show, &map, Vec::new(), &error)),
    };
    let customer = booking.customer(&headers);
    let new_session = customer.session().is_none().then(|| booking.session_new());
    let customer = match new_session {
        Some(session) => customer.with_session(session),
        None => customer,
    };
    // A session that was made for this request cannot have sent the form before.
    let key = match new_session {
        Some(_) => None,
        None => customer
            .session()
            .map(|session| form.key(&session, &show_id)),
    };
    let outcome = booking
        .hold_place(&customer, &show_id, &request, key)
        .await?;
    if let Once::Now(HoldOutcome::PassRequired { room, show }) = &outcome {
        return Ok(see_other(&line_of(room, show)));
    }
    let mut response = match held_once(outcome) {
        Ok(hold) => see_other(&format!("/holds/{}", hold.hold_id)),
        Err(error) => {
            let chosen = request.seat_ids.unwrap_or_default();
            refuse(&booking, show, &map, chosen, &error)
        }
    };
    if let Some(session) = new_session {
        let cookie = session.set_cookie(booking.is_secure());
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

impl HoldForm {
    /// The same form sent twice by the same browser is one request, so a double click holds seats
    /// once.
    fn key(&self, session: &Session, show: &ShowId) -> HoldKey {
        let mut hash = Sha256::new();
        for part in [
            show.as_str(),
            &self.form_key,
            self.seats.as_deref().unwrap_or_default(),
            self.quantity.as_deref().unwrap_or_default(),
            self.category.as_deref().unwrap_or_default(),
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let fingerprint: [u8; 32] = hash.finalize().into();
        HoldKey {
            key_uses: vec![KeyUse {
                principal: format!("form:{}", session.digest()),
                key: BASE64URL_NOPAD.encode(&fingerprint),
                fingerprint,
            }],
            answer_of: Box::new(|hold| StoredAnswer {
                status: StatusCode::CREATED.as_u16(),
                headers: Value::Null,
                // A hold is made of strings and numbers.
                body: serde_json::to_vec(hold).unwrap_or_default(),
            }),
        }
    }

    /// What is wished for: named seats, or else so many of the best.
    fn request(&self, map: &SeatMap) -> ApiResult<HoldRequest> {
        if let Some(quantity) = &self.quantity {
            let quantity = quantity
                .trim()
                .parse()
                .ok()
                .filter(|quantity| *quantity > 0);
            let category = self.category.clone().filter(|code| !code.is_empty());
            return match quantity {
                Some(quantity) => Ok(HoldRequest {
                    quantity: Some(quantity),
                    category,
                    ..HoldRequest::default()
                }),
                None => Err(invalid("quantity", "has to be a number from 1 on")),
            };
        }
        let typed = self.seats.as_deref().unwrap_or_default();
        let names = typed
            .split([',', ';', ' ', '\t'])
            .filter(|name| !name.is_empty());
        let seat_ids: Vec<SeatId> = names
            .take(HOLD_SEATS_MAX + 1)
            .map(|name| read_seat(name, map))
            .collect::<ApiResult<_>>()?;
        if seat_ids.is_empty() {
            return Err(invalid("seats", "name at least one seat, such as A10"));
        }
        Ok(HoldRequest {
            seat_ids: Some(seat_ids),
            ..HoldRequest::default()
        })
    }
}

/// The seat a person means by `name`, in whichever case they typed it.
fn read_seat(name: &str, map: &SeatMap) -> ApiResult<SeatId> {
    let seats = || map.seats.iter().map(|seat| &seat.seat_id);
    seats()
        .find(|seat| seat.as_str() == name)
        .or_else(|| seats().find(|seat| seat.as_str().eq_ignore_ascii_case(name)))
        .cloned()
        .ok_or_else(|| invalid("seats", &format!("there is no seat {name}")))
}

/// The hold that a form made, now or when it was sent before.
fn held_once(outcome: Once<HoldOutcome>) -> ApiResult<Hold> {
    match outcome {
        Once::Now(outcome) => read_held(outcome),
        Once::Known(Known::Answered(answer)) => {
            serde_json::from_slice(&answer.body).map_err(|error| ApiError::internal(&error))
        }
        Once::Known(Known::InProgress | Known::Reused) => Err(ProblemCode::BookingBusy.into()),
    }
}

async fn find(booking: &Booking, show_id: &ShowId) -> ApiResult<(Show, SeatMap)> {
    let show = booking.show(show_id).ok_or_else(not_found)?;
    let map = booking.seat_map(show_id).await?.ok_or_else(not_found)?;
    Ok((show, map))
}

fn line_of(room: &RoomId, show: &ShowId) -> String {
    format!("/_line/rooms/{room}?to=/shows/{show}/seats")
}

fn refuse(
    booking: &Booking,
    show: Show,
    map: &SeatMap,
    chosen: Vec<SeatId>,
    error: &ApiError,
) -> Response {
    page_of(error, render(booking, show, map, chosen, Some(error)))
}

fn render(
    booking: &Booking,
    show: Show,
    map: &SeatMap,
    chosen: Vec<SeatId>,
    error: Option<&ApiError>,
) -> String {
    pages::shop::seats(&SeatsPage {
        left: categories_left(&show, map),
        show,
        form_key: BASE64URL_NOPAD.encode(&booking.0.randomness.bytes::<12>()),
        chosen,
        problem: error.map(|error| error.problem().clone()),
    })
}
