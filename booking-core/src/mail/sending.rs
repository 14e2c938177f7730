//! The work on notices: from the outbox to the mail server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::compose::Stamp;
use super::letters::Content;
use super::smtp::ATTEMPT_MAX;
use crate::config::{MAIL_AT_ONCE, NOTICE_BATCH_MAX, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::notice::{Next, NoticeStatus, SendError, next};
use crate::store::notices::{self, Backlog, ClaimedNotice};
use crate::telemetry;

/// Attempts at claimed notices begin within this span; what is left is given back.
const BEGIN_WITHIN: Duration = Duration::from_secs(40);
/// How long a process may try a notice before others take it: an attempt that begins last ends
/// before, with some time to record it.
const LEASE: Duration = Duration::from_secs(BEGIN_WITHIN.as_secs() + ATTEMPT_MAX.as_secs() + 20);
/// Pause before a notice is looked at again whose content is not so at the moment.
const NOT_YET_PAUSE: Duration = Duration::from_mins(10);
/// Pause before a notice is tried again after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// Attempts to record that a notice was sent, a second apart. Nothing shortens the wait for the
/// database more, and every attempt less is a mail that may be doubled.
const RECORD_TRIES_MAX: u32 = 60;
/// Longest failure that is stored, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// What became of one notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The mail server took it.
    Sent,
    /// It ended otherwise, or was put off.
    Other,
    /// The mail server was not available.
    ServerDown,
    /// The database was not available.
    DatabaseDown,
}

/// What became of the notices of a round.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicUsize,
    other: AtomicUsize,
    server_down: AtomicUsize,
}

