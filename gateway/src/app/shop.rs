//! The booking core inside the gateway: its start, and the adapters between the two.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use booking_core::config::{
    BookingConfig, PaymentConfig, Rate, RatePair, Rates, SEATS_IN_MEMORY_MAX, TicketKeys,
};
use booking_core::database::Pools;
use booking_core::{
    Booking, BookingDeps, EventSink, FraudSettings, InvoiceConfig, RoomDirectory, StoreError,
    TicketFonts, TurnAsk, TurnAsked,
};
use contract::contact::TurnRequest;
use contract::invoice::Seller;
use contract::line::{Phase, PriceRange};
use contract::{Clock, PlaceId, Problem, ProblemCode, RoomId};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use line::StockSource;
use line::policy::status::StockFigures;
use line::records::Rooms;
use line::rooms::{Phases, RoomSet};
use sqlx::PgPool;
use tokio_util::task::TaskTracker;
use web::ApiResult;

use super::events;
use super::mail::{channels_config, mail_config};
use super::surroundings::Surroundings;
use super::tickets::{ticket_store, wallets};
use crate::config::{Config, FraudTexts, InvoiceTexts, ShopRatePair, ShopRates};
use crate::gate::InProcess;
use crate::http::turn_teller::TurnTeller;
use crate::kept_keys::{KeptKeysError, Known, kept_keys};
use crate::keys::Keys;
use crate::ops::ExtraRoutes;
use crate::start_up::until_database_answers;

/// What a gateway has of its installation's keys.
pub(super) struct InstallationKeys {
    /// What tickets are signed with.
    pub(super) tickets: TicketKeys,
    /// The id of the installation.
    pub(super) installation: String,
    /// The secret of place ids.
    pub(super) place: [u8; 32],
    /// The id of the key that signs passes.
    pub(super) signer: String,
}

/// The keys of the installation. Fails if the database belongs to one with other signing keys.
pub(super) async fn installation_keys(
    pool: &PgPool,
    known: &Known,
    config: &Config,
    keys: &Keys,
    surroundings: &Surroundings,
) -> Result<InstallationKeys> {
    let now = surroundings.clock.now();
    let randomness = &surroundings.randomness;
    let adopt = config.adopt_keys;
    let kept = until_database_answers(KeptKeysError::is_passing, async || {
        kept_keys(pool, known, &keys.signing, randomness, adopt, now).await
    })
    .await?;
    let secrets = kept.secrets;
    let installation = secrets.installation()?;
    let mut tickets = TicketKeys::new(secrets.id, secrets.seed);
    for (id, public) in &secrets.earlier {
        tickets = tickets
            .with_earlier(*id, public)
            .with_context(|| format!("ticket key {id} in the database is damaged"))?;
    }
    Ok(InstallationKeys {
        tickets,
        installation,
        place: kept.place,
        signer: kept.signer,
    })
}

/// The booking core's configuration, from the gateway's settings.
pub(super) fn booking_config(
    ticket_keys: TicketKeys,
    public_url: &str,
    payments: Vec<PaymentConfig>,
    config: &Config,
) -> Result<BookingConfig> {
    let mail = mail_config(config, public_url);
    let wallets = wallets(config).map_err(|problems| anyhow!(problems.join("; ")))?;
    Ok(BookingConfig {
        public_url: public_url.to_owned(),
        payments,
        webhooks: events::webhooks(config).map_err(|problem| anyhow!(problem))?,
        mail: mail.map_err(|problems| anyhow!(problems.join("; ")))?,
        channels: channels_config(config).map_err(|problem| anyhow!(problem))?,
        seats_in_memory_max: SEATS_IN_MEMORY_MAX,
        ticket_keys,
        rates: booking_rates(&config.shop_rates),
        ticket_fonts: ticket_fonts(&config.ticket_fonts)?,
        wallets,
        ticket_store: ticket_store(config).map_err(|problem| anyhow!(problem))?,
        fraud: fraud_settings(&config.fraud)?,
        invoices: config.invoices.as_ref().map(invoice_config),
        events_loose_for: config.events_archive_after,
    })
}

/// Who makes invoices as the booking core's type.
fn invoice_config(texts: &InvoiceTexts) -> InvoiceConfig {
    InvoiceConfig {
        seller: Seller {
            name: texts.seller.clone(),
            address: texts.address.clone(),
            tax_number: texts.tax_number.clone(),
        },
        prefix: texts.prefix.clone(),
    }
}

/// The settings against fraud as the booking core's type.
fn fraud_settings(texts: &FraudTexts) -> Result<FraudSettings> {
    let mut settings = FraudSettings {
        enabled: texts.enabled,
        home_countries: texts.home_countries.clone(),
        approve_after: texts
            .approve_hours
            .map(|hours| Duration::from_secs(hours.saturating_mul(3600))),
        ..FraudSettings::default()
    };
    settings
        .set_points(&texts.points)
        .context("ROPELINE_FRAUD_POINTS")?;
    settings
        .set_limits(&texts.limits)
        .context("ROPELINE_FRAUD_LIMITS")?;
    settings
        .set_high_value(&texts.high_value)
        .context("ROPELINE_FRAUD_HIGH_VALUE")?;
    Ok(settings)
}

