//! The booking core: shows, seats, holds, payments, tickets.
//!
//! The database always decides. Holds of a show go through one writer per process, which settles
//! them in batches; every payment outcome goes through one resolver. Any number of processes may
//! run both on one database.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `app` | assembles and starts the booking core |
//! | `handle`, `after_sale` | [`Booking`], the interface for handlers and the gateway |
//! | `shows` | shows and seats as values: layout, best available, seat states. Pure |
//! | `live` | shows in memory and their writers |
//! | `holds`, `bookings` | holding, releasing, confirming |
//! | `cancel_decision` | whether tickets can be cancelled, and what goes back. Pure |
//! | `cancelling`, `show_cancelling` | cancelling tickets, and all bookings of a show |
//! | `transfer_decision` | whether tickets can be passed on or printed anew. Pure |
//! | `transferring` | passing tickets on, and printing them anew |
//! | `readers` | who may read a booking, and what of it. Pure |
//! | `comps` | giving tickets away |
//! | `invoices` | invoices and credit notes |
//! | `show_moving` | moving a show, and reminding of shows |
//! | `booking_desk` | what operators read of bookings |
//! | `app_sessions` | sessions of apps: access and refresh tokens |
//! | `guests` | one-time codes, links to bookings, finding bookings |
//! | `links` | links and codes from ids and a key of the installation. Pure |
//! | `confirm_queue`, `confirming`, `confirm_outcome` | limits concurrent confirmations, and runs them |
//! | `money` | failure reasons, dispositions and refund states. Pure |
//! | `fraud` | signals of fraud, and their points. No I/O |
//! | `vetting` | what follows: challenges, refusals, reviews |
//! | `payments` | starting payments, the resolver, webhooks, refunds, the provider |
//! | `notice` | kinds of notices to fans, and what follows from an attempt to send one. Pure |
//! | `event`, `delivery`, `customer_seal`, `webhook_secrets` | an event as it is told, its delivery, the sealed fields of its customer, signatures of webhooks. Pure |
//! | `events` | the log of events that other programs are told, and who takes them |
//! | `mail` | composing notices and sending them |
//! | `channels` | mail, text messages and push behind one trait, and which of them a notice takes |
//! | `contacts` | how customers want to be told |
//! | `turns` | fans in waiting rooms who want to be told of their call |
//! | `scan` | what a scan of a ticket comes to. Pure |
//! | `checkin` | scanning tickets at the gates, who scans, who is inside |
//! | `tickets` | the signed QR text and its verification |
//! | `ticket_files` | tickets as PDF, shows as calendar files |
//! | `ticket_fonts` | the fonts of printed tickets |
//! | `ticket_store` | PDFs of tickets in a file or S3 store |
//! | `wallet` | tickets for Apple Wallet and Google Wallet |
//! | `store` | all SQL, and the order in which locks are taken |
//! | `expiry` | the times at which holds of this process end |
//! | `sweep` | expires holds past their end |
//! | `workers` | runs the background work |
//! | `http` | the JSON API |
//!
//! # Buying a seat
//!
//! `POST /shows/{show}/holds` checks the pass and the request, and queues a command for the show's
//! writer. The writer settles up to 256 commands with one statement ([`config`] has the limits).
//! `POST /holds/{hold}/payments` records an attempt, then asks the provider for an intent under an
//! idempotency key that was stored first. The customer pays the provider.
//! `POST /holds/{hold}/confirm`, the provider's webhook and the poller all call the resolver, and
//! the first of them makes the booking.
//!
//! # Cancelling
//!
//! Fans cancel by the refund policy of the show, operators as they like. One transaction frees the
//! seats, voids the tickets and promises the refund; the worker for refunds asks the provider.
//!

mod after_sale;
mod app;
mod app_sessions;
mod booking_desk;
mod bookings;
mod cancel_decision;
mod cancelling;
mod channels;
mod checkin;
mod comps;
pub mod config;
mod confirm_outcome;
mod confirm_queue;
mod confirming;
mod contacts;
mod core;
mod coupon_desk;
mod coupons;
pub mod customer;
mod customer_seal;
pub mod database;
mod delivery;
mod email;
mod event;
mod events;
mod expiry;
mod failing;
mod fraud;
mod gather;
mod guests;
mod handle;
mod holds;
mod http;
mod imports;
mod invoices;
mod known_tokens;
mod limits;
mod links;
mod live;
mod mail;
mod money;
mod notice;
mod payment_outcome;
mod payments;
mod randomness;
mod readers;
mod recorded;
mod rooms;
mod scan;
mod set_aside;
mod shop;
mod show_cancelling;
mod show_moving;
mod shows;
mod stock;
mod store;
mod sweep;
mod telemetry;
mod ticket_files;
mod ticket_fonts;
mod ticket_store;
mod ticket_types;
pub mod tickets;
mod transfer_decision;
mod transferring;
mod turns;
mod vetting;
mod wallet;
mod webhook_secrets;
mod workers;

pub use app::{BookingDeps, StartError};
pub use channels::settings::{SmsDelivery, SmsProvider, SmsSettings};
pub use config::{
    BookingConfig, ChannelsConfig, EVENTS_LOOSE_FOR, PaymentApi, PaymentConfig, Rate, RatePair,
    Rates, TicketKeys, WebhookConfig,
};
pub use confirm_outcome::ConfirmOutcome;
pub use confirm_queue::{ConfirmPermit, ConfirmTurn};
pub use customer::{Customer, Session};
pub use database::{Pools, StoreError};
pub use event::Event;
pub use events::redis_stream::RedisStream;
pub use events::sink::{EventSink, SinkError};
pub use fraud::settings::{FraudSettings, InvalidFraudSetting};
pub use handle::Booking;
pub use holds::{HoldOutcome, ReleaseOutcome};
pub use imports::ImportedShow;
pub use mail::settings::{Delivery, MailConfig, Sender, SmtpServer};
pub use money::FailureReason;
pub use money::invoice::InvoiceConfig;
pub use payment_outcome::PaymentOutcome;
pub use payments::http_client::ClientError;
pub use payments::provider;
pub use payments::reconcile_report::ReconcileReport;
#[cfg(feature = "fuzzing")]
pub use payments::webhook_readers;
pub use recorded::Recorded;
pub use rooms::RoomDirectory;
pub use stock::RoomStock;
pub use store::check::{CheckReport, InvariantResult};
pub use ticket_fonts::{TicketFonts, UnreadableFont};
pub use ticket_store::objects::StoreSetUpError;
pub use ticket_store::settings::{S3Config, TicketStoreConfig};
pub use tickets::{InvalidTicket, TicketClaims, TicketVerifier, verify_ticket};
pub use turns::{TurnAsk, TurnAsked};
pub use wallet::settings::{AppleWallet, GoogleWallet, WalletConfig};

/// The metric families of the booking core.
pub const fn metric_families() -> &'static [metric_families::Family] {
    telemetry::FAMILIES
}
