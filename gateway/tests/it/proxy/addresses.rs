//! Several addresses of one upstream, under fire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use contract::room::AddressStats;
use contract::upstream::Bounds;
use contract::{ProblemCode, SystemClock};
use gateway::proxy::{EjectionConfig, Proxy, ProxyConfig};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use line::target::Target;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::read_head;
use crate::serving::{AT, FAN, Gateway, client, get, get_as, get_problem, within};

/// What a server does with a request, beside answering with a status.
const HANGS: u16 = 0;
const BREAKS: u16 = 1;

/// A server of a shop, which a test may kill and start again at the same address.
struct Replica {
    addr: SocketAddr,
    /// A status, [`HANGS`] or [`BREAKS`].
    does: Arc<AtomicU16>,
    /// Requests that it got.
    asked: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Replica {
    async fn start() -> Self {
        let mut replica = Self {
            addr: ([127, 0, 0, 1], 0).into(),
            does: Arc::new(AtomicU16::new(200)),
            asked: Arc::default(),
            tasks: JoinSet::new(),
        };
        replica.live().await;
        replica
    }

    async fn live(&mut self) {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        self.addr = listener.local_addr().unwrap();
        let (name, does, asked) = (self.addr, self.does.clone(), self.asked.clone());
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer(stream, name, does.clone(), asked.clone()));
            }
        });
    }

    /// Ends with all of its connections, as a process that is killed does.
    async fn die(&mut self) {
        self.tasks.shutdown().await;
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn does(&self, what: u16) {
        self.does.store(what, Ordering::SeqCst);
    }
}

