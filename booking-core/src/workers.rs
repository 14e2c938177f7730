//! Background work: expiring, sweeping, polling, the inbox, refunds, mail, refreshing memory.
//!
//! Each kind has a `*_once` that does what is due, and a loop around it. Any number of processes
//! may run all of them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Notify;

use crate::config::{
    ARCHIVE_EVERY, CHANGES_KEEP, CONTACT_KEEP, DELIVER_EVERY, DELIVERY_KEEP, EVENT_KEEP,
    GUEST_MAIL_KEEP, IDEMPOTENCY_KEEP, IDEMPOTENCY_TAKEOVER_AFTER, INBOX_HEAD_START, INBOX_PAUSE,
    MAIL_BACKLOG_EVERY, NOTICE_KEEP, OUTBOX_KEEP, RATES_FORGET_EVERY, REFRESH_EVERY,
    REMINDER_EVERY, REVIEW_KEEP, REVIEWS_EVERY, RISK_KEEP, SALES_EVERY, SEQUENCE_EVERY,
    SHOW_CANCEL_EVERY, START_RETRY_AFTER, SWEEP_BATCH_MAX, SWEEP_EVERY, TICKET_PDF_SHOWS_EVERY,
    TURN_COUNT_EVERY, TURN_KEEP, TURN_KEEP_CALLED, WORK_AT_ONCE, WORK_BATCH_MAX, WORK_EVERY,
};
use crate::core::Core;
use crate::database::StoreError;
use crate::failing::{Failing, Loudness};
use crate::store;

/// How long a worker's claim on a payment lasts.
const POLL_CLAIM: Duration = IDEMPOTENCY_TAKEOVER_AFTER;
/// Rows of each kind purged in one pass.
const PURGE_BATCH_MAX: i64 = 1000;
/// How often rows are purged.
const PURGE_EVERY: Duration = Duration::from_mins(5);
/// How often idempotency keys of dead owners are looked for.
const ABANDONED_KEYS_EVERY: Duration = Duration::from_mins(1);
/// How often a process checks whether a comparison with the provider's books is due.
const RECONCILE_LOOK_EVERY: Duration = Duration::from_mins(1);

impl Core {
    /// Expires holds if an expiry time of this process is due. Returns how many. The sweeper
    /// expires the rest.
    pub(crate) async fn expire_due_once(&self) -> Result<usize, StoreError> {
        if !self.expiry.take_due(self.clock.now()) {
            return Ok(0);
        }
        // The sweep skips holds with an open payment; the resolver ends them.
        self.payments_due.notify_one();
        let mut expired = 0;
        loop {
            let count = self.sweep_once().await?;
            expired += count;
            if i64::try_from(count).is_ok_and(|count| count < SWEEP_BATCH_MAX) {
                return Ok(expired);
            }
        }
    }

