//! Taking a certificate into use again when its files change.
//!
//! The files are looked at often and read only when they differ. Whoever replaces the two replaces
//! them one after the other, so between the two they do not belong together: the pair in force
//! stays until they do, and a pair that is still bad at the next look is told.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::certificate::{Certified, PairFiles};
use super::telemetry;
use super::tls::Shown;

/// How often the files are looked at.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// A certificate from files, of the listener with this name.
#[derive(Debug)]
pub struct Reread {
    files: PairFiles,
    shown: Shown,
    listener: &'static str,
    /// The files as they were at the last attempt.
    tried: Option<Marks>,
    /// Whether that attempt failed and nobody was told.
    has_failed: bool,
    /// Whether there need not be a certificate yet.
    is_awaited: bool,
}

/// What changes about two files when they are replaced or rewritten.
type Marks = [Option<Mark>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Reread {
    /// Shows the certificate of `files` at `shown`, as soon as it is looked at.
    pub fn new(files: PairFiles, shown: Shown, listener: &'static str) -> Self {
        Self {
            files,
            shown,
            listener,
            tried: None,
            has_failed: false,
            is_awaited: false,
        }
    }

    /// The same for files that need not exist yet.
    pub fn awaiting(files: PairFiles, shown: Shown, listener: &'static str) -> Self {
        Self {
            is_awaited: true,
            ..Self::new(files, shown, listener)
        }
    }

    /// Reads the files if they differ from those that were read last. Whether a certificate was
    /// taken into use.
    pub fn look_once(&mut self) -> bool {
        // Before they are read: a change in between is seen at the next look.
        let marks = [mark(&self.files.cert), mark(&self.files.key)];
        if self.is_awaited && marks == [None; 2] {
            return false;
        }
        self.is_awaited = false;
        if self.tried == Some(marks) {
            if self.has_failed {
                self.has_failed = false;
                self.tell_failure();
            }
            return false;
        }
        self.tried = Some(marks);
        match self.files.read() {
            Ok(certified) => {
                self.has_failed = false;
                show(&self.shown, certified, self.listener);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a certificate is not taken into use yet");
                self.has_failed = true;
                false
            }
        }
    }

    /// Looks again and again until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOKS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // A few kilobytes of a local file, and seldom.
            if self.look_once() {
                tracing::info!(listener = self.listener, "a certificate was taken into use");
            }
        }
    }

    fn tell_failure(&self) {
        let listener = self.listener;
        counter!(telemetry::TLS_CERTIFICATE_FAILURES_TOTAL, "listener" => listener).increment(1);
        if let Err(error) = self.files.read() {
            tracing::error!(
                listener,
                %error,
                "the changed certificate cannot be used; the one before stays in force"
            );
        }
    }
}

/// Shows a certificate, and tells when it expires.
pub fn show(shown: &Shown, certified: Certified, listener: &'static str) {
    gauge!(telemetry::TLS_CERTIFICATE_EXPIRY, "listener" => listener)
        .set(certified.expires_at.as_secs_f64());
    shown.show(certified.key);
}

fn mark(file: &Path) -> Option<Mark> {
    let found = std::fs::metadata(file).ok()?;
    Some(Mark {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
