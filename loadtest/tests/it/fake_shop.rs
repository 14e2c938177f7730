//! A stand-in for the shop and the payment provider.
#![expect(
    clippy::disallowed_types,
    reason = "a stand-in answers bad requests however the framework does"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Json, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use contract::booking::{
    Booking, BookingStatus, ConfirmRequest, Hold, HoldRequest, HoldStatus, Payment, PaymentStatus,
    Seat, SeatMap, SeatStatus, Ticket,
};
use contract::{BookingId, HoldId, PaymentId, ProblemCode, SeatId, TicketId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answers::{now, refusal};
use crate::defect::Defect;

const PRICE: i64 = 500;

struct Intent {
    id: String,
    payment: PaymentId,
    hold: HoldId,
    amount: i64,
    received: i64,
}

/// The stand-in.
pub(crate) struct FakeShop {
    defect: Option<Defect>,
    /// Where it is reached.
    url: String,
    shop: Mutex<Shop>,
}

type App = State<Arc<FakeShop>>;

impl FakeShop {
    pub(crate) fn with_ten_seats(defect: Option<Defect>, url: String) -> Self {
        let shop = Mutex::new(Shop::with_ten_seats());
        Self { defect, url, shop }
    }
}

/// What was sold and paid.
struct Shop {
    seats: BTreeMap<SeatId, SeatStatus>,
    holds: HashMap<HoldId, Hold>,
    asked: HashMap<HoldId, u32>,
    bookings: HashMap<BookingId, Booking>,
    intents: Vec<Intent>,
    next: u128,
}

impl Shop {
    fn with_ten_seats() -> Self {
        let seats = (0..10).map(|number| {
            let seat = format!("A{number}").parse().unwrap();
            (seat, SeatStatus::Available)
        });
        Self {
            seats: seats.collect(),
            holds: HashMap::new(),
            asked: HashMap::new(),
            bookings: HashMap::new(),
            intents: Vec::new(),
            next: 1,
        }
    }

    fn new_id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    fn is_free(&self, seat: &SeatId) -> bool {
        self.seats[seat] == SeatStatus::Available
    }

    /// The seats asked for, if all of them can be had.
    fn find(&self, wish: &HoldRequest, oversells: bool) -> Option<Vec<SeatId>> {
        let can_have = |seat: &&SeatId| oversells || self.is_free(seat);
        if let Some(seats) = &wish.seat_ids {
            return seats
                .iter()
                .all(|seat| can_have(&seat))
                .then(|| seats.clone());
        }
        let quantity = usize::try_from(wish.quantity?).unwrap();
        let best = self.seats.keys().filter(can_have).take(quantity);
        let best: Vec<SeatId> = best.cloned().collect();
        (best.len() == quantity).then_some(best)
    }

    fn mark(&mut self, seats: &[SeatId], status: SeatStatus) {
        for seat in seats {
            self.seats.insert(seat.clone(), status);
        }
    }
}

pub(crate) fn routes() -> Router<Arc<FakeShop>> {
    Router::new()
        .route("/api/v1/shows/{show}", get(show))
        .route("/api/v1/shows/show/seatmap", get(seat_map))
        .route("/api/v1/shows/show/holds", post(hold))
        .route("/api/v1/holds/{hold}", delete(release))
        .route("/api/v1/holds/{hold}/payments", post(pay))
        .route("/api/v1/holds/{hold}/confirm", post(confirm))
        .route("/api/v1/bookings/{booking}", get(booking))
        .route("/v1/payment_intents/{intent}/confirm", post(card))
        .route("/v1/payment_intents", get(intents))
        .route(
            "/v1/refunds",
            get(|| async { Json(json!({"data": [], "has_more": false})) }),
        )
}

fn oversells(fake: &FakeShop) -> bool {
    fake.defect == Some(Defect::Oversell)
}

/// A show that names the room `eras`, or none when its holds are behind another room's path.
async fn show(Path(show): Path<String>) -> Json<Value> {
    let room = (show == "show").then_some("eras");
    Json(json!({
        "showId": show, "cityId": "mumbai", "title": "Show", "description": "", "genre": "",
        "language": "", "cast": [], "venue": {"name": "Hall", "address": "1 Road"},
        "timeZone": "UTC", "startsAt": now(), "endsAt": now(), "saleOpensAt": now(),
        "saleClosesAt": now(), "saleStatus": "OPEN", "room": room, "ticketLimit": 6,
        "holdSeconds": 600, "currency": "INR", "categories": [], "seatCount": 10,
        "availableCount": 10,
    }))
}

async fn seat_map(State(fake): App) -> Json<SeatMap> {
    let shop = fake.shop.lock().unwrap();
    let seats = shop.seats.iter().map(|(seat_id, status)| Seat {
        seat_id: seat_id.clone(),
        section: "Hall".to_owned(),
        row: "A".to_owned(),
        number: 1,
        category: "STANDARD".to_owned(),
        status: if oversells(&fake) {
            SeatStatus::Available
        } else {
            *status
        },
        price_minor: PRICE,
        x: 0.0,
        y: 0.0,
        accessible: false,
    });
    Json(SeatMap {
        show_id: "show".parse().unwrap(),
        version: 1,
        as_of: now(),
        seats: seats.collect(),
    })
}

async fn hold(State(fake): App, Json(wish): Json<HoldRequest>) -> Response {
    let mut shop = fake.shop.lock().unwrap();
    let Some(seats) = shop.find(&wish, oversells(&fake)) else {
        return refusal(ProblemCode::SeatsUnavailable);
    };
    shop.mark(&seats, SeatStatus::Held);
    let hold = Hold {
        hold_id: HoldId::new(shop.new_id()),
        show_id: "show".parse().unwrap(),
        status: HoldStatus::Active,
        expires_at: now().plus(Duration::from_mins(5)),
        amount_minor: PRICE * i64::try_from(seats.len()).unwrap(),
        seat_ids: seats,
        seats: Vec::new(),
        lines: Vec::new(),
        tickets: Vec::new(),
        payment_started: false,
        currency: "INR".to_owned(),
        booking_id: None,
    };
    shop.holds.insert(hold.hold_id, hold.clone());
    (StatusCode::CREATED, Json(hold)).into_response()
}

async fn release(State(fake): App, Path(hold): Path<HoldId>) -> StatusCode {
    let mut shop = fake.shop.lock().unwrap();
    let seats = shop.holds[&hold].seat_ids.clone();
    shop.mark(&seats, SeatStatus::Available);
    StatusCode::NO_CONTENT
}

async fn pay(State(fake): App, Path(hold): Path<HoldId>) -> Response {
    let mut shop = fake.shop.lock().unwrap();
    let amount = shop.holds[&hold].amount_minor;
    let id = format!("pi_{}", shop.intents.len());
    let payment_id = PaymentId::new(shop.new_id());
    shop.intents.push(Intent {
        id: id.clone(),
        payment: payment_id,
        hold,
        amount,
        received: 0,
    });
    let payment = Payment {
        client_secret: format!("{id}_secret"),
        payment_intent_id: payment_id,
        redirect_url: None,
        pay_url: Some(format!("{}/pay/now", fake.url)),
        amount_minor: amount,
        currency: "INR".to_owned(),
        status: PaymentStatus::Created,
    };
    (StatusCode::CREATED, Json(payment)).into_response()
}

async fn card(
    State(fake): App,
    Path(id): Path<String>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut shop = fake.shop.lock().unwrap();
    let known = shop.intents.iter_mut().find(|it| it.id == id);
    let Some(intent) = known.filter(|it| form["client_secret"] == format!("{}_secret", it.id))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if form["payment_method"] != "pm_card_visa" {
        let error = json!({"error": {"code": "card_declined", "type": "card_error"}});
        return (StatusCode::PAYMENT_REQUIRED, Json(error)).into_response();
    }
    intent.received = intent.amount;
    let (hold, amount, payment) = (intent.hold, intent.amount, intent.payment);
    if fake.defect == Some(Defect::DoubleCharge) {
        let id = format!("pi_{}", shop.intents.len());
        shop.intents.push(Intent {
            id,
            payment,
            hold,
            amount,
            received: amount,
        });
    }
    Json(json!({"status": "succeeded"})).into_response()
}

async fn confirm(
    State(fake): App,
    Path(hold): Path<HoldId>,
    Json(body): Json<ConfirmRequest>,
) -> Response {
    let mut shop = fake.shop.lock().unwrap();
    let paid = shop
        .intents
        .iter()
        .any(|it| it.payment.to_string() == body.payment_intent_id && it.received > 0);
    if !paid {
        let problem = contract::Problem::new(ProblemCode::PaymentFailed)
            .with("reason", "card-declined")
            .with("retryable", true);
        return (StatusCode::PAYMENT_REQUIRED, Json(problem)).into_response();
    }
    // The first answer is always that it takes a moment.
    let asked = shop.asked.entry(hold).or_default();
    *asked += 1;
    if *asked == 1 {
        let retry = [("retry-after", "0")];
        return (
            StatusCode::ACCEPTED,
            retry,
            Json(json!({"status": "PROCESSING"})),
        )
            .into_response();
    }
    let hold = shop.holds[&hold].clone();
    shop.mark(&hold.seat_ids, SeatStatus::Booked);
    let tickets = hold.seat_ids.iter().map(|seat_id| Ticket {
        ticket_id: TicketId::new(shop.new_id()),
        seat_id: seat_id.clone(),
        seat: None,
        ticket_type: None,
        ticket_type_name: None,
        amount_minor: None,
        qr: None,
        qr_svg: None,
        holder_name: None,
        passed_on_to: None,
    });
    let tickets = tickets.collect();
    let booking = Booking {
        booking_id: BookingId::new(shop.new_id()),
        passed_on: false,
        tickets_url: None,
        code: "CODE".to_owned(),
        status: BookingStatus::Confirmed,
        show_id: hold.show_id,
        amount_minor: hold.amount_minor,
        currency: hold.currency,
        lines: Vec::new(),
        refunded_minor: 0,
        withheld: false,
        created_at: now(),
        tickets,
    };
    shop.bookings.insert(booking.booking_id, booking.clone());
    Json(booking).into_response()
}

async fn booking(State(fake): App, Path(booking): Path<BookingId>) -> Json<Booking> {
    Json(fake.shop.lock().unwrap().bookings[&booking].clone())
}

async fn intents(State(fake): App) -> Json<Value> {
    let shop = fake.shop.lock().unwrap();
    let created = now().as_unix_seconds();
    let data: Vec<Value> = shop
        .intents
        .iter()
        .rev()
        .map(|it| {
            json!({
                "id": it.id, "created": created, "amount_received": it.received,
                "metadata": {"holdId": it.hold},
            })
        })
        .collect();
    Json(json!({"data": data, "has_more": false}))
}
