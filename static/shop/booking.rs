//! A booking with its tickets, the list of a visitor's bookings, and finding one.

use contract::Problem;
use contract::booking::{Booking, Show};
use contract::contact::Contact;
use contract::invoice::Invoice;
use contract::refund::{MyBooking, RefundOffer};
use contract::transfer::TransferOffer;
use serde::Serialize;

use crate::engine::render;
use crate::mail::Wallets;

/// A booking of the visitor's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BookingPage {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// What would go back if it were cancelled now.
    pub offer: Option<RefundOffer>,
    /// What can be done with the tickets now.
    pub transfer: Option<TransferOffer>,
    /// The path of the page.
    pub base: String,
    /// What precedes `/tickets.pdf` and `/calendar.ics`.
    pub files: String,
    /// The wallets that are offered.
    pub wallets: Wallets,
    /// Invoices and credit notes, for whoever bought it.
    pub invoices: Vec<Invoice>,
    /// Whether the visitor came by the link in a mail.
    pub is_guest: bool,
    /// Whether a one-time code was sent just now.
    pub code_was_sent: bool,
    /// How the customer is told; `None` once the show is over.
    pub contact: Option<Contact>,
    /// The token of the link, for visitors who came by it.
    pub link: Option<String>,
    /// Why a form was refused.
    pub problem: Option<Problem>,
}

/// The tickets, to show at the door or to print.
pub fn booking(page: &BookingPage) -> String {
    render("shop/booking.html", page)
}

/// All bookings of the visitor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MyBookingsPage {
    /// The latest first.
    pub bookings: Vec<MyBooking>,
}

/// The list of a visitor's bookings.
pub fn my_bookings(page: &MyBookingsPage) -> String {
    render("shop/my_bookings.html", page)
}

/// The form that finds a booking.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FindPage {
    /// What was entered.
    pub code: String,
    /// What was entered.
    pub email: String,
    /// What the visitor reads after sending it.
    pub sent: Option<String>,
    /// Why it was refused.
    pub problem: Option<Problem>,
}

/// Code and address of a booking.
pub fn find_booking(page: &FindPage) -> String {
    render("shop/find_booking.html", page)
}
