//! Choosing seats and holding them.

use axum::extract::State;
use axum::response::Response;
use contract::booking::{Hold, HoldRequest, SaleStatus, Seat, SeatStatus, Show};
use contract::{ProblemCode, RoomId, SeatId, ShowId};
use data_encoding::BASE64URL_NOPAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use pages::shop::{Block, CategoryLeft, RowsPage, RowsStep, SeatsPage};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use web::{ApiError, ApiForm, ApiPath, ApiQuery, ApiResult};

use super::challenge;
use super::page::{page, page_of, see_other};
use crate::config::HOLD_SEATS_MAX;
use crate::customer::{Customer, Session};
use crate::handle::Booking;
use crate::holds::{HoldOutcome, Once};
use crate::http::holds::read_held;
use crate::http::problems::{invalid, not_found};
use crate::http::risk;
use crate::live::{HoldKey, LiveShow};
use crate::shows::SeatPlan;
use crate::store::idempotency::{KeyUse, Known, StoredAnswer};

/// The way of choosing seats: on the map, or by section and row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Way {
    by: Option<String>,
    /// Index of a section in the hall.
    section: Option<usize>,
    row: Option<String>,
}

impl Way {
    /// The next choice of section or row; `None` on the map.
    fn step(self, booking: &Booking, live: &LiveShow) -> ApiResult<Option<RowsStep>> {
        if self.by.is_none() && self.section.is_none() {
            return Ok(None);
        }
        let map = live.seat_map(booking.0.clock.now());
        let sections = blocks(&map.seats, |seat| Some(&seat.section));
        let Some(at) = self.section.or_else(|| (sections.len() == 1).then_some(0)) else {
            return Ok(Some(RowsStep::Sections { sections }));
        };
        let section = sections.get(at).ok_or_else(not_found)?.name.clone();
        let Some(row) = self.row else {
            let inside = |seat: &Seat| seat.section == section;
            let rows = blocks(&map.seats, |seat| inside(seat).then_some(&seat.row));
            return Ok(Some(RowsStep::Rows { section, at, rows }));
        };
        let free = |seat: &Seat| {
            seat.section == section && seat.row == row && seat.status == SeatStatus::Available
        };
        let seats = map.seats.into_iter().filter(free).collect();
        Ok(Some(RowsStep::Seats {
            section,
            at,
            row,
            seats,
        }))
    }
}

/// Seats grouped by `name_of`, in map order.
fn blocks(seats: &[Seat], name_of: impl Fn(&Seat) -> Option<&String>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for seat in seats {
        let Some(name) = name_of(seat) else { continue };
        let at = blocks.iter().rposition(|block| block.name == *name);
        let at = at.unwrap_or_else(|| {
            blocks.push(Block {
                name: name.clone(),
                left: 0,
                accessible: 0,
            });
            blocks.len() - 1
        });
        if seat.status == SeatStatus::Available {
            blocks[at].left += 1;
            blocks[at].accessible += u64::from(seat.accessible);
        }
    }
    blocks
}

/// The fields of the pages' forms.
#[derive(Debug, Default)]
pub(super) struct HoldForm {
    seats: Option<String>,
    quantity: Option<String>,
    category: Option<String>,
    form_key: String,
    /// The solution of a challenge.
    proof: Option<String>,
}

pub(super) async fn seats(
    State(booking): State<Booking>,
    ApiPath(show_id): ApiPath<ShowId>,
    ApiQuery(way): ApiQuery<Way>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (show, live) = find(&booking, &show_id).await?;
    if show.sale_status != SaleStatus::Open {
        return Ok(see_other(&format!("/shows/{show_id}")));
    }
    let customer = booking.customer(&headers);
    if let Some(room) = &show.room
        && customer.subject_in(room).is_none()
    {
        return Ok(see_other(&line_of(room, &show_id)));
    }
    let html = match way.step(&booking, &live)? {
        Some(step) => pages::shop::rows(&RowsPage {
            show,
            form_key: form_key(&booking),
            step,
        }),
        None => render(&booking, &customer, (show, &live), Vec::new(), None),
    };
    let mut response = page(StatusCode::OK, html);
    let customer = if customer.session().is_none() {
        // The cookie is set before the form is sent, so that a form sent twice comes from one
        // session.
        let session = booking.session_new();
        let cookie = session.set_cookie(booking.is_secure());
        response.headers_mut().insert(SET_COOKIE, cookie);
        customer.with_session(session)
    } else {
        customer
    };
    booking.seats_shown(&customer);
    Ok(response)
}

