//! A TCP proxy that a test can cut, to stand for a server that is gone or a network that
//! swallows packets.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
        let accepting = tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                relays.spawn(relay(client, targets.borrow().clone(), state.clone()));
            }
        });
        Self {
            address,
            line,
            target,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Changes what becomes of connections.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Leads new connections to `target`, and ends those there are.
    pub fn retarget(&self, target: String) {
        self.target.send_replace(target);
        self.set(Line::Cut);
        self.set(Line::Up);
    }
}

async fn relay(mut client: TcpStream, target: String, mut line: watch::Receiver<Line>) {
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
    let Ok(mut server) = TcpStream::connect(&target).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        changed = line.changed() => {
            if changed.is_ok() && matches!(*line.borrow(), Line::Silent | Line::Replaced) {
                // Held open until the line changes again.
                let _gone = line.changed().await;
            }
        }
    }
}
