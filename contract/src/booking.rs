//! JSON of the booking API and of a show file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{BookingId, CityId, HoldId, PaymentId, RoomId, SeatId, ShowId, TicketId};
use crate::pricing::{Fee, HeldTicket, PriceLine, Tax, TicketType};
use crate::refund_policy::RefundPolicy;
pub use crate::seat_map::{
    CompactSeatMap, Seat, SeatChange, SeatChanges, SeatLabel, SeatMap, SeatRun, SeatStatus,
};
use crate::transfer::TransferPolicy;

pub use crate::city::{City, CityList};
pub use crate::confirming::{ConfirmRequest, Processing};

/// Where a show takes place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Venue {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Degrees north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
}

/// A price category of a show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Category {
    /// Its code, such as `PREMIUM`.
    pub category: String,
    /// What fans read.
    pub name: String,
    /// Price of a seat, minor units. In a show file without fees and added taxes; in a [`Show`]
    /// what one ticket costs with all of them.
    pub price_minor: i64,
    /// What its seats may be sold as; the first is taken when nobody chooses, and its price is
    /// `priceMinor`. Without types there is one price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticket_types: Vec<TicketType>,
}

/// What a show's sale is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SaleStatus {
    /// Not open yet.
    Upcoming,
    /// Open.
    Open,
    /// Over.
    Closed,
    /// The show was cancelled.
    Cancelled,
}

/// A show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Show {
    /// Its id.
    pub show_id: ShowId,
    /// Its city.
    pub city_id: CityId,
    /// What is shown.
    pub title: String,
    /// A few sentences.
    pub description: String,
    /// Genre.
    pub genre: String,
    /// Language.
    pub language: String,
    /// Who performs.
    pub cast: Vec<String>,
    /// Where.
    pub venue: Venue,
    /// IANA time zone of the venue.
    pub time_zone: String,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends: as its file says, else when it starts or its sale closes, whichever is later.
    pub ends_at: Timestamp,
    /// When its sale opens.
    pub sale_opens_at: Timestamp,
    /// When its sale closes.
    pub sale_closes_at: Timestamp,
    /// What its sale is doing.
    pub sale_status: SaleStatus,
    /// The room in front of it, if any.
    pub room: Option<RoomId>,
    /// Most tickets one customer may have.
    pub ticket_limit: u32,
    /// How long a hold lasts.
    pub hold_seconds: u32,
    /// ISO 4217.
    pub currency: String,
    /// Prices of one ticket, with all fees and taxes.
    pub categories: Vec<Category>,
    /// Fees that the prices contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
    /// Taxes that the prices contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// What the price of one ticket contains that a booking pays once, minor units: two tickets
    /// cost this much less than twice the price of one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub booking_fee_minor: i64,
    /// What a fan who cancels gets back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_policy: Option<RefundPolicy>,
    /// Seats there are.
    pub seat_count: u64,
    /// Seats that can be held now; up to two seconds old.
    pub available_count: u64,
    /// Seats that somebody holds and has not paid for: they may come back. With none of these and
    /// none available the show is sold out for good.
    #[serde(default)]
    pub held_count: u64,
}

/// Shows of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShowList {
    /// By starting time.
    pub shows: Vec<Show>,
}

/// The body of a hold: either named seats, or so many of a category.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldRequest {
    /// The seats wanted, each once, up to the ticket limit of the show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub seat_ids: Option<Vec<SeatId>>,
    /// How many of the best available, up to the ticket limit of the show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub quantity: Option<u32>,
    /// Of which category; any, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What each seat is sold as: one code for each of `seatIds`, or for each of the best seats in
    /// map order. `null`, or no list, is the first type of the category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_types: Option<Vec<Option<String>>>,
    /// Accepted from older clients and ignored: who asks is known from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub user_id: Option<serde_json::Value>,
    /// The solution of a challenge, if an answer asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// State of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldStatus {
    /// The seats are the holder's until it expires.
    Active,
    /// A payment is under way.
    Paying,
    /// Bought.
    Confirmed,
    /// Its time ran out.
    Expired,
    /// Given up.
    Released,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// The show.
    pub show_id: ShowId,
    /// Its state.
    pub status: HoldStatus,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The seats, in map order.
    pub seat_ids: Vec<SeatId>,
    /// Where they are, in the same order.
    #[serde(default)]
    pub seats: Vec<SeatLabel>,
    /// Price of all, minor units.
    pub amount_minor: i64,
    /// What the price is made of; empty for holds of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PriceLine>,
    /// Its tickets, in map order, each with its share of the price; empty for holds of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<HeldTicket>,
    /// ISO 4217.
    pub currency: String,
    /// Whether a payment was started: then what its seats are sold as stays as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub payment_started: bool,
    /// The booking it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
}

/// The body that changes what the seats of a hold are sold as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketTypesRequest {
    /// One code for each seat of the hold, in map order; `null` is the first type of the category.
    #[schema(min_items = 1)]
    pub ticket_types: Vec<Option<String>>,
}

/// The body that starts a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentRequest {
    /// Where tickets are sent.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    pub email: String,
    /// A coupon: the price is made anew with it, and one of its uses is reserved. Absent, the price
    /// stays as it is; empty, the coupon of an earlier attempt is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// The solution of a challenge, if an answer asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// State of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Waiting for the customer's card.
    Created,
    /// The customer has to do something, such as 3-D Secure.
    RequiresAction,
    /// The bank is working.
    Processing,
    /// We could not find out.
    Unknown,
    /// The money was taken.
    Succeeded,
    /// Refused.
    Failed,
    /// Given up.
    Cancelled,
}

