//! What all operations share.

use std::sync::Arc;

use contract::{Clock, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::BookingConfig;
use crate::confirm_queue::ConfirmQueue;
use crate::database::{Pools, Turns, Work};
use crate::expiry::ExpiryTimes;
use crate::limits::Limits;
use crate::live::Catalogue;
use crate::payments::provider::PaymentProvider;
use crate::payments::questions::Questions;
use crate::payments::resolution::Answer;
use crate::randomness::Randomness;
use crate::rooms::RoomDirectory;
use crate::set_aside::SetAside;
use crate::tickets::TicketSigner;

/// State and effects of the booking core.
pub(crate) struct Core {
    pub(crate) config: BookingConfig,
    pub(crate) pools: Pools,
    /// Connections for settling payments, in order.
    pub(crate) settling: Turns,
    /// Who may confirm now.
    pub(crate) confirms: ConfirmQueue,
    pub(crate) clock: Arc<dyn Clock>,
    /// When this process began its background work.
    pub(crate) working_since: Timestamp,
    pub(crate) randomness: Randomness,
    pub(crate) provider: Arc<dyn PaymentProvider>,
    pub(crate) rooms: Arc<dyn RoomDirectory>,
    pub(crate) catalogue: Catalogue,
    pub(crate) tickets: TicketSigner,
    pub(crate) work: Work,
    pub(crate) shutdown: CancellationToken,
    /// Told when a webhook was stored, so that it need not wait for the next look.
    pub(crate) inbox_filled: Arc<Notify>,
    /// Told when holds end that payments may be open for, so that these need not wait either.
    pub(crate) payments_due: Arc<Notify>,
    /// When the holds made by this process end.
    pub(crate) expiry: Arc<ExpiryTimes>,
    /// Holds that the sweeper leaves alone for a while.
    pub(crate) set_aside: SetAside,
    /// Who asks about which payment.
    pub(crate) questions: Questions<Answer>,
    /// How often customers may call.
    pub(crate) limits: Limits,
    /// One permit for each map that is being rendered or compressed.
    pub(crate) rendering: Semaphore,
    /// One permit for each page that looks what its reader holds.
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