pub(super) async fn hold_place(
    State(booking): State<Booking>,
    ApiPath(show_id): ApiPath<ShowId>,
    headers: HeaderMap,
    ApiForm(fields): ApiForm<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let sent = fields.clone();
    let mut form = HoldForm::read(fields);
    let (show, live) = find(&booking, &show_id).await?;
    let request = match form.request(live.plan()) {
        Ok(request) => request,
        Err(error) => {
            let customer = booking.customer(&headers);
            let named = form.names().map(str::to_owned).collect();
            return Ok(refuse(&booking, &customer, (show, &live), named, &error));
        }
    };
    let customer = booking.customer(&headers);
    let proof = form.proof.take();
    let gate = risk::before_hold(&booking, &customer, &show_id, &request, proof).await;
    if let Err(error) = gate {
        let (action, back) = (
            format!("/shows/{show_id}/holds"),
            format!("/shows/{show_id}/seats"),
        );
        return challenge::page_of(&error, action, sent, back).ok_or(error);
    }
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
            let seats = request.seat_ids.unwrap_or_default();
            let chosen = seats.iter().map(|seat| seat.as_str().to_owned()).collect();
            refuse(&booking, &customer, (show, &live), chosen, &error)
        }
    };
    if let Some(session) = new_session {
        let cookie = session.set_cookie(booking.is_secure());
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

impl HoldForm {
    /// Reads the fields. Seats may be one text with all names, or one field each.
    fn read(fields: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "seats" => {
                    let seats = form.seats.get_or_insert_default();
                    seats.push(' ');
                    seats.push_str(&value);
                }
                "quantity" => form.quantity = Some(value),
                "category" => form.category = Some(value),
                "formKey" => form.form_key = value,
                "proof" => form.proof = Some(value).filter(|proof| !proof.is_empty()),
                _ => {}
            }
        }
        form
    }

    /// The idempotency key of a form. The same form sent twice by the same browser has the same
    /// key, so a double click holds seats once.
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
                // Serialisation cannot fail: a hold contains only strings and numbers.
                body: serde_json::to_vec(hold).unwrap_or_default(),
            }),
        }
    }

    /// The named seats, as typed.
    fn names(&self) -> impl Iterator<Item = &str> {
        let typed = self.seats.as_deref().unwrap_or_default();
        let names = typed.split([',', ';', ' ', '\t']);
        names.filter(|name| !name.is_empty())
    }

    /// The request: named seats, or a number of the best.
    fn request(&self, plan: &SeatPlan) -> ApiResult<HoldRequest> {
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
                None => Err(invalid("quantity", "how many has to be a number from 1 on")),
            };
        }
        let seat_ids: Vec<SeatId> = self
            .names()
            .take(HOLD_SEATS_MAX + 1)
            .map(|name| read_seat(name, plan))
            .collect::<ApiResult<_>>()?;
        if seat_ids.is_empty() {
            let example = plan
                .seats()
                .first()
                .map_or("A10", |seat| seat.seat_id.as_str());
            let what =
                format!("choose at least one seat on the map, or name one, such as {example}");
            return Err(invalid("seats", &what));
        }
        Ok(HoldRequest {
            seat_ids: Some(seat_ids),
            ..HoldRequest::default()
        })
    }
}

/// The seat that a person typed as `name`, in any case.
fn read_seat(name: &str, plan: &SeatPlan) -> ApiResult<SeatId> {
    let seats = || plan.seats().iter().map(|seat| &seat.seat_id);
    seats()
        .find(|seat| seat.as_str() == name)
        .or_else(|| seats().find(|seat| seat.as_str().eq_ignore_ascii_case(name)))
        .cloned()
        .ok_or_else(|| invalid("seats", &format!("there is no seat {name}")))
}

/// The hold of a form, made now or by the same form earlier.
fn held_once(outcome: Once<HoldOutcome>) -> ApiResult<Hold> {
    match outcome {
        Once::Now(outcome) => read_held(outcome),
        Once::Known(Known::Answered(answer)) => {
            serde_json::from_slice(&answer.body).map_err(|error| ApiError::internal(&error))
        }
        Once::Known(Known::InProgress | Known::Reused) => Err(ProblemCode::BookingBusy.into()),
    }
}

async fn find(booking: &Booking, show_id: &ShowId) -> ApiResult<(Show, LiveShow)> {
    let show = booking.show(show_id).ok_or_else(not_found)?;
    let live = booking.live(show_id).await?.ok_or_else(not_found)?;
    Ok((show, live))
}

fn line_of(room: &RoomId, show: &ShowId) -> String {
    format!("/_line/rooms/{room}?to=/shows/{show}/seats")
}

fn refuse(
    booking: &Booking,
    customer: &Customer,
    shown: (Show, &LiveShow),
    chosen: Vec<String>,
    error: &ApiError,
) -> Response {
    page_of(error, render(booking, customer, shown, chosen, Some(error)))
}

fn render(
    booking: &Booking,
    customer: &Customer,
    (show, live): (Show, &LiveShow),
    chosen: Vec<String>,
    error: Option<&ApiError>,
) -> String {
    let session_ends_at = show
        .room
        .as_ref()
        .and_then(|room| customer.session_end(room));
    let neighbours = live.plan().seats().iter().take(2);
    let example: Vec<&str> = neighbours.map(|seat| seat.seat_id.as_str()).collect();
    pages::shop::seats(&SeatsPage {
        left: left(live),
        example: example.join(", "),
        session_ends_at,
        now: booking.0.clock.now(),
        show,
        form_key: form_key(booking),
        chosen,
        problem: error.map(|error| error.problem().clone()),
    })
}

/// Available and held seats by category.
fn left(live: &LiveShow) -> Vec<CategoryLeft> {
    let counts = live.counts_by_category().into_iter();
    counts
        .map(|(category, counts)| CategoryLeft {
            category,
            left: counts.available,
            held: counts.held,
        })
        .collect()
}

fn form_key(booking: &Booking) -> String {
    BASE64URL_NOPAD.encode(&booking.0.randomness.bytes::<12>())
}
