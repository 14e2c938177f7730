//! A TCP proxy that a test can cut or slow down, to stand for a server that is gone or far away or
//! a network that swallows packets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// What becomes of connections, present and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// They work.
    Up,
    /// They are closed at once.
    Cut,
    /// They stay open and nothing comes through.
    Silent,
    /// Present ones stay open and nothing comes through, new ones work.
    Replaced,
}

/// A proxy to one server.
pub struct TcpProxy {
    /// Where it listens.
    pub address: SocketAddr,
    line: watch::Sender<Line>,
    target: watch::Sender<String>,
    delay: watch::Sender<Duration>,
    _accepting: AbortOnDropHandle<()>,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1 and connects to `target`, a host and port.
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, state) = watch::channel(Line::Up);
        let tasks = TaskTracker::new();
        let relays = tasks.clone();
        let (target, targets) = watch::channel(target);
        let (delay, delays) = watch::channel(Duration::ZERO);
        let accepting = tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = targets.borrow().clone();
                relays.spawn(relay(client, target, state.clone(), delays.clone()));
            }
        });
        Self {
            address,
            line,
            target,
            delay,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Changes what becomes of connections.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Lets whatever is sent from now on take `one_way` longer, in either direction.
    pub fn delay(&self, one_way: Duration) {
        self.delay.send_replace(one_way);
    }

    /// Leads new connections to `target`, and ends those there are.
    pub fn retarget(&self, target: String) {
        self.target.send_replace(target);
        self.set(Line::Cut);
        self.set(Line::Up);
    }
}

async fn relay(
    client: TcpStream,
    target: String,
    mut line: watch::Receiver<Line>,
    delay: watch::Receiver<Duration>,
) {
    let now = *line.borrow_and_update();
    match now {
        Line::Up | Line::Replaced => {}
        Line::Cut => return,
        Line::Silent => {
            // What was swallowed does not come back: once the line is up, the client has to
            // connect anew.
            let _changed = line.changed().await;
            return;
        }
    }
    let Ok(server) = TcpStream::connect(&target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let both = async {
        tokio::join!(
            carry(from_client, to_server, delay.clone()),
            carry(from_server, to_client, delay),
        )
    };
    tokio::select! {
        _ = both => {}
        changed = line.changed() => {
            if changed.is_ok() && matches!(*line.borrow(), Line::Silent | Line::Replaced) {
                // Held open until the line changes again.
                let _gone = line.changed().await;
            }
        }
    }
}

/// Copies one direction, each piece as late as the delay says when it comes.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: watch::Receiver<Duration>,
) -> io::Result<()> {
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(1_000);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(64 * 1024);
            if from.read_buf(&mut piece).await? == 0 {
                return io::Result::Ok(());
            }
            let at = Instant::now() + *delay.borrow();
            if pieces.send((at, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}