async fn answer(
    mut stream: TcpStream,
    name: SocketAddr,
    does: Arc<AtomicU16>,
    asked: Arc<AtomicU64>,
) {
    while !read_head(&mut stream).await.is_empty() {
        asked.fetch_add(1, Ordering::SeqCst);
        let status = match does.load(Ordering::SeqCst) {
            HANGS => std::future::pending().await,
            BREAKS => return,
            status => status,
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        let body = name.to_string();
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn replicas() -> Vec<Replica> {
    vec![
        Replica::start().await,
        Replica::start().await,
        Replica::start().await,
    ]
}

async fn before(replicas: &[Replica], bounds: Bounds) -> Gateway {
    let config = ProxyConfig {
        in_flight_per_session_max: 1_000,
        ejection: EjectionConfig {
            span: Duration::from_millis(500),
            ..EjectionConfig::default()
        },
        ..ProxyConfig::default()
    };
    let urls = replicas
        .iter()
        .map(|replica| format!("http://{}", replica.addr));
    let proxy = Proxy::new(config, Arc::new(SystemClock));
    Gateway::before_all(&urls.collect::<Vec<_>>(), proxy, bounds).await
}

fn stats(gateway: &Gateway) -> Vec<AddressStats> {
    let target = Target::Remote(gateway.upstreams.clone());
    gateway.proxy.addresses(&target)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            ticks.tick().await;
        }
    };
    within(what, waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_under_load_costs_no_get_and_is_used_again_when_it_lives() {
    let mut replicas = replicas().await;
    let gateway = before(&replicas, Bounds::default()).await;
    let (stop, done, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut load = JoinSet::new();
    for _ in 0..200 {
        let (stop, done, failed) = (stop.clone(), done.clone(), failed.clone());
        let url = gateway.url("/");
        load.spawn(async move {
            let client = client();
            while !stop.load(Ordering::SeqCst) {
                let request = Request::get(&url).body(Body::empty()).unwrap();
                let answer = client.request(request).await.unwrap();
                if answer.status() != StatusCode::OK {
                    failed.fetch_add(1, Ordering::SeqCst);
                }
                answer.into_body().collect().await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let served = || done.load(Ordering::SeqCst);
    until("the load", || served() > 1_000).await;
    for replica in &replicas {
        assert!(replica.asked() > 200, "each has its part");
    }
    replicas[0].die().await;
    until("the ejection", || !stats(&gateway)[0].is_up).await;
    let before = served();
    until("the load on the others", || served() > before + 1_000).await;
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    let before = replicas[0].asked();
    replicas[0].live().await;
    until("its return", || replicas[0].asked() > before + 100).await;
    assert!(stats(&gateway).iter().all(|one| one.is_up));
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    assert_eq!(failed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_out_and_its_gets_are_answered_by_another() {
    let replicas = replicas().await;
    replicas[0].does(HANGS);
    let bounds = Bounds {
        response_max: Some(Duration::from_millis(100)),
        ..Bounds::default()
    };
    let gateway = before(&replicas, bounds).await;
    let mut asked = 0_u8;
    while stats(&gateway)[0].is_up {
        assert_eq!(get_as(asked, &gateway.url("/")).await, StatusCode::OK);
        asked += 1;
        assert!(asked < 100, "it is chosen now and then");
    }
    assert_eq!(replicas[0].asked(), 3);
    let until_when = stats(&gateway)[0].ejected_until;
    assert!(until_when.is_some());
    for _ in 0..20 {
        assert_eq!(get(&gateway.url("/")).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_server_that_answers_500_is_not_left_out_and_one_that_answers_503_is() {
    let replicas = replicas().await;
    let gateway = before(&replicas, Bounds::default()).await;
    replicas[1].does(500);
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(get(&gateway.url("/")).await.0);
    }
    assert!(stats(&gateway).iter().all(|one| one.is_up));
    let wrong = |status: u16| statuses.iter().filter(|one| one.as_u16() == status).count();
    assert!(wrong(500) > 5, "{statuses:?}");
    replicas[1].does(200);
    replicas[2].does(503);
    let mut overloaded = 0;
    for fan in 0..60 {
        let status = get_as(fan, &gateway.url("/")).await;
        overloaded += u32::from(status == StatusCode::SERVICE_UNAVAILABLE);
        if !stats(&gateway)[2].is_up {
            break;
        }
    }
    // What the shop says reaches the fan: it has received the request.
    assert_eq!(overloaded, 3);
    assert!(!stats(&gateway)[2].is_up);
}

#[tokio::test]
async fn nobody_alone_has_servers_left_out() {
    let replicas = replicas().await;
    let gateway = before(&replicas, Bounds::default()).await;
    for replica in &replicas {
        replica.does(503);
    }
    for fan in [1, 2].repeat(30) {
        let status = get_as(fan, &gateway.url("/")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(stats(&gateway).iter().all(|one| one.is_up));
    for fan in 3..60 {
        get_as(fan, &gateway.url("/")).await;
    }
    assert!(stats(&gateway).iter().any(|one| !one.is_up));
}

#[tokio::test]
async fn with_all_servers_down_fans_are_told_and_the_first_that_is_back_is_used_at_once() {
    let mut replicas = replicas().await;
    let gateway = before(&replicas, Bounds::default()).await;
    for replica in &mut replicas {
        replica.die().await;
    }
    for _ in 0..4 {
        let problem = get_problem(&gateway.url("/")).await;
        assert_eq!(problem.code, ProblemCode::UpstreamFailed);
    }
    assert!(stats(&gateway).iter().all(|one| !one.is_up));
    replicas[2].live().await;
    for _ in 0..10 {
        let (status, body) = get(&gateway.url("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, replicas[2].addr.to_string());
    }
}

#[tokio::test]
async fn a_post_is_never_sent_to_another_server() {
    let replicas = replicas().await;
    replicas[0].does(BREAKS);
    let gateway = before(&replicas, Bounds::default()).await;
    let (mut failed, mut sent) = (0, 0_u8);
    while failed < 3 {
        let request = Request::post(gateway.url("/")).header(FAN, sent.to_string());
        let request = request.body(Body::empty()).unwrap();
        let answer = within("the answer", client().request(request))
            .await
            .unwrap();
        sent += 1;
        failed += u32::from(answer.status() == StatusCode::BAD_GATEWAY);
        assert!(sent < 200, "it is chosen now and then");
    }
    let asked: u64 = replicas.iter().map(Replica::asked).sum();
    assert_eq!(asked, u64::from(sent), "each was sent once");
    assert!(!stats(&gateway)[0].is_up);
}

#[tokio::test]
async fn a_fan_stays_with_a_server_until_it_dies() {
    let mut replicas = replicas().await;
    let bounds = Bounds {
        is_sticky: true,
        ..Bounds::default()
    };
    let gateway = before(&replicas, bounds).await;
    let ask = async |at: &str| {
        let request = Request::get(gateway.url("/")).header(AT, at);
        let request = request.body(Body::empty()).unwrap();
        let answer = within("the answer", client().request(request))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let told = answer
            .headers()
            .get(AT)
            .map(|at| at.to_str().unwrap().to_owned());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (told, String::from_utf8(body.to_vec()).unwrap())
    };
    let (told, server) = ask("nobody knows this").await;
    let name = told.unwrap();
    let port = server.rsplit(':').next().unwrap();
    assert!(!name.contains(port) && !name.contains("127"), "{name}");
    for _ in 0..20 {
        assert_eq!(ask(&name).await, (None, server.clone()));
    }
    let own = replicas
        .iter_mut()
        .find(|one| one.addr.to_string() == server);
    own.unwrap().die().await;
    let (told, other) = ask(&name).await;
    assert_ne!(other, server);
    let name = told.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&name).await, (None, other.clone()));
    }
}

#[tokio::test]
async fn a_server_that_was_taken_off_is_forgotten() {
    let replicas = replicas().await;
    let gateway = before(&replicas, Bounds::default()).await;
    let labels: Vec<_> = replicas.iter().map(|one| one.addr.to_string()).collect();
    let wanted = Arc::new(std::sync::Mutex::new(vec![(
        gateway.upstreams.clone(),
        None,
    )]));
    let stop = tokio_util::sync::CancellationToken::new();
    let (proxy, named) = (gateway.proxy.clone(), wanted.clone());
    let mut checking = JoinSet::new();
    let until = stop.clone();
    let all = move || named.lock().unwrap().clone();
    checking.spawn(async move { proxy.check(all, until).await });
    assert_eq!(get(&gateway.url("/")).await.0, StatusCode::OK);
    let has = |label: &String| gateway.proxy.has_upstream(label);
    within("all are known", async {
        while !labels.iter().all(has) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    *wanted.lock().unwrap() = vec![(gateway.upstreams.all()[0].clone().into(), None)];
    within("two are forgotten", async {
        while labels.iter().filter(|label| has(label)).count() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(has(&labels[0]));
    stop.cancel();
}
