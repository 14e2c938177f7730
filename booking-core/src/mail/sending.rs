//! The work on notices: from the outbox to a channel that takes them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;
use uuid::Uuid;

use super::letters::Content;
use super::smtp::ATTEMPT_MAX;
use crate::channels::route::route;
use crate::channels::told::{Channel, Stamp, Told};
use crate::config::{MAIL_AT_ONCE, NOTICE_BATCH_MAX, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::notice::{ChannelKind, Next, NoticeStatus, SendError, next};
use crate::store::contacts;
use crate::store::notices::{self, Backlog, ClaimedNotice};
use crate::telemetry;

/// Attempts at claimed notices begin within this span; what is left is given back.
const BEGIN_WITHIN: Duration = Duration::from_secs(40);
/// How long a process may try a notice before others take it: an attempt that begins last ends
/// before, with some time to record it.
const LEASE: Duration = Duration::from_secs(BEGIN_WITHIN.as_secs() + ATTEMPT_MAX.as_secs() + 20);
/// Pause before a notice is looked at again whose content is not so at the moment.
const NOT_YET_PAUSE: Duration = Duration::from_mins(10);
/// Pause before a mail is tried again whose PDF had to wait for others for too long.
const PRINTS_PAUSE: Duration = Duration::from_secs(15);
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
    /// The channel took it.
    Sent(ChannelKind),
    /// It ended otherwise, or was put off.
    Other,
    /// The server of the channel was not available.
    ServerDown(ChannelKind),
    /// Its channel is left alone at the moment.
    LeftAlone,
    /// The database was not available.
    DatabaseDown,
}

/// Notices that one process tries together.
#[derive(Debug)]
struct Round {
    /// Until when attempts begin.
    begin_until: Instant,
    tally: Tally,
}

/// What became of the notices of a round.
#[derive(Debug, Default)]
struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: BTreeMap<ChannelKind, usize>,
    down: BTreeMap<ChannelKind, usize>,
    other: usize,
}

