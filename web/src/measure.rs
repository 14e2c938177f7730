//! Counts requests and measures response times.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;

use crate::telemetry::{REQUEST_SECONDS, REQUESTS_TOTAL};

/// The values of the label `part` for one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// For requests that match a route.
    pub routed: &'static str,
    /// For all other requests.
    pub unrouted: &'static str,
}

impl Part {
    /// The same value whether or not a route matches.
    pub const fn new(name: &'static str) -> Self {
        Self {
            routed: name,
            unrouted: name,
        }
    }
}

/// The metrics of one router; handles are looked up once. Clones share them.
#[derive(Clone)]
pub struct Measure(Arc<Shared>);

struct Shared {
    part: Part,
    /// By route template, so the size is bounded by the number of routes.
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
    unrouted: Arc<Route>,
}

/// The metrics of one route.
pub struct Route {
    part: &'static str,
    name: Arc<str>,
    seconds: Histogram,
    /// Bounded by the methods that have a label and the statuses that handlers return.
    requests: RwLock<HashMap<(&'static str, StatusCode), Counter>>,
}

impl Measure {
    /// Metrics of `part`. Handles are created at first use, in the recorder installed by then.
    pub fn of(part: Part) -> Self {
        Self(Arc::new(Shared {
            part,
            routes: RwLock::default(),
            unrouted: Arc::new(Route::new(part.unrouted, "other")),
        }))
    }
}

impl Measure {
    /// The metrics of the route with this template.
    pub fn route(&self, template: &str) -> Arc<Route> {
        self.0.route(template)
    }

    /// The metrics of all requests without a route.
    pub fn unrouted(&self) -> Arc<Route> {
        self.0.unrouted.clone()
    }
}

impl Shared {
    fn route(&self, template: &str) -> Arc<Route> {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = known.get(template) {
            return Arc::clone(route);
        }
        drop(known);
        let mut known = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let route = known
            .entry(template.into())
            .or_insert_with(|| Arc::new(Route::new(self.part.routed, template)));
        Arc::clone(route)
    }
}

impl Route {
    fn new(part: &'static str, name: &str) -> Self {
        let name: Arc<str> = name.into();
        Self {
            part,
            seconds: histogram!(REQUEST_SECONDS, "part" => part, "route" => Arc::clone(&name)),
            name,
            requests: RwLock::default(),
        }
    }

    /// Records a request that arrived at `began` and was answered now.
    pub fn record(&self, began: Instant, method: &Method, status: StatusCode) {
        let method = method_label(method);
        self.seconds.record(began.elapsed().as_secs_f64());
        let of = (method, status);
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&of) {
            counter.increment(1);
            return;
        }
        drop(known);
        let mut known = self
            .requests
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let counter = known.entry(of).or_insert_with(|| {
            counter!(
                REQUESTS_TOTAL,
                "part" => self.part, "route" => Arc::clone(&self.name), "method" => method,
                "status" => status.as_str().to_owned()
            )
        });
        counter.increment(1);
    }
}

/// Records one request. The label `route` is the template of the route, such as
/// `/_line/v1/rooms/{room}`, or `other`, so that its values are bounded.
pub async fn middleware(State(measure): State<Measure>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let template = request.extensions().get::<MatchedPath>();
    let route = template.map(|path| measure.0.route(path.as_str()));
    let response = next.run(request).await;
    let route = route.as_ref().unwrap_or(&measure.0.unrouted);
    route.record(began, &method, response.status());
    response
}

/// The label of a method. Methods that HTTP does not register share one label, because clients
/// could invent any number.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
