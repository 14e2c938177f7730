//! The response to connections over the limit.
//!
//! The request is read first, for at most [`PATIENCE`], for two reasons: it tells a person from a
//! program, and closing a socket with unread bytes would reset the connection and destroy the
//! response in flight (RFC 9112, section 9.6).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::connections::Full;
use super::refused_head::{Kept, Refusal, Refusals, answer};
use super::telemetry;

/// Connections whose request is read at the same time. Further ones are answered without reading.
const READ_AT_ONCE: usize = 256;
/// Longest wait for the request, and after the response for the client to close.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 2 * 1024;

/// Answers clients whose connection is over the limit.
#[derive(Debug)]
pub(super) struct TurnedAway {
    listener: &'static str,
    refusals: Refusals,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl TurnedAway {
    /// For the connections of `listener`; each response is written by a task in `tasks`.
    pub(super) fn new(listener: &'static str, refusals: Refusals, tasks: TaskTracker) -> Self {
        Self {
            listener,
            refusals,
            places: Arc::new(Semaphore::new(READ_AT_ONCE)),
            tasks,
        }
    }

    /// Counts a connection that is closed without an answer; `full` says which limit was reached.
    pub(super) fn note(&self, full: Full) {
        let (listener, limit) = (self.listener, full.word());
        counter!(telemetry::CONNECTIONS_REFUSED_TOTAL, "listener" => listener, "limit" => limit)
            .increment(1);
    }

    /// Answers on `stream` and closes it; `full` says which limit was reached.
    pub(super) fn tell(&self, stream: TcpStream, full: Full) {
        self.note(full);
        let refusals = self.refusals.clone();
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // One write, without waiting: a new socket has room for the whole response.
            if let Err(error) =
                stream.try_write(&answer(Refusal::no_room(), &Kept::default(), &refusals))
            {
                tracing::trace!(%error, "a refused client did not wait for the answer");
            }
            return;
        };
        self.tasks.spawn(async move {
            if let Err(error) = tell(stream, &refusals).await {
                tracing::trace!(%error, "a refused client did not wait for the answer");
            }
            drop(place);
        });
    }
}

async fn tell(mut stream: TcpStream, refusals: &Refusals) -> io::Result<()> {
    let mut head = Kept::default();
    // A client that sends no request in time is answered like a program.
    let _ = timeout(PATIENCE, read_head(&mut stream, &mut head)).await;
    let answer = answer(Refusal::no_room(), &head, refusals);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // A client that keeps sending is cut off.
    let _ = timeout(PATIENCE, read_rest(&mut stream)).await;
    Ok(())
}

async fn read_head(stream: &mut TcpStream, head: &mut Kept) -> io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    while !head.is_whole() {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        head.add(&chunk[..read]);
    }
    Ok(())
}

async fn read_rest(stream: &mut TcpStream) -> io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}
