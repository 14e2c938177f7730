//! What the gateway is compared with: handlers on the same server library that do nothing else.
//!
//! They run as a process of their own, so that memory and CPU time are theirs alone.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use contract::line::JoinRequest;
use test_support::program::Program;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::processes::READY_MAX;

/// What the process says once it listens.
const LISTENING: &str = "listening ";
/// Buffers of a WebSocket, as small as the gateway's.
const SMALL_BUFFER_BYTES: usize = 512;

/// The path of a page, at the bare server and behind the proxies.
pub(crate) const PAGE_PATH: &str = "/bench/page";

/// How many bytes its answers have.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct BareSizes {
    /// Bytes of the answer to a join
    #[arg(long = "join-bytes")]
    pub join: usize,
    /// Bytes of a page
    #[arg(long = "page-bytes")]
    pub page: usize,
    /// Bytes of a frame
    #[arg(long = "frame-bytes")]
    pub frame: usize,
}

/// The bare server as a child.
pub(crate) struct Bare {
    program: Program,
    pub address: SocketAddr,
}

impl Bare {
    /// Starts one.
    pub(crate) async fn start(sizes: BareSizes, dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare");
        for (flag, bytes) in [
            ("--join-bytes", sizes.join),
            ("--page-bytes", sizes.page),
            ("--frame-bytes", sizes.frame),
        ] {
            command.arg(flag).arg(bytes.to_string());
        }
        let mut program = Program::start("bare", command, dir)?;
        let address = program
            .ready(READY_MAX, async |program| {
                let output = program.output();
                output.trim_end().strip_prefix(LISTENING)?.parse().ok()
            })
            .await?;
        Ok(Self { program, address })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.program.stop().await;
    }
}

/// The answers, made once.
#[derive(Clone)]
struct Answers {
    join: Bytes,
    page: Bytes,
    frame: Utf8Bytes,
}

/// Serves until it is ended.
#[expect(clippy::print_stdout, reason = "the parent reads where it listens")]
pub(crate) async fn serve(sizes: BareSizes) -> anyhow::Result<()> {
    let answers = Answers {
        join: json_of(sizes.join).into(),
        page: "x".repeat(sizes.page).into(),
        frame: json_of(sizes.frame).into(),
    };
    let router = Router::new()
        .route("/_line/v1/rooms/{room}/places", post(join))
        .route(PAGE_PATH, get(page))
        .route("/live/small", get(live_small))
        .route("/live/default", get(live_default))
        .with_state(answers);
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{LISTENING}{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Without it answers would only be later.
        let _later = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

/// A JSON document of `bytes` bytes.
fn json_of(bytes: usize) -> String {
    let around = r#"{"x":""}"#.len();
    format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes.saturating_sub(around)))
}

#[expect(
    clippy::disallowed_types,
    reason = "the bare handler has no problem documents"
)]
async fn join(State(answers): State<Answers>, body: axum::Json<JoinRequest>) -> Response {
    let axum::Json(JoinRequest { nonce, .. }) = body;
    let status = match nonce {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    (status, [(CONTENT_TYPE, "application/json")], answers.join).into_response()
}

async fn page(State(answers): State<Answers>) -> Response {
    ([(CONTENT_TYPE, "text/html")], answers.page).into_response()
}

async fn live_small(State(answers): State<Answers>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(SMALL_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .on_upgrade(|socket| wait(socket, answers.frame))
}

async fn live_default(State(answers): State<Answers>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| wait(socket, answers.frame))
}

/// Sends one frame, then waits until the client has gone.
async fn wait(mut socket: WebSocket, frame: Utf8Bytes) {
    if socket.send(Message::Text(frame)).await.is_err() {
        return;
    }
    while let Some(Ok(_)) = socket.recv().await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_the_length_asked_for() {
        for bytes in [8, 100, 700] {
            let json = json_of(bytes);
            assert_eq!(json.len(), bytes);
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
        }
    }
}
