//! The proxy between a real client and a real upstream.

mod addresses;
mod cases;
mod expecting;
mod failures;
mod framing;
mod headers;
mod limits;
mod rewriting;
mod streaming;
mod tunnels;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::serving::{Server, within};

const MIB: usize = 1024 * 1024;

/// An upstream that keeps the heads of the requests it gets.
struct Recorder {
    server: Server,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Recorder {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let line = format!("{} {}", request.method(), request.uri());
            keep.lock().unwrap().push((line, request.headers().clone()));
            async move {
                // Read to the end, so that what follows on the connection is the next request.
                let body = request.into_body().collect().await.unwrap().to_bytes();
                format!("{} bytes", body.len())
            }
        });
        Self {
            server: Server::start(router).await,
            seen,
        }
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(line, _)| line.clone()).collect()
    }

    fn last_headers(&self) -> HeaderMap {
        self.seen.lock().unwrap().last().unwrap().1.clone()
    }
}

/// An upstream that handles each connection by `script`, in which it is given its number.
async fn scripted<F, Fut>(script: F) -> (SocketAddr, JoinSet<()>)
where
    F: Fn(usize, TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(script(number, stream));
        }
    });
    (addr, tasks)
}

/// Reads up to the empty line that ends a head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Writes raw bytes to the gateway and gives all it answers until it closes.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The gateway may reset the connection after refusing; what it said before that counts.
    let _closed = within("closing", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}
