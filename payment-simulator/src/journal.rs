//! The append-only journal: everything that was answered is on disk.
//!
//! One line is one change, written completely or not at all. A separate thread writes the lines
//! that have gathered since its last `fsync`, so that many changes share one (group commit). Lines
//! end in a newline; a last line without one was cut by a crash before it was answered, and is
//! removed. When the file has grown well beyond the present records, a snapshot replaces it by
//! rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

/// Bytes that may wait to be written. Beyond it the simulator answers 503.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A smaller journal is not replaced by a snapshot.
const COMPACT_BYTES_MIN: u64 = 32 * 1024 * 1024;

/// Growth since the last snapshot at which the next one is due. At two, snapshots write fewer bytes
/// than changes do.
const COMPACT_GROWTH: u64 = 2;

const JOURNAL_FILE: &str = "journal.jsonl";
const SNAPSHOT_FILE: &str = "journal.jsonl.new";
const LOCK_FILE: &str = "lock";

/// The number of a change in this process, from 1.
pub(crate) type Sequence = u64;

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    durable: watch::Receiver<Durable>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Locked while the journal is open, because two processes must not write one file.
    _lock: Claim,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Blocks writes while locked.
    #[cfg(test)]
    stall: Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Replaces the file before `lines` are appended.
    snapshot: Option<Vec<u8>>,
    lines: Vec<u8>,
    last: Sequence,
    /// Size of the file when everything that waits is written.
    file_bytes: u64,
    /// Size of the file right after the last snapshot.
    snapshot_bytes: u64,
    closed: bool,
}

/// The progress of the writer.
#[derive(Clone, Copy, Debug, Default)]
struct Durable {
    sequence: Sequence,
    failed: bool,
}

/// Writing failed, so nothing further can be made durable.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be written")]
pub(crate) struct JournalFailed;

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the data directory.
    #[error("{0} is in use by another payment simulator")]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("{path} cannot be used")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line other than the last cannot be parsed.
    #[error("line {line} of {path} cannot be read: {reason}")]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// Why it cannot be parsed.
        reason: String,
    },
}