/// A payment that the customer completes with the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The id that the confirmation names. It is the shop's own and means nothing to the provider.
    pub payment_intent_id: PaymentId,
    /// What the customer's browser shows the provider.
    pub client_secret: String,
    /// Where to send the customer's browser to pay, if the payment is made on a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
    /// The same as `redirectUrl`, under its older name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_url: Option<String>,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Its state.
    pub status: PaymentStatus,
}

/// State of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BookingStatus {
    /// Paid and sure.
    Confirmed,
    /// Some tickets were cancelled.
    PartiallyCancelled,
    /// All tickets were cancelled.
    Cancelled,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Its id.
    pub ticket_id: TicketId,
    /// Its seat.
    pub seat_id: SeatId,
    /// Where that is; absent once the show is long over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<SeatLabel>,
    /// What it was sold as; absent where the category has no types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_type: Option<String>,
    /// The same with its category, as fans read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_type_name: Option<String>,
    /// Its share of what was paid, minor units; absent where only the sum is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<i64>,
    /// The signed text of its QR code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
    /// Where its QR code is as a picture, a path on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_svg: Option<String>,
    /// Whose name is on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
    /// The address of whoever has it now, mostly hidden, when the reader passed it on; then its code
    /// is theirs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_on_to: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_false(it: &bool) -> bool {
    !*it
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_zero(amount_minor: &i64) -> bool {
    *amount_minor == 0
}

/// A booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// Its id.
    pub booking_id: BookingId,
    /// The short code a person can read out.
    pub code: String,
    /// Its state.
    pub status: BookingStatus,
    /// The show.
    pub show_id: ShowId,
    /// What was paid, minor units.
    pub amount_minor: i64,
    /// What that was made of; empty for bookings of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PriceLine>,
    /// What of it was given back, minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refunded_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When.
    pub created_at: Timestamp,
    /// Whether the seller is checking the order: the seats are booked, and the tickets follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// Its tickets, in map order. Void ones are left out.
    pub tickets: Vec<Ticket>,
    /// Whether the reader got the tickets from whoever paid: sums are left out (0).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passed_on: bool,
    /// The reader's tickets as PDF, for whoever has this address, until thirty days after the
    /// show. It changes when the links to the booking are revoked; absent while there is no ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tickets_url: Option<String>,
}

/// Always true: the field is read but never written.
fn is_left_out<T>(_: &T) -> bool {
    true
}

/// A show file: what `ropeline show import` sends. One file describes one show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowFile {
    /// Where editors find the schema of this file. Ignored.
    #[serde(default, rename = "$schema", skip_serializing_if = "is_left_out")]
    pub schema: Option<String>,
    /// The show's id.
    pub show_id: ShowId,
    /// The city it takes place in.
    pub city: ShowFileCity,
    /// What is shown.
    pub title: String,
    /// A few sentences.
    #[serde(default)]
    pub description: String,
    /// Genre.
    #[serde(default)]
    pub genre: String,
    /// Language.
    #[serde(default)]
    pub language: String,
    /// Who performs.
    #[serde(default)]
    pub cast: Vec<String>,
    /// Where.
    pub venue: Venue,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends; when it starts or its sale closes, whichever is later, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// When its sale opens; at once, when absent.
    #[serde(default)]
    pub sale_opens_at: Option<Timestamp>,
    /// When its sale closes; when it starts, when absent.
    #[serde(default)]
    pub sale_closes_at: Option<Timestamp>,
    /// The room in front of it.
    #[serde(default)]
    pub room: Option<RoomId>,
    /// Most tickets one customer may have; 6 when absent.
    #[serde(default)]
    pub ticket_limit: Option<u32>,
    /// How long a hold lasts, 300 to 900; 600 when absent.
    #[serde(default)]
    pub hold_seconds: Option<u32>,
    /// ISO 4217.
    pub currency: String,
    /// What a fan who cancels gets back; fans cannot cancel when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_policy: Option<RefundPolicy>,
    /// Whether and until when fans may pass tickets on; until the start when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferPolicy>,
    /// Hours before its start at which customers are reminded; 0 for never, 2 or 24 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_hours: Option<u32>,
    /// Prices, without fees and added taxes.
    pub categories: Vec<Category>,
    /// Fees that everyone pays on top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
    /// Taxes that prices and fees contain, or that are added to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// Blocks of seats, from the stage backwards.
    pub sections: Vec<Section>,
}

/// A city within a show file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowFileCity {
    /// Its id.
    pub city_id: CityId,
    /// Its name.
    pub name: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// IANA time zone.
    pub time_zone: String,
}

/// A block of rows with the same category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Section {
    /// What fans read, such as `Stalls`.
    pub name: String,
    /// Price category of its seats.
    pub category: String,
    /// Row labels, from the stage backwards: free text, unique within a section. A seat's id is
    /// made of row and number, and of the section where that is not enough.
    pub rows: Vec<String>,
    /// Seats in each row.
    pub seats_per_row: u32,
    /// Seats that are reachable without steps, by row and number such as `A10` or `11-1`, or by id.
    #[serde(default)]
    pub accessible: Vec<String>,
    /// Seats that are not for sale, named likewise.
    #[serde(default)]
    pub blocked: Vec<String>,
}

/// The answer to an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShowImported {
    /// The show.
    pub show_id: ShowId,
    /// Its seats.
    pub seat_count: u64,
    /// Whether it was new, changed or the same as before.
    pub outcome: ImportOutcome,
    /// What changed, as the fields of a show; `seats` for the layout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImportOutcome {
    /// The show is new.
    Created,
    /// Its description, prices or times changed.
    Updated,
    /// It was imported before, just so.
    Unchanged,
}