/// The fonts inside the program and those of `files`.
fn ticket_fonts(files: &[PathBuf]) -> Result<TicketFonts> {
    let mut read = Vec::new();
    for file in files {
        let what = || format!("ROPELINE_TICKET_FONTS: {}", file.display());
        let font = std::fs::read(file).with_context(what)?;
        // One by one, so that the message names the file.
        TicketFonts::with([font.clone()]).with_context(what)?;
        read.push(font);
    }
    TicketFonts::with(read).context("the fonts of tickets cannot be used together")
}

/// Starts the booking core on `database_url`.
pub(super) async fn start_booking(
    booking: BookingConfig,
    surroundings: &Surroundings,
    database_url: &str,
    rooms: Arc<BookingRooms>,
    sinks: Vec<Arc<dyn EventSink>>,
    tasks: &TaskTracker,
) -> Result<Booking> {
    let deps = BookingDeps {
        pools: Pools::lazy(database_url)?,
        clock: surroundings.clock.clone(),
        seed: surroundings.randomness.bytes(),
        tracker: tasks.clone(),
        shutdown: surroundings.stop.clone(),
        rooms,
        sinks,
        background: true,
    };
    Booking::start(booking, deps)
        .await
        .context("could not start the booking core")
}

/// The rate settings as the booking core's type.
fn booking_rates(rates: &ShopRates) -> Rates {
    let rate = |rate: crate::edge::rate_limit::Rate| Rate {
        per_second: rate.per_second,
        burst: rate.burst,
    };
    let pair = |pair: ShopRatePair| RatePair {
        address: rate(pair.address),
        customer: rate(pair.customer),
    };
    Rates {
        browse: pair(rates.browse),
        hold: pair(rates.hold),
        pay: pair(rates.pay),
        confirm: pair(rates.confirm),
        scan: Rates::default().scan,
        mails: pair(rates.mails),
    }
}

/// The booking core as the upstream in this process.
pub(super) fn in_process(booking: &Booking) -> InProcess {
    InProcess {
        router: booking.router(),
        at_hand: Some(booking.at_hand()),
    }
}

/// The operators' routes for shows.
pub(super) fn shop_routes(booking: &Booking) -> ExtraRoutes {
    let (router, described) = booking.admin();
    ExtraRoutes { router, described }
}

/// The embedded booking core as the source of stock figures.
pub(super) struct BookingStock(pub(super) Booking);

impl StockSource for BookingStock {
    fn stock(&self, room: &RoomId) -> Option<StockFigures> {
        let stock = self.0.stock(room)?;
        let currency = stock.currency;
        Some(StockFigures {
            remaining: stock.remaining,
            unsold: stock.unsold,
            total: stock.total,
            price_range: stock.prices.map(|(min_minor, max_minor)| PriceRange {
                min_minor,
                max_minor,
                currency,
            }),
        })
    }
}

/// The booking core as what tells fans of their calls.
pub(super) struct BookingTurns(pub(super) Booking);

impl TurnTeller for BookingTurns {
    fn ask<'a>(
        &'a self,
        room: RoomId,
        place: PlaceId,
        wanted: TurnRequest,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(async move {
            let ask = TurnAsk {
                room,
                place,
                wanted,
            };
            match self.0.turn_ask(ask, headers).await? {
                TurnAsked::Stored => Ok(()),
                TurnAsked::Busy => Err(ProblemCode::BookingBusy.into()),
                TurnAsked::Invalid(field, what) => Err(Problem::new(ProblemCode::ValidationFailed)
                    .detail(format!("{field}: {what}"))
                    .with("field", field)
                    .into()),
            }
        })
    }

    fn push_key(&self) -> String {
        self.0.push_key()
    }
}

/// The rooms as the booking core uses them: their stored records, and the running rooms once set.
pub(super) struct BookingRooms {
    records: Rooms,
    at_work: OnceLock<Phases>,
}

impl BookingRooms {
    pub(super) fn new(records: Rooms) -> Arc<Self> {
        Arc::new(Self {
            records,
            at_work: OnceLock::new(),
        })
    }

    /// Sets the running rooms. Only the first call has an effect.
    pub(super) fn work_in(&self, rooms: &RoomSet) {
        let _once = self.at_work.set(rooms.phases());
    }
}

impl RoomDirectory for BookingRooms {
    fn knows<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            match self.records.room_get(room).await {
                Ok(found) => Ok(found.is_some()),
                Err(cause) => {
                    tracing::warn!(%cause, %room, "a show's room could not be looked up");
                    Err(StoreError::Timeout)
                }
            }
        })
    }

    fn phase(&self, room: &RoomId) -> Option<Phase> {
        self.at_work.get()?.of(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rates_are_the_booking_cores() {
        assert_eq!(booking_rates(&ShopRates::default()), Rates::default());
    }
}
