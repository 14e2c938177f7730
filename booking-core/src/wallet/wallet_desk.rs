//! Who gets which ticket for a wallet.

use std::sync::Arc;

use contract::TicketId;
use contract::booking::Ticket;
use pages::mail::Wallets;
use url::Url;

use super::settings::WalletConfig;
use super::{apple, google};
use crate::core::Core;
use crate::handle::Booking;
use crate::ticket_files::BookedShow;

/// A ticket that opens a door, with the text of its code.
pub(crate) struct WalletTicket {
    booked: BookedShow,
    ticket: Ticket,
    qr: String,
}

impl WalletTicket {
    /// The reader's ticket with this id; `None` when it is not theirs, was cancelled or passed on,
    /// is kept back, or its show is over.
    pub(crate) fn of(booked: BookedShow, ticket_id: TicketId) -> Option<Self> {
        if !booked.is_worth_keeping() {
            return None;
        }
        let mut tickets = booked.booking.tickets.iter();
        let ticket = tickets.find(|it| it.ticket_id == ticket_id)?.clone();
        let qr = ticket.qr.clone()?;
        Some(Self { booked, ticket, qr })
    }

    pub(crate) fn title(&self) -> &str {
        &self.booked.show.title
    }

    pub(crate) fn code(&self) -> &str {
        &self.booked.booking.code
    }
}

impl Booking {
    /// What tickets can be added to.
    pub(crate) fn wallets(&self) -> &WalletConfig {
        &self.0.config.wallets
    }

    /// Apple's pass of a ticket; `None` when there are none here.
    pub(crate) async fn apple_pass(&self, ticket: WalletTicket) -> Option<Result<Vec<u8>, String>> {
        self.wallets().apple.as_ref()?;
        let core = Arc::clone(&self.0);
        // Signatures take some milliseconds of a core.
        let made = tokio::task::spawn_blocking(move || {
            let wallet = core.config.wallets.apple.as_ref()?;
            let WalletTicket { booked, ticket, qr } = &ticket;
            let made = apple::pass(wallet, &core.seller(), booked, ticket, qr);
            Some(made.map_err(|error| error.to_string()))
        });
        made.await
            .unwrap_or_else(|error| Some(Err(error.to_string())))
    }

    /// Google's link to save a ticket; `None` when there are none here.
    pub(crate) async fn google_link(&self, ticket: WalletTicket) -> Option<Result<String, String>> {
        self.wallets().google.as_ref()?;
        let core = Arc::clone(&self.0);
        let made = tokio::task::spawn_blocking(move || {
            let wallet = core.config.wallets.google.as_ref()?;
            let WalletTicket { booked, ticket, qr } = &ticket;
            let made = google::save_link(wallet, &core.seller(), booked, ticket, qr);
            Some(made.map_err(|_| "the key does not sign".to_owned()))
        });
        made.await
            .unwrap_or_else(|error| Some(Err(error.to_string())))
    }
}

impl Core {
    /// The wallets that are offered.
    pub(crate) fn wallets_on(&self) -> Wallets {
        Wallets {
            apple: self.config.wallets.apple.is_some(),
            google: self.config.wallets.google.is_some(),
        }
    }

    /// The seller's name: that of the sender of mail, else the host of the shop.
    fn seller(&self) -> String {
        let named = self.config.mail.from.0.name.clone();
        named
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(|| {
                let url = Url::parse(&self.config.public_url).ok();
                let host = url.as_ref().and_then(Url::host_str).unwrap_or("Tickets");
                host.to_owned()
            })
    }
}