impl Journal {
    /// Opens or creates the journal in `directory`, and passes every line of it to `replay`.
    pub(crate) fn open(
        directory: &Path,
        mut replay: impl FnMut(&str) -> Result<(), serde_json::Error>,
    ) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let lock = lock(directory)?;
        let path = directory.join(JOURNAL_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(failed(&path))?;
        let whole_bytes = read_lines(&path, &mut replay)?;
        if file.metadata().map_err(failed(&path))?.len() > whole_bytes {
            tracing::warn!(kept_bytes = whole_bytes, "journal.torn_line: cut off");
            file.set_len(whole_bytes).map_err(failed(&path))?;
            file.sync_all().map_err(failed(&path))?;
        }
        sync_directory(directory).map_err(failed(directory))?;
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting {
                file_bytes: whole_bytes,
                snapshot_bytes: whole_bytes,
                ..Waiting::default()
            }),
            wake: Condvar::new(),
            #[cfg(test)]
            stall: Mutex::default(),
        });
        let (report, durable) = watch::channel(Durable::default());
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                let directory = directory.to_path_buf();
                move || write_until_closed(&shared, &directory, &mut file, &report)
            });
        Ok(Self {
            shared,
            durable,
            writer: Mutex::new(Some(writer.map_err(failed(&path))?)),
            _lock: lock,
        })
    }

    /// Queues one line, without its newline. It is durable when [`Self::durable`] returns.
    pub(crate) fn append(&self, line: &[u8]) -> Sequence {
        let mut waiting = self.shared.waiting();
        waiting.lines.extend_from_slice(line);
        waiting.lines.push(b'\n');
        waiting.file_bytes += line.len() as u64 + 1;
        waiting.last += 1;
        self.shared.wake.notify_one();
        waiting.last
    }

    /// Whether another change may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.waiting().lines.len() < WAITING_BYTES_MAX
    }

    /// Whether a snapshot is due.
    pub(crate) fn is_overgrown(&self) -> bool {
        let waiting = self.shared.waiting();
        waiting.file_bytes > COMPACT_BYTES_MIN
            && waiting.file_bytes > waiting.snapshot_bytes.saturating_mul(COMPACT_GROWTH)
    }

    /// Replaces the journal by `snapshot`, which must contain everything appended so far.
    pub(crate) fn replace(&self, snapshot: Vec<u8>) {
        let mut waiting = self.shared.waiting();
        waiting.file_bytes = snapshot.len() as u64;
        waiting.snapshot_bytes = waiting.file_bytes;
        // The snapshot contains the lines that wait.
        waiting.lines.clear();
        waiting.snapshot = Some(snapshot);
        self.shared.wake.notify_one();
    }

    /// The last change that was queued.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.shared.waiting().last
    }

    /// The last change that is on disk.
    pub(crate) fn durable_sequence(&self) -> Sequence {
        self.durable.borrow().sequence
    }

    /// Waits until `sequence` is on disk.
    pub(crate) async fn durable(&self, sequence: Sequence) -> Result<(), JournalFailed> {
        let mut durable = self.durable.clone();
        let reached = durable
            .wait_for(|durable| durable.failed || durable.sequence >= sequence)
            .await
            .map_err(|_| JournalFailed)?;
        if reached.sequence >= sequence {
            Ok(())
        } else {
            Err(JournalFailed)
        }
    }

    /// Blocks writes until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn stall(&self) -> MutexGuard<'_, ()> {
        self.shared.stall.lock().unwrap()
    }

    /// Waits until the journal fails. Never returns otherwise.
    pub(crate) async fn failed(&self) {
        let mut durable = self.durable.clone();
        let gone = durable.wait_for(|durable| durable.failed).await.is_err();
        if gone {
            std::future::pending::<()>().await;
        }
    }

    /// Writes everything that waits and ends the writer.
    pub(crate) fn close(&self) {
        self.shared.waiting().closed = true;
        self.shared.wake.notify_one();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("journal.writer_panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock, so a poisoned one is still consistent.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock of a directory. It is given up explicitly: closing the file is not enough while a
/// process that was forked a moment ago has not yet executed its program and still shares it.
#[derive(Debug)]
struct Claim(File);

impl Drop for Claim {
    fn drop(&mut self) {
        // The file is closed next, which gives it up too.
        let _closed_next = self.0.unlock();
    }
}

fn lock(directory: &Path) -> Result<Claim, OpenError> {
    let path = directory.join(LOCK_FILE);
    let io_error = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => Ok(Claim(file)),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_path_buf())),
        Err(fs::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// Replays the complete lines and returns their length in bytes.
fn read_lines(
    path: &Path,
    replay: &mut impl FnMut(&str) -> Result<(), serde_json::Error>,
) -> Result<u64, OpenError> {
    use std::io::BufRead;
    let io_error = |source| OpenError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut reader = io::BufReader::new(File::open(path).map_err(io_error)?);
    let mut whole_bytes = 0;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(io_error)?;
        if bytes.last() != Some(&b'\n') {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        replay(text.trim_end()).map_err(|error| OpenError::Corrupt {
            path: path.to_path_buf(),
            line,
            reason: error.to_string(),
        })?;
        whole_bytes += read as u64;
    }
    Ok(whole_bytes)
}

fn write_until_closed(
    shared: &Shared,
    directory: &Path,
    file: &mut File,
    report: &watch::Sender<Durable>,
) {
    loop {
        let (snapshot, lines, sequence) = {
            let mut waiting = shared.waiting();
            while waiting.lines.is_empty() && waiting.snapshot.is_none() {
                if waiting.closed {
                    return;
                }
                let woken = shared.wake.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
            (
                waiting.snapshot.take(),
                std::mem::take(&mut waiting.lines),
                waiting.last,
            )
        };
        #[cfg(test)]
        drop(shared.stall.lock());
        let written = match snapshot {
            Some(snapshot) => write_snapshot(directory, &snapshot, &lines, file),
            None => file.write_all(&lines).and_then(|()| file.sync_data()),
        };
        if let Err(error) = written {
            tracing::error!(%error, "journal.write_failed: no further change is accepted");
            report.send_modify(|durable| durable.failed = true);
            return;
        }
        report.send_modify(|durable| durable.sequence = sequence);
    }
}

/// Writes a new file and renames it over the old one, so that after a crash either the old or the
/// new one is complete.
fn write_snapshot(
    directory: &Path,
    snapshot: &[u8],
    lines: &[u8],
    file: &mut File,
) -> io::Result<()> {
    let new_path = directory.join(SNAPSHOT_FILE);
    let mut new = File::create(&new_path)?;
    new.write_all(snapshot)?;
    new.write_all(lines)?;
    new.sync_all()?;
    fs::rename(&new_path, directory.join(JOURNAL_FILE))?;
    sync_directory(directory)?;
    *file = new;
    Ok(())
}

/// Makes the name of a created or renamed file durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(directory: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        let journal = Journal::open(directory, |line| {
            lines.push(line.to_owned());
            Ok(())
        });
        drop(journal.unwrap());
        lines
    }

    fn empty(directory: &Path) -> Journal {
        Journal::open(directory, |_| Ok(())).unwrap()
    }

    #[tokio::test]
    async fn what_is_durable_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let journal = empty(directory.path());
        journal.append(b"[1]");
        let last = journal.append(b"[2]");
        journal.durable(last).await.unwrap();
        assert_eq!(journal.durable_sequence(), last);
        drop(journal);
        assert_eq!(lines_of(directory.path()), ["[1]", "[2]"]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_line_starts_clean() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(JOURNAL_FILE);
        fs::write(&path, "[1]\n[2]\n[{\"int").unwrap();
        assert_eq!(lines_of(directory.path()), ["[1]", "[2]"]);
        let journal = empty(directory.path());
        journal.append(b"[3]");
        drop(journal);
        assert_eq!(lines_of(directory.path()), ["[1]", "[2]", "[3]"]);
    }

    #[test]
    fn a_bad_line_before_the_last_is_reported_not_skipped() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(JOURNAL_FILE), "[1]\nnonsense\n[2]\n").unwrap();
        let opened = Journal::open(directory.path(), |line| {
            serde_json::from_str::<Vec<u8>>(line).map(drop)
        });
        assert!(matches!(opened, Err(OpenError::Corrupt { line: 2, .. })));
    }

    #[test]
    fn a_snapshot_replaces_what_came_before_and_keeps_what_comes_after() {
        let directory = tempfile::tempdir().unwrap();
        let journal = empty(directory.path());
        journal.append(b"[1]");
        journal.append(b"[2]");
        journal.replace(b"[12]\n".to_vec());
        journal.append(b"[3]");
        drop(journal);
        assert_eq!(lines_of(directory.path()), ["[12]", "[3]"]);
    }

    #[test]
    fn one_directory_has_one_journal() {
        let directory = tempfile::tempdir().unwrap();
        let _first = empty(directory.path());
        let second = Journal::open(directory.path(), |_| Ok(()));
        assert!(matches!(second, Err(OpenError::InUse(_))));
    }
}
