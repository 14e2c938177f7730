//! Choosing seats and holding them.

use axum::extract::State;
use axum::response::Response;
use contract::booking::{HoldRequest, SaleStatus, SeatMap, Show};
use contract::{RoomId, SeatId, ShowId};
use data_encoding::BASE64URL_NOPAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use pages::shop::{SeatsPage, categories_left};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web::{ApiError, ApiForm, ApiPath, ApiResult};

use super::{page, page_of, see_other};
use crate::app::Booking;
use crate::config::HOLD_SEATS_MAX;
use crate::customer::Session;
use crate::holds::{HoldOutcome, HoldPlan};
use crate::http::holds::read_held;
use crate::http::problems::{invalid, not_found};

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
    let (show, map) = find(&booking, &show_id)?;
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
    let (show, map) = find(&booking, &show_id)?;
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
    let plan = HoldPlan {
        hold_id: hold_id(customer.session(), &show_id, &form),
        may_exist: new_session.is_none(),
    };
    let outcome = booking
        .hold_place_as(&customer, &show_id, &request, plan)
        .await?;
    if let HoldOutcome::PassRequired { room, show } = &outcome {
        return Ok(see_other(&line_of(room, show)));
    }
    let mut response = match read_held(outcome) {
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

/// The id of the hold that a form makes. The same form sent twice by the same browser names the
/// same hold, so a double click holds seats once; nobody else can name it.
fn hold_id(session: Option<Session>, show: &ShowId, form: &HoldForm) -> Uuid {
    let mut hash = Sha256::new();
    let session = session.map(|session| session.digest()).unwrap_or_default();
    for part in [
        session.as_str(),
        show.as_str(),
        &form.form_key,
        form.seats.as_deref().unwrap_or_default(),
        form.quantity.as_deref().unwrap_or_default(),
        form.category.as_deref().unwrap_or_default(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn find(booking: &Booking, show_id: &ShowId) -> ApiResult<(Show, SeatMap)> {
    let show = booking.show(show_id).ok_or_else(not_found)?;
    let map = booking.seat_map(show_id).ok_or_else(not_found)?;
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
