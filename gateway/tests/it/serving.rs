//! Servers on free ports, a gateway that only proxies, and waits with a bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use breaker::BreakerConfig;
use bytes::Bytes;
use contract::principal::Principal;
use contract::upstream::{Bounds, Upstream};
use contract::upstreams::{UpstreamSetting, Upstreams};
use contract::{Clock, PlaceId, Problem, SystemClock, Timestamp};
use gateway::edge::cores::Cores;
use gateway::edge::serve::{Answering, ServeConfig, serve};
use gateway::edge::sockets::{Claim, Sockets};
use gateway::proxy::{Command, End, Forwarded, Proxy, ProxyConfig, Terms, Visitor};
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web::RequestIds;

/// How long any wait of a test may take before the test has failed.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits for `future`, which has to come true within [`WAIT_MAX`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_MAX, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {WAIT_MAX:?}"))
}

/// A router on a free port. It stops when dropped.
pub(crate) struct Server {
    pub addr: SocketAddr,
    pub shutdown: CancellationToken,
    pub tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        Self::start_with(router, ServeConfig::public("test", RequestIds::new(1))).await
    }

    pub(crate) async fn start_with(router: Router, config: ServeConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, config, shutdown.clone()));
        Self {
            addr,
            shutdown,
            tasks,
        }
    }

    /// As the public listener is served: on two cores.
    pub(crate) fn start_on_cores(answering: impl Answering, config: ServeConfig) -> Self {
        let two = 2.try_into().unwrap();
        let listeners = Sockets::bind(([127, 0, 0, 1], 0).into(), two, Claim::Alone)
            .unwrap()
            .listen()
            .unwrap();
        let addr = listeners[0].local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let cores = Cores::start(two).unwrap();
            let served = cores.serve(vec![(listeners, config)], &answering, &stop);
            served.await.unwrap();
        });
        Self {
            addr,
            shutdown,
            tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

/// A gateway that sends every request to one upstream.
pub(crate) struct Gateway {
    pub server: Server,
    pub proxy: Arc<Proxy>,
    pub upstream: Upstream,
    pub upstreams: Upstreams,
    pub commands: mpsc::UnboundedReceiver<Command>,
}

/// Of a client of a [`Gateway`]: the number of the fan that a request counts for, instead of the
/// one that all others do.
pub(crate) const FAN: &str = "x-fan";

/// The address that a client of a [`Gateway`] stays with, in its requests and in answers.
pub(crate) const AT: &str = "x-at";

struct Forwarding {
    proxy: Arc<Proxy>,
    upstreams: Upstreams,
    bounds: Bounds,
    commands: mpsc::UnboundedSender<Command>,
}

impl Gateway {
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::configured(upstream, ProxyConfig::default(), Arc::new(SystemClock)).await
    }

    pub(crate) async fn configured(
        upstream: SocketAddr,
        config: ProxyConfig,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // Everything here is forwarded for one fan.
        let config = ProxyConfig {
            breaker: BreakerConfig {
                visitors_min: 1,
                ..config.breaker
            },
            ..config
        };
        Self::of_room(upstream, config, clock, Bounds::default()).await
    }

    /// In front of the upstream of a room with `bounds`.
    pub(crate) async fn of_room(
        upstream: SocketAddr,
        config: ProxyConfig,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> Self {
        let upstream = format!("http://{upstream}");
        Self::made(&upstream, Proxy::new(config, clock), bounds).await
    }

    /// In front of the upstream with this URL.
    pub(crate) async fn before_url(upstream: &str, bounds: Bounds) -> Self {
        let proxy = Proxy::new(ProxyConfig::default(), Arc::new(SystemClock));
        Self::made(upstream, proxy, bounds).await
    }

    /// In front of an encrypted upstream, of which this authority, as PEM, is believed.
    pub(crate) async fn trusting(upstream: &str, authority: &[u8]) -> Self {
        let proxy = Proxy::new(ProxyConfig::default(), Arc::new(SystemClock)).trusting(authority);
        Self::made(upstream, proxy, Bounds::default()).await
    }

    async fn made(upstream: &str, proxy: Proxy, bounds: Bounds) -> Self {
        Self::before_all(&[upstream.to_owned()], proxy, bounds).await
    }

    /// In front of several addresses of one upstream.
    pub(crate) async fn before_all(addresses: &[String], proxy: Proxy, bounds: Bounds) -> Self {
        let setting = UpstreamSetting::from(addresses.to_vec());
        let upstreams = setting.addresses().unwrap();
        let upstream = upstreams.all()[0].clone();
        let proxy = Arc::new(proxy);
        let (sender, commands) = mpsc::unbounded_channel();
        let forwarding = Arc::new(Forwarding {
            proxy: Arc::clone(&proxy),
            upstreams: upstreams.clone(),
            bounds,
            commands: sender,
        });
        let router = Router::new().fallback(forward).with_state(forwarding);
        Self {
            server: Server::start(router).await,
            proxy,
            upstream,
            upstreams,
            commands,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }
}

/// The pass of the fan that every request is forwarded for.
pub(crate) fn fan() -> Principal {
    Principal {
        room: "eras".parse().unwrap(),
        subject: PlaceId::from_bytes([7; 16]),
        expires_at: Timestamp::from_ms(1_790_000_000_000),
        is_live: true,
    }
}

async fn forward(
    State(forwarding): State<Arc<Forwarding>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let forwarded = Forwarded {
        client_ip: peer.ip(),
        scheme: http::uri::Scheme::HTTP,
        host: request.headers().get(HOST).cloned(),
        request_id: http::HeaderValue::from_static("request-1"),
        principals: vec![fan()],
    };
    let number = request.headers().get(FAN).map(|number| {
        let number: u8 = number.to_str().unwrap().parse().unwrap();
        PlaceId::from_bytes([number; 16])
    });
    let at = request
        .headers()
        .get(AT)
        .map(|at| at.to_str().unwrap().to_owned());
    let terms = Terms {
        visitor: Visitor::Session(number.unwrap_or(fan().subject)),
        bounds: forwarding.bounds,
        at: at.as_deref(),
    };
    let end = || -> End { Box::pin(std::future::pending()) };
    let (proxy, upstreams) = (&forwarding.proxy, &forwarding.upstreams);
    let sent = proxy
        .forward(upstreams, request, &forwarded, terms, end)
        .await;
    match sent {
        Ok(outcome) => {
            if let Some(command) = outcome.command {
                forwarding.commands.send(command).unwrap();
            }
            let mut response = outcome.response;
            if let Some(at) = outcome.stays_at {
                response.headers_mut().insert(AT, at.parse().unwrap());
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// A client whose bodies may be streams.
pub(crate) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .http1_max_headers(200)
        .build_http()
}

/// Sends a `GET` and gives the status and the whole body.
pub(crate) async fn get(url: &str) -> (StatusCode, Bytes) {
    let request = Request::get(url).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    let status = response.status();
    let body = within("the body", response.into_body().collect())
        .await
        .unwrap();
    (status, body.to_bytes())
}

/// Sends a `GET` as one of several fans and gives the status.
pub(crate) async fn get_as(fan: u8, url: &str) -> StatusCode {
    let request = Request::get(url).header(FAN, fan.to_string());
    let request = request.body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request)).await;
    response.unwrap().status()
}

/// Sends a `GET` that is expected to fail and gives the problem document.
pub(crate) async fn get_problem(url: &str) -> Problem {
    let (status, body) = get(url).await;
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

/// A body fed through a channel, one message one frame; it ends when the sender is dropped.
pub(crate) fn channel_body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let frame = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(frame), receiver))
    });
    (sender, Body::from_stream(frames))
}