impl Tally {
    fn add(&self, outcome: Outcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Sent(channel) => *counts.sent.entry(channel).or_default() += 1,
            Outcome::ServerDown(channel) => *counts.down.entry(channel).or_default() += 1,
            Outcome::Other => counts.other += 1,
            Outcome::LeftAlone | Outcome::DatabaseDown => {}
        }
    }

    /// Whether `channel` was not available and took nothing in this round: then nothing more is
    /// made ready for it.
    fn is_down(&self, channel: ChannelKind) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.down.contains_key(&channel) && !counts.sent.contains_key(&channel)
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
        // While the mail server is away, only what may go another way is looked at.
        let mail_waits = self.outages.left_alone(ChannelKind::Email, now).is_some();
        // Taken before the lease begins, by a clock that nobody sets.
        let round = Round {
            begin_until: Instant::now() + BEGIN_WITHIN,
            tally: Tally::default(),
        };
        let pool = &self.pools.jobs;
        let until = now.plus(LEASE);
        let due = notices::claim_due(pool, now, until, mail_waits, WORK_BATCH_MAX).await?;
        stream::iter(due)
            .for_each_concurrent(MAIL_AT_ONCE, async |notice| {
                round.tally.add(self.mail_one(&notice, &round).await);
            })
            .await;
        let counts = round
            .tally
            .0
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for channel in counts.sent.keys() {
            if self.outages.resume(*channel) {
                tracing::info!("{} is available again", channel.name());
            }
        }
        for channel in counts.down.keys() {
            let is_down = !counts.sent.contains_key(channel);
            if is_down && self.outages.pause(*channel, self.spread(), now) {
                tracing::warn!("{} is not available; notices wait", channel.name());
            }
        }
        Ok(counts.sent.values().sum::<usize>() + counts.other)
    }

    /// The channels that are set up.
    fn channels(&self) -> Vec<&dyn Channel> {
        let mut channels: Vec<&dyn Channel> = vec![&self.mailer];
        channels.extend(self.sms.as_ref().map(|sms| sms as &dyn Channel));
        channels.push(&self.push);
        channels
    }

    /// Tries one notice. A failure of the database leaves it to the end of its lease.
    async fn mail_one(&self, notice: &ClaimedNotice, round: &Round) -> Outcome {
        match self.mail_try(notice, round).await {
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

    async fn mail_try(&self, notice: &ClaimedNotice, round: &Round) -> Result<Outcome, StoreError> {
        let told = match self.told_of(notice).await {
            Ok(Content::Told(told)) => told,
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
                return self
                    .not_sent(notice, ChannelKind::Email, false, &error)
                    .await;
            }
            Err(error) => {
                // Best effort: else it waits until its lease ends.
                let why = error.to_string();
                let _later = self.give_back(notice, DATABASE_PAUSE, &why).await;
                return Err(error);
            }
        };
        self.told_try(notice, *told, round).await
    }

    /// Hands a notice to the first channel of its route that has not failed.
    async fn told_try(
        &self,
        notice: &ClaimedNotice,
        mut told: Told,
        round: &Round,
    ) -> Result<Outcome, StoreError> {
        let channels = self.channels();
        let offered: Vec<ChannelKind> = channels.iter().map(|channel| channel.kind()).collect();
        let mut left = route(notice.kind, &told.to, &offered);
        left.retain(|channel| !notice.failed_channels.contains(channel));
        let kind = left.first();
        let channel = kind.and_then(|kind| channels.iter().find(|it| it.kind() == *kind));
        let Some(channel) = channel else {
            let why = notice.last_error.as_deref();
            let why = why.unwrap_or("nothing is known by which it could be told");
            notices::end(&self.pools.jobs, notice, NoticeStatus::Failed, why).await?;
            let kind = notice.kind.label();
            metrics::counter!(telemetry::MAIL_GIVEN_UP, "kind" => kind).increment(1);
            return Ok(Outcome::Other);
        };
        let (kind, has_other) = (channel.kind(), left.len() > 1);
        let now = self.clock.now();
        if self.outages.left_alone(kind, now).is_some() || round.tally.is_down(kind) {
            return self.left_alone(notice, kind, has_other).await;
        }
        if kind == ChannelKind::Email && self.enclose(&mut told).await.is_err() {
            let why = "other tickets are printed first";
            self.give_back(notice, PRINTS_PAUSE, why).await?;
            return Ok(Outcome::Other);
        }
        if self.shutdown.is_cancelled() || Instant::now() > round.begin_until {
            self.give_back(notice, Duration::ZERO, "not tried in time")
                .await?;
            return Ok(Outcome::Other);
        }
        let stamp = Stamp {
            notice_id: notice.notice_id,
            message_id: &notice.message_id,
            at: notice.created_at,
        };
        let attempt = channel.send(&told, stamp).await;
        let outcome = match attempt.outcome {
            Ok(receipt) => {
                self.record_sent(notice, kind, receipt.as_deref()).await?;
                // The receipt may hold the address, so the log does not.
                tracing::debug!(
                    notice = %notice.notice_id, channel = kind.label(),
                    "a notice was taken"
                );
                metrics::counter!(
                    telemetry::MAIL_SENT,
                    "kind" => notice.kind.label(), "channel" => kind.label()
                )
                .increment(1);
                Ok(Outcome::Sent(kind))
            }
            Err(error) => self.not_sent(notice, kind, has_other, &error).await,
        };
        self.forget(&attempt.gone).await;
        outcome
    }

    /// Forgets browsers that are gone. Those that stay are found gone again; the notice must not be
    /// told twice for it.
    async fn forget(&self, gone: &[Uuid]) {
        if gone.is_empty() {
            return;
        }
        metrics::counter!(telemetry::PUSH_GONE).increment(u64::try_from(gone.len()).unwrap_or(0));
        if let Err(error) = contacts::remove(&self.pools.jobs, gone).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "browsers that are gone were not forgotten yet");
        }
    }

    /// What becomes of a notice whose channel is left alone for now.
    async fn left_alone(
        &self,
        notice: &ClaimedNotice,
        channel: ChannelKind,
        has_other: bool,
    ) -> Result<Outcome, StoreError> {
        let error = SendError::Unavailable("it was not available lately".to_owned());
        self.not_sent(notice, channel, has_other, &error).await?;
        Ok(Outcome::LeftAlone)
    }

    /// Records that a channel took a notice. Until then another process would send it again at the
    /// end of the lease, so a database that is away is asked for as long as it helps.
    async fn record_sent(
        &self,
        notice: &ClaimedNotice,
        channel: ChannelKind,
        receipt: Option<&str>,
    ) -> Result<(), StoreError> {
        let receipt = receipt.map(|text| super::compose::one_line(text, ERROR_CHARS_MAX));
        let mut tries = 1;
        loop {
            let (pool, now) = (&self.pools.jobs, self.clock.now());
            let recorded =
                notices::sent(pool, notice.notice_id, channel, receipt.as_deref(), now).await;
            match recorded {
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
        channel: ChannelKind,
        has_other: bool,
        error: &SendError,
    ) -> Result<Outcome, StoreError> {
        let reason = error.label();
        metrics::counter!(
            telemetry::MAIL_ATTEMPTS_FAILED,
            "reason" => reason, "channel" => channel.label()
        )
        .increment(1);
        let why = format!("{}: {error}", channel.name());
        let outage = self.outages.pause_of(channel);
        let (now, spread) = (self.clock.now(), self.spread());
        let attempts = notice.attempt_count;
        match next(
            notice.kind,
            notice.due_since,
            attempts,
            error,
            outage,
            spread,
            has_other,
            now,
        ) {
            Next::MoveOn => {
                let why = super::compose::one_line(&why, ERROR_CHARS_MAX);
                notices::channel_failed(&self.pools.jobs, notice, channel, &why, now).await?;
                let channel = channel.label();
                metrics::counter!(telemetry::NOTICES_MOVED_ON, "channel" => channel).increment(1);
                return Ok(Outcome::Other);
            }
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
            SendError::Unavailable(_) => Outcome::ServerDown(channel),
            SendError::PutOff(_) | SendError::Unanswered(_) | SendError::Refused(_) => {
                Outcome::Other
            }
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
