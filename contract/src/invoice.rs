//! JSON of invoices and credit notes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{BookingId, ShowId};
use crate::pricing::{LineKind, PriceLine};

/// Who sells, as invoices have to tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seller {
    /// The name.
    pub name: String,
    /// The lines of the address.
    pub address: Vec<String>,
    /// The number under which taxes are paid.
    pub tax_number: String,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvoiceKind {
    /// For a booking that was paid.
    Invoice,
    /// For money that went back.
    CreditNote,
}

/// An invoice or a credit note. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// Its number: without a gap for each kind and year.
    pub number: String,
    /// What it is.
    pub kind: InvoiceKind,
    /// Of a credit note: the number of its invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_number: Option<String>,
    /// The booking.
    pub booking_id: BookingId,
    /// Its code.
    pub booking_code: String,
    /// The address that it was booked with.
    pub email: String,
    /// The show.
    pub show_id: ShowId,
    /// What was paid, or went back, minor units.
    pub amount_minor: i64,
    /// Of that, taxes.
    pub tax_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What it is made of. The amounts of all lines but of included taxes sum to the whole.
    pub lines: Vec<PriceLine>,
    /// Who sold, as of then.
    pub seller: Seller,
    /// When.
    pub issued_at: Timestamp,
}

/// The taxes in `lines`, included or added.
pub fn tax_minor(lines: &[PriceLine]) -> i64 {
    let taxes = lines.iter().filter(|line| line.kind == LineKind::Tax);
    taxes.fold(0, |sum: i64, line| sum.saturating_add(line.amount_minor))
}

/// Invoices and credit notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvoiceList {
    /// In the order in which they were made.
    pub invoices: Vec<Invoice>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}