impl Tally {
    fn add(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Sent => &self.sent,
            Outcome::Other => &self.other,
            Outcome::ServerDown => &self.server_down,
            Outcome::DatabaseDown => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Core {
    /// Makes notices of events in the outbox. Returns how many events were done.
    pub(crate) async fn collect_notices_once(&self) -> Result<usize, StoreError> {
        let domain = self.mailer.domain();
        notices::collect(&self.pools.jobs, self.clock.now(), domain, NOTICE_BATCH_MAX).await
    }

    /// Tries notices that are due. Returns how many were sent or given up: there may be more.
    pub(crate) async fn mail_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        if self.mailer.is_paused(now) {
            return Ok(0);
        }
        // Taken before the lease begins, by a clock that nobody sets.
        let begin_until = Instant::now() + BEGIN_WITHIN;
        let pool = &self.pools.jobs;
        let due = notices::claim_due(pool, now, now.plus(LEASE), WORK_BATCH_MAX).await?;
        let tally = Tally::default();
        stream::iter(due)
            .for_each_concurrent(MAIL_AT_ONCE, async |notice| {
                tally.add(self.mail_one(&notice, begin_until).await);
            })
            .await;
        let (sent, other) = (tally.sent.into_inner(), tally.other.into_inner());
        if sent > 0 {
            if self.mailer.resume() {
                tracing::info!("the mail server is available again");
            }
        } else if tally.server_down.into_inner() > 0 && self.mailer.pause(self.spread(), now) {
            tracing::warn!("the mail server is not available; mail waits");
        }
        Ok(sent + other)
    }

    /// Tries one notice. A failure of the database leaves it to the end of its lease.
    async fn mail_one(&self, notice: &ClaimedNotice, begin_until: Instant) -> Outcome {
        match self.mail_try(notice, begin_until).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let passes = error.is_transient();
                let (error, notice) = (&error as &dyn std::error::Error, notice.notice_id);
                if passes {
                    tracing::warn!(error, %notice, "notice not worked on yet");
                } else {
                    tracing::error!(error, %notice, "notice not worked on");
                }
                Outcome::DatabaseDown
            }
        }
    }

    async fn mail_try(
        &self,
        notice: &ClaimedNotice,
        begin_until: Instant,
    ) -> Result<Outcome, StoreError> {
        let letter = match self.letter_of(notice).await {
            Ok(Content::Letter(letter)) => letter,
            Ok(Content::Moot(why)) => {
                let pool = &self.pools.jobs;
                notices::end(pool, notice, NoticeStatus::Moot, why).await?;
                return Ok(Outcome::Other);
            }
            Ok(Content::NotYet(why)) => {
                self.put_off(notice, NOT_YET_PAUSE, why).await?;
                return Ok(Outcome::Other);
            }
            // It may be mended, and until then it is in nobody's way.
            Err(error) if error.is_of_the_data() => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    notice = %notice.notice_id,
                    "a notice cannot be composed"
                );
                let error = SendError::PutOff(error.to_string());
                return self.not_sent(notice, &error).await;
            }
            Err(error) => {
                // Best effort: else it waits until its lease ends.
                let why = error.to_string();
                let _later = self.give_back(notice, DATABASE_PAUSE, &why).await;
                return Err(error);
            }
        };
        if self.shutdown.is_cancelled() || Instant::now() > begin_until {
            self.give_back(notice, Duration::ZERO, "not tried in time")
                .await?;
            return Ok(Outcome::Other);
        }
        let stamp = Stamp {
            notice_id: notice.notice_id,
            message_id: &notice.message_id,
            at: notice.created_at,
        };
        match self.mailer.send(&letter, stamp).await {
            Ok(()) => {
                self.record_sent(notice).await?;
                let kind = notice.kind.label();
                metrics::counter!(telemetry::MAIL_SENT, "kind" => kind).increment(1);
                Ok(Outcome::Sent)
            }
            Err(error) => self.not_sent(notice, &error).await,
        }
    }

    /// Records that the mail server took a notice. Until then another process would send it again
    /// at the end of the lease, so a database that is away is asked for as long as it helps.
    async fn record_sent(&self, notice: &ClaimedNotice) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            let now = self.clock.now();
            match notices::sent(&self.pools.jobs, notice.notice_id, now).await {
                Err(error) if error.is_transient() && tries < RECORD_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                recorded => return recorded,
            }
        }
    }

    async fn not_sent(
        &self,
        notice: &ClaimedNotice,
        error: &SendError,
    ) -> Result<Outcome, StoreError> {
        let reason = error.label();
        metrics::counter!(telemetry::MAIL_ATTEMPTS_FAILED, "reason" => reason).increment(1);
        let why = error.to_string();
        let outage = self.mailer.outage_pause();
        let (now, spread) = (self.clock.now(), self.spread());
        let attempts = notice.attempt_count;
        match next(
            notice.kind,
            notice.due_since,
            attempts,
            error,
            outage,
            spread,
            now,
        ) {
            Next::GiveUp => {
                let why = super::compose::one_line(&why, ERROR_CHARS_MAX);
                notices::end(&self.pools.jobs, notice, NoticeStatus::Failed, &why).await?;
                // The server's words may hold the address, so the log does not.
                tracing::warn!(
                    notice = %notice.notice_id, reason,
                    "a notice was given up: `ropeline mail list` shows it"
                );
                let kind = notice.kind.label();
                metrics::counter!(telemetry::MAIL_GIVEN_UP, "kind" => kind).increment(1);
            }
            Next::Again(pause) if matches!(error, SendError::Unavailable(_)) => {
                self.give_back(notice, pause, &why).await?;
            }
            Next::Again(pause) => self.put_off(notice, pause, &why).await?,
        }
        Ok(match error {
            SendError::Unavailable(_) => Outcome::ServerDown,
            SendError::PutOff(_) | SendError::Refused(_) => Outcome::Other,
        })
    }

    /// Puts a notice off after an attempt that counts.
    async fn put_off(
        &self,
        notice: &ClaimedNotice,
        pause: Duration,
        why: &str,
    ) -> Result<(), StoreError> {
        self.due_again(notice, pause, true, why).await
    }

    /// Puts a notice off after an attempt that does not count: the message was not judged.
    async fn give_back(
        &self,
        notice: &ClaimedNotice,
        pause: Duration,
        why: &str,
    ) -> Result<(), StoreError> {
        self.due_again(notice, pause, false, why).await
    }

    async fn due_again(
        &self,
        notice: &ClaimedNotice,
        pause: Duration,
        counts: bool,
        why: &str,
    ) -> Result<(), StoreError> {
        let why = super::compose::one_line(why, ERROR_CHARS_MAX);
        let at = self.clock.now().plus(pause);
        notices::put_off(&self.pools.jobs, notice, at, counts, &why).await
    }

    fn spread(&self) -> u8 {
        self.randomness.bytes::<1>()[0]
    }

    /// Looks how much mail waits, for metrics and readiness.
    pub(crate) async fn mail_backlog_once(&self) -> Result<usize, StoreError> {
        let backlog = notices::backlog(&self.pools.jobs).await?;
        let waited = self.waited(&backlog).unwrap_or_default();
        metrics::gauge!(telemetry::MAIL_DUE).set(count(backlog.due_count));
        metrics::gauge!(telemetry::MAIL_FAILED).set(count(backlog.failed_count));
        metrics::gauge!(telemetry::MAIL_OLDEST_DUE).set(waited.as_secs_f64());
        self.mail_backlog.store(std::sync::Arc::new(backlog));
        Ok(0)
    }

    /// How long the oldest notice has been due.
    pub(crate) fn waited(&self, backlog: &Backlog) -> Option<Duration> {
        Some(self.clock.now().since(backlog.oldest_due_since?))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}
