//! The way that mail takes: a mail server, or files.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::Timestamp;

use super::compose::{Letter, Stamp, compose};
use super::files::{MailFile, MailFiles};
use super::settings::{Delivery, MailConfig, Sender};
use super::smtp::Smtp;
use crate::notice::{SendError, spread_out};

/// First pause after the mail server was not available; each further one is twice as long.
const OUTAGE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause, and so the longest that mail waits once the server is back.
const OUTAGE_MAX: Duration = Duration::from_mins(1);

/// Sends mail.
pub(crate) struct Mailer {
    from: Sender,
    route: Route,
    outage: Mutex<Outage>,
}

enum Route {
    Smtp(Smtp),
    Files(MailFiles),
}

/// What this process knows of an outage of the mail server.
#[derive(Clone, Copy, Debug, Default)]
struct Outage {
    /// Rounds of attempts in a row in which the server was not available.
    rounds: u32,
    until: Option<Timestamp>,
}

impl Outage {
    fn pause(self) -> Duration {
        OUTAGE_MAX.min(OUTAGE_FIRST * 2_u32.pow(self.rounds.min(16)))
    }
}

impl Mailer {
    pub(crate) fn new(config: MailConfig) -> Self {
        Self {
            from: config.from,
            route: match config.delivery {
                Delivery::Smtp(server) => Route::Smtp(Smtp::new(server)),
                Delivery::Files(directory) => Route::Files(MailFiles::new(directory)),
            },
            outage: Mutex::default(),
        }
    }

    /// The domain of Message-IDs.
    pub(super) fn domain(&self) -> &str {
        self.from.domain()
    }

    /// Sends one message.
    pub(super) async fn send(&self, letter: &Letter, stamp: Stamp<'_>) -> Result<(), SendError> {
        let message = compose(&self.from, letter, stamp).map_err(SendError::Refused)?;
        match &self.route {
            Route::Smtp(smtp) => smtp.send(&message).await,
            Route::Files(files) => {
                let (files, notice_id, at) = (files.clone(), stamp.notice_id, stamp.at);
                let write = move || files.write(notice_id, at, &message.bytes);
                let written = tokio::task::spawn_blocking(write).await;
                let told =
                    |error: &dyn std::fmt::Display| SendError::Unavailable(error.to_string());
                written
                    .map_err(|error| told(&error))?
                    .map_err(|error| told(&error))
            }
        }
    }

    /// Messages in files, newest first; none with a mail server.
    pub(crate) async fn files(&self) -> std::io::Result<Vec<MailFile>> {
        let Route::Files(files) = &self.route else {
            return Ok(Vec::new());
        };
        let files = files.clone();
        tokio::task::spawn_blocking(move || files.list()).await?
    }

    /// One message in a file.
    pub(crate) async fn file(&self, name: &str) -> std::io::Result<Option<MailFile>> {
        let Route::Files(files) = &self.route else {
            return Ok(None);
        };
        let (files, name) = (files.clone(), name.to_owned());
        tokio::task::spawn_blocking(move || files.read(&name)).await?
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is left alone for now.
    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        self.outage().until.is_some_and(|until| now < until)
    }

    /// The pause that follows when the server is not available now.
    pub(super) fn outage_pause(&self) -> Duration {
        self.outage().pause()
    }

    /// Leaves the server alone for a while. True when the outage has just begun.
    pub(super) fn pause(&self, spread: u8, now: Timestamp) -> bool {
        let mut outage = self.outage();
        outage.until = Some(now.plus(spread_out(outage.pause(), spread)));
        outage.rounds = outage.rounds.saturating_add(1);
        outage.rounds == 1
    }

    /// The server is available. True when it was not before.
    pub(super) fn resume(&self) -> bool {
        std::mem::take(&mut *self.outage()).rounds > 0
    }
}
