//! Lines on their way to where they are written: a bounded queue, and a thread that empties it.
//!
//! Requests never wait for the thread: a line for which there is no room is dropped and counted.
//! The thread looks at the queue often instead of being woken, because waking it would cost each
//! request a system call.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::output::Output;
use crate::edge::telemetry::ACCESS_LOG_DROPPED_TOTAL;

/// Lines that may wait. At the longest they take 70 MB, commonly four.
pub(super) const WAITING_MAX: usize = 8192;
/// How often the queue is emptied.
const EMPTIED_EVERY: Duration = Duration::from_millis(50);
/// How often a file is looked for under its name.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes that are written at once, about.
const BATCH_BYTES: usize = 64 * 1024;
/// Longest time that the end of the process waits for the last lines.
const END_MAX: Duration = Duration::from_secs(2);

/// Takes lines.
pub(super) struct Lines {
    sender: SyncSender<Vec<u8>>,
    slow: Counter,
    is_ending: Arc<AtomicBool>,
    thread: Thread,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Lines {
    /// Starts a thread that writes lines to `output`, of which `waiting_max` may wait.
    pub(super) fn start(output: Output, waiting_max: usize) -> io::Result<Self> {
        let (sender, queue) = sync_channel(waiting_max);
        let (end, ended) = oneshot::channel();
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut writing = Writing {
            queue,
            output,
            failed: counter!(ACCESS_LOG_DROPPED_TOTAL, "reason" => "failed"),
            is_ending: is_ending.clone(),
        };
        let named = thread::Builder::new().name("access-log".to_owned());
        let thread = named.spawn(move || {
            writing.run();
            // Nobody may wait for the end.
            let _ = end.send(());
        })?;
        Ok(Self {
            sender,
            slow: counter!(ACCESS_LOG_DROPPED_TOTAL, "reason" => "slow"),
            is_ending,
            thread: thread.thread().clone(),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Hands a line on, or drops it if there is no room.
    pub(super) fn put(&self, line: Vec<u8>) {
        if self.sender.try_send(line).is_err() {
            self.slow.increment(1);
        }
    }

    /// Waits until all lines so far are written, though not for long.
    pub(super) async fn end(&self) {
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(ended) = ended else { return };
        self.is_ending.store(true, Ordering::Release);
        self.thread.unpark();
        if tokio::time::timeout(END_MAX, ended).await.is_err() {
            tracing::warn!("the last lines of the access log were not written in time");
        }
    }
}

/// What the thread works with.
struct Writing {
    queue: Receiver<Vec<u8>>,
    output: Output,
    failed: Counter,
    is_ending: Arc<AtomicBool>,
}

impl Writing {
    fn run(&mut self) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            // Read first, so that what was put before the end is in the last round.
            let is_last = self.is_ending.load(Ordering::Acquire);
            let is_empty = self.fill(&mut batch);
            if Instant::now() >= look_at {
                self.output.look();
                look_at = Instant::now() + LOOK_EVERY;
            }
            if !batch.is_empty() {
                let lost = self.output.write(&batch);
                self.failed
                    .increment(u64::try_from(lost).unwrap_or(u64::MAX));
                batch.clear();
            }
            if is_empty && is_last {
                return;
            }
            if is_empty {
                thread::park_timeout(EMPTIED_EVERY);
            }
        }
    }

    /// Moves lines into `batch` while they fit, and returns whether none is left.
    fn fill(&self, batch: &mut Vec<u8>) -> bool {
        while batch.len() < BATCH_BYTES {
            match self.queue.try_recv() {
                Ok(line) => batch.extend_from_slice(&line),
                Err(_) => return true,
            }
        }
        false
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, Write};

    use super::*;
    use crate::access_log::output::count;

    fn pipe() -> (PipeReader, Output) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, Output::stream(writer))
    }

    /// A disk that takes its time.
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(EMPTIED_EVERY);
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn lines_come_out_in_order_and_all_of_them_at_the_end() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let output = Output::stream(Slow(written.clone()));
        let lines = Lines::start(output, WAITING_MAX).unwrap();
        let expected: Vec<String> = (0..2000).map(|n| format!("{n}\n")).collect();
        for line in &expected {
            lines.put(line.as_bytes().to_vec());
        }
        lines.end().await;
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn a_line_is_written_within_a_second_without_an_end() {
        let (mut reader, output) = pipe();
        let lines = Lines::start(output, WAITING_MAX).unwrap();
        std::thread::sleep(EMPTIED_EVERY);
        let began = Instant::now();
        lines.put(b"one\n".to_vec());
        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(&line, b"one\n");
    }

    /// Says that it was asked, and takes nothing until the other side of the pipe gives a byte.
    struct Stuck(PipeReader, Arc<AtomicBool>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.store(true, Ordering::SeqCst);
            self.0.read_exact(&mut [0])?;
            self.2.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_is_stuck_delays_nobody_and_what_is_dropped_is_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let (key, mut turn) = io::pipe().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let is_stuck = Arc::new(AtomicBool::new(false));
        let output = Output::stream(Stuck(key, is_stuck.clone(), written.clone()));
        let lines = metrics::with_local_recorder(&recorder, || Lines::start(output, 10)).unwrap();
        lines.put(b"first\n".to_vec());
        while !is_stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..10 {
            lines.put(b"x\n".to_vec());
        }
        let (lines, (told, went_on)) = (Arc::new(lines), sync_channel(1));
        let putting = lines.clone();
        thread::spawn(move || {
            for _ in 0..1000 {
                putting.put(b"late\n".to_vec());
            }
            told.send(()).unwrap();
        });
        let went_on = went_on.recv_timeout(Duration::from_secs(5));
        assert!(went_on.is_ok(), "somebody waits");
        let shown = recorder.handle().render();
        let expected = format!("{ACCESS_LOG_DROPPED_TOTAL}{{reason=\"slow\"}} 1000");
        assert!(shown.contains(&expected), "{shown}");
        drop(lines);
        turn.write_all(&[0; 100]).unwrap();
        // What had waited is written in the end, whole lines only.
        while count(&written.lock().unwrap()) < 11 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(
            text.starts_with("first\nx\n") && text.ends_with("x\n"),
            "{text}"
        );
        assert!(!text.contains("late"), "{text}");
    }
}
