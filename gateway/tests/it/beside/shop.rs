//! A shop behind another proxy that asks Ropeline, with the example configuration of that proxy.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::HTML;
use crate::serving::{Server, within};
use crate::test_app::{Answer, JSON, TestApp, World, eventually};

/// A request as the shop got it.
#[derive(Clone, Debug)]
struct Got {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A shop, the proxy before it, and Ropeline beside that.
pub(super) struct Stage {
    world: World,
    app: TestApp,
    shop: Server,
    got: Arc<Mutex<Vec<Got>>>,
    front: SocketAddr,
    dir: TempDir,
    proxy: Option<Child>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let mut world = World::create().await;
        world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let shop = Server::start(shop(got.clone())).await;
        let upstream = shop.url("");
        let room = json!({"hosts": ["*"], "upstream": upstream, "paths": ["/checkout"]});
        world.room(room).await;
        let room = json!({
            "hosts": ["*"], "upstream": upstream, "paths": ["/standing"], "queueAll": false,
            "opensAt": "2026-01-01T00:00:00Z",
        });
        world.room_named("standing", room).await;
        let app = world.gateway().await;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            world,
            app,
            shop,
            got,
            front: free.local_addr().unwrap(),
            dir: tempfile::tempdir().unwrap(),
            proxy: None,
        }
    }

    /// A file of the examples, with the addresses of this stage; `listens` is how it says where
    /// the proxy listens, with `{}` in place of the address.
    pub(super) fn example(&self, file: &str, listens: (&str, &str)) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let text = std::fs::read_to_string(path.join(file)).unwrap();
        let (said, instead) = listens;
        let mut text = text.replacen(said, &instead.replace("{}", &self.front.to_string()), 1);
        for (example, address) in [
            ("127.0.0.1:8080", self.app.addr()),
            ("127.0.0.1:3000", self.shop.addr),
        ] {
            assert!(text.contains(example), "{file} has no {example}");
            text = text.replace(example, &address.to_string());
        }
        text
    }

    /// Writes a file for the proxy; its path.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the proxy, which ends with this stage.
    pub(super) async fn start(&mut self, mut command: Command) {
        let log = std::fs::File::create(self.dir.path().join("output")).unwrap();
        let started = command
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.proxy = Some(started.unwrap());
        eventually("the proxy", async || {
            tokio::net::TcpStream::connect(self.front).await.ok()
        })
        .await;
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> Answer {
        let url = format!("http://{}{path}", self.front);
        let mut request = self.app.http.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = within("the answer", request.send()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = within("the body", response.bytes()).await.unwrap().to_vec();
        Answer {
            status,
            headers,
            body,
        }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn last(&self) -> Got {
        self.got.lock().unwrap().last().unwrap().clone()
    }

    /// Joins through the proxy and claims; the pass cookie as the proxy let it through.
    async fn pass_cookie(&self) -> String {
        let path = "/_line/v1/rooms/eras/places";
        let json = ("content-type", JSON);
        let joined = eventually("a place", async || {
            let joined = self.send(Method::POST, path, &[json], "{}").await;
            joined.status.is_success().then_some(joined)
        });
        let place = joined.await.cookie().to_owned();
        let claimed = eventually("the call", async || {
            let path = "/_line/v1/rooms/eras/pass";
            let answer = self
                .send(Method::POST, path, &[("cookie", &place), json], "{}")
                .await;
            (answer.status == StatusCode::OK).then_some(answer)
        });
        claimed.await.cookie().to_owned()
    }

    /// The proxy keeps the gate as Ropeline in front of the shop would.
    pub(super) async fn keeps_the_gate(self) {
        let shop_is_open = self.get("/catalogue?page=2", &[HTML]).await;
        assert_eq!(
            shop_is_open.status,
            StatusCode::OK,
            "{}",
            shop_is_open.text()
        );
        assert_eq!(self.last().target, "/catalogue?page=2");
        self.sends_to_wait().await;
        self.believes_no_client().await;
        self.lets_through_with_a_pass().await;
        self.opens_in_stand_by().await;
        let asked = self.get("/_line/v1/auth", &[]).await;
        assert_eq!(asked.status, StatusCode::NOT_FOUND, "{}", asked.text());
        self.fails_closed().await;
    }

    async fn sends_to_wait(&self) {
        let before = self.count();
        let sent = self.get("/checkout?a=1", &[HTML]).await;
        assert_eq!(sent.status, StatusCode::FOUND, "{}", sent.text());
        let page = sent.header("location").to_owned();
        assert_eq!(page, "/_line/rooms/eras?to=/checkout%3Fa%3D1");
        let waiting = self.get(&page, &[HTML]).await;
        assert_eq!(waiting.status, StatusCode::OK);
        assert!(waiting.text().contains("<html"), "{}", waiting.text());
        let form = self.send(Method::POST, "/checkout", &[HTML], "a=1").await;
        assert_eq!(form.status, StatusCode::SEE_OTHER, "{}", form.text());
        for method in [Method::GET, Method::POST] {
            let script = [("x-requested-with", "XMLHttpRequest"), HTML];
            let told = self.send(method, "/checkout", &script, "").await;
            assert_eq!(told.status, StatusCode::FORBIDDEN, "{}", told.text());
            assert_eq!(told.header("content-type"), "application/problem+json");
            let problem: Value = serde_json::from_slice(&told.body).unwrap();
            assert_eq!(problem["code"], "pass-required");
            let url = problem["joinUrl"].as_str().unwrap();
            assert!(url.starts_with("/_line/rooms/eras?to="), "{url}");
        }
        assert_eq!(self.count(), before, "the shop was asked");
    }

    async fn believes_no_client(&self) {
        let before = self.count();
        for spoofed in [
            &[
                ("x-forwarded-uri", "/catalogue"),
                ("x-forwarded-method", "OPTIONS"),
            ][..],
            &[("x-original-url", "http://shop.example/catalogue")],
            &[
                ("x-original-method", "OPTIONS"),
                ("x-original-uri", "/catalogue"),
            ],
            &[("x-forwarded-host", "other.example")],
            &[("ropeline-room", "eras"), ("ropeline-session", "live")],
        ] {
            let answer = self
                .get("/checkout", &[&[HTML][..], spoofed].concat())
                .await;
            assert_eq!(answer.status, StatusCode::FOUND, "{spoofed:?}");
        }
        assert_eq!(self.count(), before, "the shop was asked");
        let claims = [
            ("Ropeline-Room", "eras"),
            ("ropeline-subject", "me"),
            ("Ropeline-Session", "live"),
            ("ropeline-pass-expires", "2099-01-01T00:00:00Z"),
            ("ropeline-pass", "forged"),
            ("ropeline-proof", "forged"),
            ("ropeline_room", "eras"),
        ];
        let open = self.get("/catalogue", &claims).await;
        assert_eq!(open.status, StatusCode::OK);
        let names = self.ropeline_headers();
        assert!(names.is_empty(), "the shop got {names:?}");
    }

    fn ropeline_headers(&self) -> Vec<String> {
        let names = self.last().headers;
        let names = names.keys().map(|name| name.as_str().to_owned());
        names.filter(|name| name.starts_with("ropeline")).collect()
    }

    async fn lets_through_with_a_pass(&self) {
        let cookie = self.pass_cookie().await;
        let pass = ("cookie", cookie.as_str());
        let entered = self.get("/checkout?a=1", &[HTML, pass]).await;
        assert_eq!(entered.status, StatusCode::OK, "{}", entered.text());
        let got = self.last();
        assert_eq!(got.headers["ropeline-room"], "eras");
        assert_eq!(got.headers["ropeline-session"], "live");
        let subject = got.headers["ropeline-subject"].clone();
        assert!(got.headers.contains_key("ropeline-pass-expires"));
        // Nothing of ours is on this answer, so the shop's caching holds.
        assert_eq!(entered.header("cache-control"), "public, max-age=60");
        let claims = [("ropeline-subject", "me"), ("ropeline_subject", "me")];
        let form = [&[pass][..], &claims].concat();
        let paid = self
            .send(Method::POST, "/checkout/pay", &form, "amount=12")
            .await;
        assert_eq!(paid.status, StatusCode::OK, "{}", paid.text());
        let got = self.last();
        assert_eq!(
            (got.method, &got.body[..]),
            (Method::POST, &b"amount=12"[..])
        );
        let subjects: Vec<_> = got.headers.get_all("ropeline-subject").iter().collect();
        assert_eq!(subjects, [&subject]);
        assert!(!got.headers.contains_key("ropeline_subject"));
        // The shop's own refusal is the shop's.
        let own = self.get("/checkout/login", &[HTML, pass]).await;
        assert_eq!(own.status, StatusCode::UNAUTHORIZED);
        assert_eq!(own.text(), "/checkout/login");
    }

    async fn opens_in_stand_by(&self) {
        let opened = self.get("/standing", &[HTML]).await;
        assert_eq!(opened.status, StatusCode::OK, "{}", opened.text());
        let set: Vec<_> = opened.headers.get_all("set-cookie").iter().collect();
        let of_line = set.iter().find_map(|cookie| {
            let cookie = cookie.to_str().ok()?;
            cookie
                .starts_with("ropeline_pass_standing=")
                .then(|| cookie.split(';').next())?
        });
        let cookie = of_line.unwrap_or_else(|| panic!("{set:?}"));
        assert_eq!(set.len(), 2, "the shop's cookie too: {set:?}");
        for name in [
            "cache-control",
            "expires",
            "cdn-cache-control",
            "surrogate-control",
        ] {
            let values: Vec<_> = opened.headers.get_all(name).iter().collect();
            let expected = (name == "cache-control").then_some("private, no-store");
            assert_eq!(values, Vec::from_iter(expected), "{name}");
        }
        let again = self
            .send(Method::POST, "/standing", &[("cookie", cookie)], "x")
            .await;
        assert_eq!(again.status, StatusCode::OK, "{}", again.text());
        assert_eq!(self.last().headers["ropeline-room"], "standing");
    }

    async fn fails_closed(self) {
        let Self {
            world,
            app,
            got,
            front,
            dir: _dir,
            proxy: _proxy,
            shop: _shop,
        } = self;
        let before = got.lock().unwrap().len();
        let http = app.http.clone();
        drop(app);
        drop(world);
        eventually("an answer without the gateway", async || {
            let answer = http.get(format!("http://{front}/checkout")).send().await;
            answer.ok().filter(|it| it.status().is_server_error())
        })
        .await;
        assert_eq!(got.lock().unwrap().len(), before, "the shop was asked");
    }
}

/// Answers with the path, cacheable and with a cookie, and notes what it got.
fn shop(got: Arc<Mutex<Vec<Got>>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let got = got.clone();
        async move {
            let (head, body) = request.into_parts();
            let path = head.uri.path().to_owned();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            got.lock().unwrap().push(Got {
                method: head.method,
                target: head.uri.to_string(),
                headers: head.headers,
                body,
            });
            let status = if path.ends_with("/login") {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::OK
            };
            let headers = [
                ("set-cookie", "cart=1; Path=/"),
                ("cache-control", "public, max-age=60"),
                ("cdn-cache-control", "max-age=60"),
                ("surrogate-control", "max-age=60"),
                ("expires", "Thu, 31 Dec 2037 00:00:00 GMT"),
            ];
            (status, headers, path)
        }
    })
}
