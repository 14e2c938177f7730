//! A fan's browser: keeps its cookie and speaks to a router.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use contract::principal::{self, Principal};
use contract::{PlaceId, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::description;

pub(crate) const SHOW: &str = "/api/v1/shows/eras-mumbai-1";

/// Tries of a patient fan.
const HOLD_TRIES_MAX: usize = 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    pub(crate) text: String,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

/// The path of the hold that `answer` grants.
pub(crate) fn hold_path(answer: &Answer) -> String {
    format!("/api/v1/holds/{}", answer.json["holdId"].as_str().unwrap())
}

/// The provider's id of the payment that `answer` started: its client secret begins with it, or the
/// address of its page ends with it.
pub(crate) fn intent_of(answer: &Answer) -> String {
    let secret = answer.json["clientSecret"].as_str().unwrap();
    let page = || answer.json["redirectUrl"].as_str()?.rsplit('/').next();
    let of_secret = secret.split_once("_secret").map(|(intent, _)| intent);
    of_secret.or_else(page).unwrap().to_owned()
}

#[derive(Clone)]
pub(crate) struct Fan {
    router: Router,
    headers: HeaderMap,
    cookie: Arc<Mutex<Option<String>>>,
    /// What the shop calls a payment, by the provider's id.
    payments: Arc<Mutex<HashMap<String, String>>>,
}

impl Fan {
    pub(crate) fn new(router: Router) -> Self {
        Self {
            router,
            headers: HeaderMap::new(),
            cookie: Arc::default(),
            payments: Arc::default(),
        }
    }

    /// The same fan at another process.
    pub(crate) fn at(&self, router: Router) -> Self {
        Self {
            router,
            ..self.clone()
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// The fan with a pass, as the gateway describes it.
    pub(crate) fn with_pass(self, room: &str, place: u8) -> Self {
        self.with_principal(room, place, true)
    }

    /// The fan with a pass whose session is over.
    pub(crate) fn with_ended_pass(self, room: &str, place: u8) -> Self {
        self.with_principal(room, place, false)
    }

    fn with_principal(mut self, room: &str, place: u8, is_live: bool) -> Self {
        let principal = Principal {
            room: room.parse().unwrap(),
            subject: PlaceId::from_bytes([place; 16]),
            expires_at: Timestamp::from_ms(1_900_000_000_000),
            is_live,
        };
        principal::write(&[principal], &mut self.headers);
        self
    }

    /// The fan in a browser that keeps no cookies of this one.
    pub(crate) fn without_cookies(&self) -> Self {
        Self {
            cookie: Arc::default(),
            ..self.clone()
        }
    }

    /// A browser with the cookies that this one has now.
    pub(crate) fn copied(&self) -> Self {
        let cookie = self.cookie.lock().unwrap().clone();
        Self {
            cookie: Arc::new(Mutex::new(cookie)),
            ..self.clone()
        }
    }

    /// Gets a session, by a hold that is given up again.
    pub(crate) async fn with_session(&self) {
        let hold = self.held(&["B1"]).await;
        assert_eq!(self.delete(&hold).await.status, 204);
    }

    pub(crate) fn without_pass(mut self) -> Self {
        for name in [
            principal::ROOM,
            principal::SUBJECT,
            principal::PASS_EXPIRES,
            principal::SESSION,
        ] {
            self.headers.remove(name);
        }
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Body::from(body.to_string()))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: String) -> Answer {
        self.send(Method::POST, path, Body::from(body)).await
    }

    pub(crate) async fn hold(&self, seats: &[&str]) -> Answer {
        self.post(&format!("{SHOW}/holds"), &json!({"seatIds": seats}))
            .await
    }

    /// Holds so many of the best seats.
    pub(crate) async fn best(&self, quantity: u32) -> Answer {
        self.post(&format!("{SHOW}/holds"), &json!({"quantity": quantity}))
            .await
    }

    /// Holds seats, and tries again as told while booking is busy: a loaded machine is not what
    /// a test of concurrency is about.
    pub(crate) async fn hold_patiently(&self, seats: &[&str]) -> Answer {
        for _ in 0..HOLD_TRIES_MAX {
            let answer = self.hold(seats).await;
            if answer.status != 503 {
                return answer;
            }
        }
        self.hold(seats).await
    }

    /// Holds seats and returns the hold's path.
    pub(crate) async fn held(&self, seats: &[&str]) -> String {
        let answer = self.hold(seats).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        hold_path(&answer)
    }

    pub(crate) async fn pay(&self, hold: &str) -> Answer {
        let body = json!({"email": "fan@example.com"});
        let answer = self.post(&format!("{hold}/payments"), &body).await;
        if let Some(payment) = answer.json["paymentIntentId"].as_str() {
            let intent = intent_of(&answer);
            let mut payments = self.payments.lock().unwrap();
            payments.insert(intent, payment.to_owned());
        }
        answer
    }

    /// Starts a payment and returns the provider's id.
    pub(crate) async fn intent(&self, hold: &str) -> String {
        let answer = self.pay(hold).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        intent_of(&answer)
    }

    /// Confirms the payment of the provider's `intent`, by the name that the shop gave it. One that
    /// the fan was not told of is named as it is.
    pub(crate) async fn confirm(&self, hold: &str, intent: &str) -> Answer {
        let payment = self.payments.lock().unwrap().get(intent).cloned();
        let body = json!({"paymentIntentId": payment.as_deref().unwrap_or(intent)});
        self.post(&format!("{hold}/confirm"), &body).await
    }

    /// The status of a seat on the map.
    pub(crate) async fn seat(&self, seat: &str) -> String {
        let map = self.get(&format!("{SHOW}/seatmap")).await;
        let seats = map.json["seats"].as_array().unwrap();
        let found = seats.iter().find(|s| s["seatId"] == seat).unwrap();
        found["status"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header("content-type", "application/json");
        if let Some(cookie) = &*self.cookie.lock().unwrap() {
            request = request.header("cookie", cookie);
        }
        let mut request = request.body(body).unwrap();
        request.headers_mut().extend(self.headers.clone());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let status = parts.status.as_u16();
        description::check(&self.router, &method, path, status, &parts.headers, &body).await;
        if let Some(set) = parts.headers.get("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            *self.cookie.lock().unwrap() = Some(pair.to_owned());
        }
        Answer {
            status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
            bytes: body,
        }
    }
}
