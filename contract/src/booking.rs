//! JSON of the booking API and of a show file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{BookingId, CityId, HoldId, PaymentId, RoomId, SeatId, ShowId, TicketId};
use crate::refund_policy::RefundPolicy;

/// A city with shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct City {
    /// Its id.
    pub city_id: CityId,
    /// Its name.
    pub name: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// IANA time zone that its shows' times are shown in.
    pub time_zone: String,
    /// Shows that have not started.
    pub show_count: u64,
}

/// The cities there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CityList {
    /// By name.
    pub cities: Vec<City>,
}

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
    /// Price of a seat, minor units.
    pub price_minor: i64,
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
    /// Prices.
    pub categories: Vec<Category>,
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

/// Whether a seat can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeatStatus {
    /// Free.
    Available,
    /// Someone is buying it.
    Held,
    /// Sold.
    Booked,
    /// Not for sale.
    Blocked,
}

/// A seat on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// Its label, unique in the show.
    pub seat_id: SeatId,
    /// The block it is in, such as `Stalls`. Rows are unique within one.
    #[serde(default)]
    pub section: String,
    /// Row label.
    pub row: String,
    /// Number within the row.
    pub number: u32,
    /// Price category.
    pub category: String,
    /// Whether it can be had.
    pub status: SeatStatus,
    /// Price, minor units.
    pub price_minor: i64,
    /// Place on the map, in seat widths from the left.
    pub x: f64,
    /// Place on the map, in seat widths from the stage.
    pub y: f64,
    /// Reachable without steps.
    pub accessible: bool,
}

/// All seats of a show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatMap {
    /// The show.
    pub show_id: ShowId,
    /// Grows with every change; also the `ETag`.
    pub version: u64,
    /// When it was taken.
    pub as_of: Timestamp,
    /// In map order.
    pub seats: Vec<Seat>,
}

/// All seats of a show in a few kilobytes: rows as runs of seats, and one letter a seat for
/// whether it can be had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompactSeatMap {
    /// The show.
    pub show_id: ShowId,
    /// As in the seat map.
    pub version: u64,
    /// Names of the blocks of seats.
    pub sections: Vec<String>,
    /// Codes of the price categories.
    pub categories: Vec<String>,
    /// Runs of seats; one after the other they are all seats in map order.
    pub runs: Vec<SeatRun>,
    /// Which seats are reachable without steps: positions in map order, from 0.
    pub accessible: Vec<u32>,
    /// One letter a seat, in map order: `A`vailable, `H`eld, `B`ooked, or `X` when not for sale.
    pub statuses: String,
}

/// Neighbours of one row and price. The number and `x` grow by one from seat to seat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatRun {
    /// Position in `sections`, from 0.
    pub section: u32,
    /// Row label.
    pub row: String,
    /// Position in `categories`, from 0.
    pub category: u32,
    /// Price of each seat, minor units.
    pub price_minor: i64,
    /// Seats in the run, at least 1.
    pub count: u32,
    /// Number of the first seat.
    pub number: u32,
    /// Place of the first seat on the map, in seat widths from the left.
    pub x: f64,
    /// Place of all seats on the map, in seat widths from the stage.
    pub y: f64,
    /// What precedes the number in the seats' ids.
    pub prefix: String,
    /// The seat's id where it does not end with its number. Such a seat is a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat_id: Option<SeatId>,
}

/// Where a seat is, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatLabel {
    /// Its id.
    pub seat_id: SeatId,
    /// The block it is in.
    pub section: String,
    /// Row label.
    pub row: String,
    /// Number within the row.
    pub number: u32,
    /// Reachable without steps.
    pub accessible: bool,
}

/// One change of a seat, in the live stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatChange {
    /// The seat.
    pub seat_id: SeatId,
    /// How it is now.
    pub status: SeatStatus,
}

/// Changes that lead from one version of the map to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatChanges {
    /// The version they apply to.
    pub from_version: u64,
    /// The version they lead to.
    pub version: u64,
    /// What changed.
    pub changes: Vec<SeatChange>,
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
    /// Accepted from older clients and ignored: who asks is known from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub user_id: Option<serde_json::Value>,
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
    /// ISO 4217.
    pub currency: String,
    /// The booking it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<BookingId>,
}

/// The body that starts a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentRequest {
    /// Where tickets are sent.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    pub email: String,
    /// A coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
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

/// The body of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The payment that pays for the hold, as the answer that started it names it.
    pub payment_intent_id: String,
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
    /// The signed text of its QR code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
    /// Where its QR code is as a picture, a path on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_svg: Option<String>,
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
    /// What of it was given back, minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refunded_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When.
    pub created_at: Timestamp,
    /// Its tickets, in map order. Void ones are left out.
    pub tickets: Vec<Ticket>,
}

/// The answer while a payment's outcome is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Processing {
    /// Always `PROCESSING`.
    pub status: String,
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
    /// Hours before its start at which customers are reminded; 0 for never, 2 or 24 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_hours: Option<u32>,
    /// Prices.
    pub categories: Vec<Category>,
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