    /// Resolves payments that are due, and so ends holds past their end that have an open payment.
    /// Returns how many payments there were.
    pub(crate) async fn poll_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let until = now.plus(POLL_CLAIM);
        let pool = &self.pools.jobs;
        let due = store::payments::claim_due(pool, now, until, WORK_BATCH_MAX).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(WORK_AT_ONCE, async |payment_id| {
                if let Err(error) = self.resolve_payment(payment_id, None).await {
                    let passes = error.is_transient();
                    let error = &error as &dyn std::error::Error;
                    if passes {
                        tracing::warn!(error, payment = %payment_id, "payment not resolved yet");
                    } else {
                        tracing::error!(error, payment = %payment_id, "payment not resolved");
                    }
                }
            })
            .await;
        Ok(count)
    }

    /// Refreshes memory from the database.
    pub(crate) async fn refresh_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        self.catalogue.refresh_once(now).await?;
        Ok(0)
    }

    /// Fills memory from the database at the start, and tries again while the database is away or
    /// slow. The caller limits the time.
    pub(crate) async fn first_refresh(&self) -> Result<(), StoreError> {
        loop {
            match self.refresh_once().await {
                Err(error) if error.is_transient() && !self.shutdown.is_cancelled() => {
                    tracing::warn!(%error, "the catalogue could not be read, trying again");
                    tokio::time::sleep(START_RETRY_AFTER).await;
                }
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Removes rows that are no longer needed: stored responses, processed webhooks, old outbox
    /// rows and notices. Returns how many; there may be more.
    pub(crate) async fn purge_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let limit = PURGE_BATCH_MAX;
        let purged = store::idempotency::purge(pool, now.minus(IDEMPOTENCY_KEEP), limit).await?
            + store::inbox::purge(pool, now.minus(EVENT_KEEP), limit).await?
            + store::outbox::purge(pool, now.minus(OUTBOX_KEEP), limit).await?
            + store::deliveries::purge(pool, now.minus(DELIVERY_KEEP), limit).await?
            + store::notices::purge(pool, now.minus(NOTICE_KEEP), limit).await?
            + store::app_sessions::purge(pool, now, limit).await?
            + store::contacts::purge(pool, now.minus(CONTACT_KEEP), limit).await?
            + store::turns::purge(
                pool,
                now.minus(TURN_KEEP_CALLED),
                now.minus(TURN_KEEP),
                limit,
            )
            .await?
            + store::guest_mails::purge(pool, now.minus(GUEST_MAIL_KEEP), limit).await?
            + store::risk::purge(pool, now.minus(RISK_KEEP), now, limit).await?
            + store::reviews::purge(pool, now.minus(REVIEW_KEEP), limit).await?
            + store::catalogue::purge_changes(pool, CHANGES_KEEP, limit).await?;
        Ok(usize::try_from(purged).unwrap_or(usize::MAX))
    }
}

impl Core {
    /// Gives up idempotency keys whose owner died. Returns how many; there may be more.
    pub(crate) async fn abandoned_keys_once(&self) -> Result<usize, StoreError> {
        // Twice the takeover time, so that an owner that is only slow can still store its response.
        let before = self.clock.now().minus(IDEMPOTENCY_TAKEOVER_AFTER * 2);
        let pool = &self.pools.jobs;
        let count = store::idempotency::give_up_abandoned(pool, before, PURGE_BATCH_MAX).await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

/// Starts all workers. They end when the core's token is cancelled.
pub(crate) fn start(core: &Arc<Core>) {
    start_timer(core);
    let sweep = Rhythm::every(SWEEP_EVERY);
    spawn(core, "sweep", sweep, |core| async move {
        core.sweep_once().await
    });
    let poll = Rhythm::every(WORK_EVERY).or_when(&core.payments_due);
    spawn(
        core,
        "poll",
        poll,
        |core| async move { core.poll_once().await },
    );
    let inbox = Rhythm::every(WORK_EVERY).or_when(&core.inbox_filled);
    spawn(core, "inbox", inbox, |core| async move {
        let count = core.inbox_after(INBOX_HEAD_START).await?;
        if i64::try_from(count).is_ok_and(|count| count < WORK_BATCH_MAX) {
            tokio::time::sleep(INBOX_PAUSE).await;
        }
        Ok(count)
    });
    let refund = Rhythm::every(WORK_EVERY);
    spawn(core, "refund", refund, |core| async move {
        core.refund_once().await
    });
    start_mail(core);
    start_events(core);
    let shows = Rhythm::every(SHOW_CANCEL_EVERY);
    spawn(core, "cancelled-shows", shows, |core| async move {
        core.show_cancel_once().await
    });
    if core.ticket_store.is_some() {
        let keep = Rhythm::every(WORK_EVERY).or_when(&core.events_told);
        spawn(core, "ticket-pdfs", keep, |core| async move {
            core.ticket_pdfs_once().await
        });
        let shows = Rhythm::every(TICKET_PDF_SHOWS_EVERY);
        spawn(core, "ticket-pdf-shows", shows, |core| async move {
            core.ticket_pdf_shows_once().await
        });
    }
    let reviews = Rhythm::every(REVIEWS_EVERY);
    spawn(core, "reviews", reviews, |core| async move {
        core.reviews_once().await
    });
    let refresh = Rhythm::every(REFRESH_EVERY);
    spawn(core, "refresh", refresh, |core| async move {
        core.refresh_once().await
    });
    let forget = Rhythm::every(RATES_FORGET_EVERY);
    spawn(core, "limits", forget, |core| async move {
        core.limits.forget_idle();
        Ok(0)
    });
    let reconcile = Rhythm::every(RECONCILE_LOOK_EVERY);
    spawn(core, "reconcile", reconcile, |core| async move {
        // Without a show there are no payments, and the provider may not even run.
        if !store::catalogue::has_shows(&core.pools.jobs).await? {
            return Ok(0);
        }
        Box::pin(core.reconcile_once()).await
    });
    let abandoned = Rhythm::every(ABANDONED_KEYS_EVERY);
    spawn(core, "abandoned-keys", abandoned, |core| async move {
        core.abandoned_keys_once().await
    });
    let purge = Rhythm::every(PURGE_EVERY);
    spawn(core, "purge", purge, |core| async move {
        core.purge_once().await
    });
}

/// Collecting and sending are apart, so that a mail server that hangs does not keep events in the
/// outbox.
fn start_mail(core: &Arc<Core>) {
    let collect = Rhythm::every(WORK_EVERY);
    spawn(core, "notices", collect, |core| async move {
        core.collect_notices_once().await
    });
    let send = Rhythm::every(WORK_EVERY);
    spawn(
        core,
        "mail",
        send,
        |core| async move { core.mail_once().await },
    );
    let turns = Rhythm::every(WORK_EVERY);
    spawn(core, "turns", turns, |core| async move {
        core.turns_once().await
    });
    let counted = Rhythm::every(TURN_COUNT_EVERY);
    spawn(core, "turn-requests", counted, |core| async move {
        core.turn_count_once().await
    });
    let moves = Rhythm::every(SHOW_CANCEL_EVERY);
    spawn(core, "moved-shows", moves, |core| async move {
        core.show_move_once().await
    });
    let reminders = Rhythm::every(REMINDER_EVERY);
    spawn(core, "reminders", reminders, |core| async move {
        core.remind_once().await
    });
    let look = Rhythm::every(MAIL_BACKLOG_EVERY);
    spawn(core, "mail-backlog", look, |core| async move {
        core.mail_backlog_once().await
    });
}

/// The sequencer, and those who take events.
fn start_events(core: &Arc<Core>) {
    let sequence = Rhythm::every(SEQUENCE_EVERY);
    spawn(core, "events", sequence, |core| async move {
        core.sequence_once().await
    });
    if !core.sinks.is_empty() {
        let sink = Rhythm::every(DELIVER_EVERY).or_when(&core.events_told);
        spawn(
            core,
            "sinks",
            sink,
            |core| async move { core.sink_once().await },
        );
    }
    if core.config.events_loose_for.is_some() {
        let archive = Rhythm::every(ARCHIVE_EVERY);
        spawn(core, "event-archive", archive, |core| async move {
            core.archive_once().await
        });
    }
    let sales = Rhythm::every(SALES_EVERY).or_when(&core.events_told);
    spawn(core, "sales", sales, |core| async move {
        core.sales_once().await
    });
    if core.config.invoices.is_some() {
        let invoices = Rhythm::every(SALES_EVERY).or_when(&core.events_told);
        spawn(core, "invoices", invoices, |core| async move {
            core.invoices_once().await
        });
    }
    let deliver = Rhythm::every(DELIVER_EVERY).or_when(&core.events_told);
    spawn(core, "deliveries", deliver, |core| async move {
        core.deliver_start().await
    });
}

/// Expires the holds of this process on time.
fn start_timer(core: &Arc<Core>) {
    let task_core = Arc::clone(core);
    core.work.start(async move {
        let core = task_core;
        loop {
            tokio::select! {
                () = core.shutdown.cancelled() => break,
                () = core.expiry.due(&*core.clock) => {}
            }
            if let Err(error) = core.expire_due_once().await {
                // The sweeper fails in the same outage and logs it once.
                tracing::debug!(%error, "holds that are due are left to the sweeper");
            }
        }
    });
}

/// The schedule of a worker.
struct Rhythm {
    every: Duration,
    /// Notified when there is work before the next period ends.
    woken: Arc<Notify>,
}

impl Rhythm {
    fn every(every: Duration) -> Self {
        Self {
            every,
            woken: Arc::default(),
        }
    }

    fn or_when(mut self, woken: &Arc<Notify>) -> Self {
        self.woken = Arc::clone(woken);
        self
    }
}

fn tell(worker: &str, error: &StoreError, loudness: Loudness) {
    let error = error as &dyn std::error::Error;
    match loudness {
        Loudness::Debug => tracing::debug!(worker, error, "worker failed; it tries again"),
        Loudness::Warn => tracing::warn!(worker, error, "worker fails; it tries again"),
        Loudness::Error => tracing::error!(worker, error, "worker failed: a person has to look"),
    }
}

fn spawn<F, Fut>(core: &Arc<Core>, name: &'static str, rhythm: Rhythm, once: F)
where
    F: Fn(Arc<Core>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<usize, StoreError>> + Send,
{
    let task_core = Arc::clone(core);
    core.work.start(async move {
        let core = task_core;
        // Up to a quarter of the period, so that processes that start together do not run in step.
        let jitter = u32::from(core.randomness.bytes::<1>()[0]);
        let period = rhythm.every + rhythm.every / 4 * jitter / 255;
        let mut failing = Failing::default();
        while !core.shutdown.is_cancelled() {
            match once(Arc::clone(&core)).await {
                Ok(count) => {
                    if let Some(lasted) = failing.works(core.clock.now()) {
                        let seconds = lasted.as_secs();
                        tracing::info!(worker = name, seconds, "worker works again");
                    }
                    if count > 0 {
                        // A full batch: there may be more, so the next pass follows at once.
                        continue;
                    }
                }
                Err(error) => tell(name, &error, failing.fails(&error, core.clock.now())),
            }
            tokio::select! {
                () = core.shutdown.cancelled() => {}
                () = tokio::time::sleep(period) => {}
                () = rhythm.woken.notified() => {}
            }
        }
    });
}
