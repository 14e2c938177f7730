//! The state that all operations share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use contract::{Clock, Timestamp};
use pages::letters::Letters;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use web::challenge::Challenge;
use web::encoding::RecentDocuments;

use crate::channels::Outages;
use crate::channels::push::PushSender;
use crate::channels::sms::SmsSender;
use crate::config::BookingConfig;
use crate::confirm_queue::ConfirmQueue;
use crate::database::{Pools, Turns, Work};
use crate::events::sink::Sink;
use crate::events::webhooks::busy::Busy;
use crate::events::webhooks::client::WebhookClient;
use crate::expiry::ExpiryTimes;
use crate::fraud::behaviour::Behaviour;
use crate::fraud::hashes::HashKey;
use crate::gather::Gather;
use crate::known_tokens::KnownTokens;
use crate::limits::Limits;
use crate::links::LinkKeys;
use crate::live::Catalogue;
use crate::mail::Mailer;
use crate::payments::gathered::GatheredConfirms;
use crate::payments::gathered_starts::GatheredStarts;
use crate::payments::questions::Questions;
use crate::payments::registry::Providers;
use crate::payments::resolution::Answer;
use crate::randomness::Randomness;
use crate::rooms::RoomDirectory;
use crate::set_aside::SetAside;
use crate::shop::show_pages::ShowPages;
use crate::store::inbox::NewEvent;
use crate::store::notices::Backlog;
use crate::store::reviews::ReviewBacklog;
use crate::ticket_files::Press;
use crate::ticket_store::objects::TicketStore;
use crate::tickets::TicketSigner;
use crate::vetting::gathered::GatheredVetting;

/// The state of the booking core.
pub(crate) struct Core {
    pub(crate) config: BookingConfig,
    pub(crate) pools: Pools,
    /// Connections for settling payments, granted in order of request.
    pub(crate) settling: Turns,
    /// What confirmations read and write together.
    pub(crate) gathered: GatheredConfirms,
    /// What starts of payments write together.
    pub(crate) starts: GatheredStarts,
    /// What is read and kept of many customers together against fraud.
    pub(crate) vetted: GatheredVetting,
    /// Limits concurrent confirmations.
    pub(crate) confirms: ConfirmQueue,
    pub(crate) clock: Arc<dyn Clock>,
    /// Start of this process's background work.
    pub(crate) working_since: Timestamp,
    pub(crate) randomness: Randomness,
    /// The payment providers.
    pub(crate) providers: Providers,
    pub(crate) rooms: Arc<dyn RoomDirectory>,
    pub(crate) catalogue: Catalogue,
    pub(crate) tickets: TicketSigner,
    /// Keys of links to bookings and of one-time codes.
    pub(crate) links: LinkKeys,
    /// One permit for each search for a booking that a stranger asked for.
    pub(crate) finds: Arc<Semaphore>,
    /// Sends mail.
    pub(crate) mailer: Mailer,
    /// Sends text messages.
    pub(crate) sms: Option<SmsSender>,
    /// Sends push messages.
    pub(crate) push: PushSender,
    /// Channels whose servers are not available.
    pub(crate) outages: Outages,
    /// What letters say.
    pub(crate) letters: Letters,
    /// Fans who wanted to be told of their call at the last count.
    pub(crate) turn_requests: AtomicU64,
    /// One permit for each request to be told that is being stored.
    pub(crate) turn_asks: Semaphore,
    /// How much mail waited at the last look.
    pub(crate) mail_backlog: ArcSwap<Backlog>,
    /// Where all events go.
    pub(crate) sinks: Vec<Sink>,
    /// The id of this process, for leases.
    pub(crate) process_id: Uuid,
    /// Calls receivers of events.
    pub(crate) webhooks: WebhookClient,
    /// Whom this process delivers events to at the moment.
    pub(crate) delivering: Busy,
    pub(crate) work: Work,
    pub(crate) shutdown: CancellationToken,
    /// Stores webhooks of payment providers.
    pub(crate) gathered_webhooks: Gather<NewEvent, bool>,
    /// Notified when a webhook is stored, so that the inbox worker runs at once.
    pub(crate) inbox_filled: Arc<Notify>,
    /// Notified when events are in the log, so that those who take them run at once.
    pub(crate) events_told: Arc<Notify>,
    /// Notified when holds end that may have an open payment, so that the payment worker runs at
    /// once.
    pub(crate) payments_due: Arc<Notify>,
    /// The end times of holds that this process made.
    pub(crate) expiry: Arc<ExpiryTimes>,
    /// Holds that the sweeper skips for a while.
    pub(crate) set_aside: SetAside,
    /// Shares questions to the provider about one payment.
    pub(crate) questions: Questions<Answer>,
    /// Rate limits.
    pub(crate) limits: Limits,
    /// How customers hold seats.
    pub(crate) behaviour: Behaviour,
    /// The key of hashes of customers and cards.
    pub(crate) hashes: HashKey,
    /// What suspicious customers have to solve.
    pub(crate) challenge: Arc<dyn Challenge>,
    /// How many reviews waited at the last look.
    pub(crate) review_backlog: ArcSwap<ReviewBacklog>,
    /// Tokens of scanners, for the rate limits.
    pub(crate) known_tokens: KnownTokens,
    /// One permit for each map that is being rendered or compressed.
    pub(crate) rendering: Semaphore,
    /// Renders tickets as PDF.
    pub(crate) press: Press,
    /// Keeps them.
    pub(crate) ticket_store: Option<TicketStore>,
    /// Catalogue documents and pages that are the same for everyone, compressed once.
    pub(crate) documents: RecentDocuments,
    /// The pages of shows.
    pub(crate) show_pages: ShowPages,
    /// One permit for each page that reads what its reader holds.
    pub(crate) banner_looks: Semaphore,
    /// One permit for each live seat map.
    pub(crate) streams: Arc<Semaphore>,
}

impl Core {
    /// Whether browsers reach the shop over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.config.public_url.starts_with("https://")
    }
}
