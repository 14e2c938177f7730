//! Text messages and push messages beside mail: which way a notice takes, and which it takes then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use booking_core::{
    ChannelsConfig, Delivery, MailConfig, Sender, SmsDelivery, SmsProvider, SmsSettings,
    SmtpServer as Server,
};
use contract::{Clock, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use http::{HeaderMap, StatusCode};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::Connection;
use test_support::smtp_server::SmtpServer;
use tokio::net::TcpListener;

use crate::cancel::bought;
use crate::fan::{Answer, Fan};
use crate::test_shop::{Process, TestShop};

/// A server that takes messages, and answers as a test says.
#[derive(Clone)]
pub(crate) struct Taker {
    pub(crate) url: String,
    state: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    status: u16,
    requests: Vec<(HeaderMap, Bytes)>,
}

impl Taker {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(Taken {
            status: 201,
            requests: Vec::new(),
        }));
        let router = axum::Router::new()
            .fallback(take)
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) fn answers(&self, status: u16) {
        self.state.lock().unwrap().status = status;
    }

    pub(crate) fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The texts of the messages that were posted as a form.
    fn texts(&self) -> Vec<String> {
        let requests = self.requests();
        let bodies = requests.iter().filter_map(|(_, body)| {
            let mut fields = url::form_urlencoded::parse(body);
            Some(fields.find(|(name, _)| name == "Body")?.1.into_owned())
        });
        bodies.collect()
    }
}

async fn take(
    State(state): State<Arc<Mutex<Taken>>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let mut taken = state.lock().unwrap();
    taken.requests.push((headers, body));
    let number = taken.requests.len();
    let status = StatusCode::from_u16(taken.status).unwrap();
    (status, json!({"sid": format!("SM{number}")}).to_string())
}

/// A browser that takes push messages.
pub(crate) struct Phone {
    secret: SecretKey,
    auth: [u8; 16],
}

impl Phone {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            secret: SecretKey::from_slice(&[number; 32]).unwrap(),
            auth: [number; 16],
        }
    }

    /// What it gives to whoever wants to tell it something at this address.
    pub(crate) fn subscription(&self, endpoint: &str) -> Value {
        let public = self.secret.public_key().to_encoded_point(false);
        json!({"endpoint": endpoint, "expirationTime": null, "keys": {
            "p256dh": BASE64URL_NOPAD.encode(public.as_bytes()),
            "auth": BASE64URL_NOPAD.encode(&self.auth),
        }})
    }

    /// What a message says: RFC 8291, from the side of the browser.
    pub(crate) fn opened(&self, body: &[u8]) -> Value {
        let (salt, rest) = body.split_at(16);
        assert_eq!(&rest[..5], [0, 0, 16, 0, 65]);
        let (sender, sealed) = rest[5..].split_at(65);
        let sender_key = PublicKey::from_sec1_bytes(sender).unwrap();
        let shared =
            p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), sender_key.as_affine());
        let own = self.secret.public_key().to_encoded_point(false);
        let about = [b"WebPush: info\0", own.as_bytes(), sender].concat();
        let derived = |salt: &[u8], input: &[u8], about: &[u8], length: usize| {
            let mut out = vec![0; length];
            let key = Hkdf::<Sha256>::new(Some(salt), input);
            key.expand(about, &mut out).unwrap();
            out
        };
        let input = derived(&self.auth, shared.raw_secret_bytes(), &about, 32);
        let key = derived(salt, &input, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = derived(salt, &input, b"Content-Encoding: nonce\0", 12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let mut sealed = sealed.to_vec();
        let opened = key.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap();
        let (last, message) = opened.split_last().unwrap();
        assert_eq!(*last, 2);
        serde_json::from_slice(message).unwrap()
    }
}

/// A shop that mails, texts and pushes, with the servers that take all of it.
pub(crate) struct Scene {
    pub(crate) shop: TestShop,
    pub(crate) mail: SmtpServer,
    pub(crate) sms: Taker,
    pub(crate) push: Taker,
    pub(crate) process: Process,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::at(TestShop::new().await, None).await
    }

    /// With this JSON body of text messages.
    pub(crate) async fn at(shop: TestShop, body: Option<&str>) -> Self {
        let (mail, sms, push) = tokio::join!(SmtpServer::start(), Taker::start(), Taker::start());
        let smtp = Server::read(&mail.url(), None, "tickets.test").unwrap();
        let mail_config = MailConfig {
            delivery: Delivery::Smtp(smtp),
            from: Sender::read("Tickets <tickets@shop.example>").unwrap(),
        };
        let provider = SmsProvider::read(SmsSettings {
            url: &format!("{}/Accounts/AC1/Messages.json", sms.url),
            token: Some("AC1:secret"),
            from: Some("+15005550006"),
            body,
            more_roots: None,
        });
        let channels = ChannelsConfig {
            sms: SmsDelivery::Provider(provider.unwrap()),
            push_origins: vec![push.url.clone()],
            ..ChannelsConfig::default()
        };
        let process = shop.another_process_that_tells(mail_config, channels).await;
        Self {
            shop,
            mail,
            sms,
            push,
            process,
        }
    }

    /// Everything that can be told now.
    pub(crate) async fn tells(&self) {
        let booking = &self.process.booking;
        loop {
            let done = booking.sequence_once().await.unwrap()
                + booking.collect_notices_once().await.unwrap()
                + booking.remind_once().await.unwrap()
                + booking.show_move_once().await.unwrap()
                + booking.turns_once().await.unwrap()
                + booking.mail_once().await.unwrap();
            if done == 0 {
                return;
            }
        }
    }

    /// What operators see of notices in this state, of this kind.
    pub(crate) async fn listed(&self, status: &str, kind: &str) -> Vec<Value> {
        let operator = Fan::new(self.process.booking.admin().0);
        let list = operator
            .get(&format!("/admin/v1/mail?status={status}"))
            .await;
        let all = list.json["notices"].as_array().unwrap().clone();
        all.into_iter().filter(|it| it["kind"] == kind).collect()
    }

    pub(crate) fn mailed(&self, what: &str) -> usize {
        let all = self.mail.taken();
        all.iter().filter(|mail| mail.contains(what)).count()
    }

    /// A fan's booking: the fan at the process that tells, and the path.
    async fn booking(&self) -> (Fan, String) {
        let (fan, booking, _) = bought(&self.shop, &["A1"]).await;
        (fan.at(self.process.router.clone()), booking)
    }

    /// The one-time code that came by mail last.
    async fn code(&self, fan: &Fan, booking: &str) -> String {
        self.shop.clock.advance(Duration::from_secs(1));
        let sent = fan.post(&format!("{booking}/codes"), &json!({})).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        self.tells().await;
        let all = self.mail.taken();
        let last = all.iter().rfind(|mail| mail.contains("one-time-code"));
        let digits = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        last.unwrap().lines().find(digits).unwrap().to_owned()
    }

    /// Prefers text messages to this number.
    async fn prefers_texts(&self, fan: &Fan, booking: &str) {
        let code = self.code(fan, booking).await;
        let wanted = json!({"preferred": "SMS", "phone": "+49 151 2345678", "code": code});
        let changed = put(fan, booking, &wanted).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(changed.json["phone"], "+49…78");
    }

    async fn subscribes(&self, fan: &Fan, booking: &str, number: u8) -> Answer {
        let endpoint = format!("{}/phone/{number}", self.push.url);
        let subscription = Phone::new(number).subscription(&endpoint);
        fan.post(&format!("{booking}/push-subscriptions"), &subscription)
            .await
    }

    fn hours_before(&self, hours: u64) {
        let starts_at = Timestamp::parse("2026-12-24T14:00:00Z").unwrap();
        let at = starts_at.minus(Duration::from_hours(hours));
        self.shop.clock.advance(at.since(self.shop.clock.now()));
    }
}

async fn put(fan: &Fan, booking: &str, wanted: &Value) -> Answer {
    fan.put(&format!("{booking}/contact"), wanted).await
}

#[tokio::test]
async fn a_number_takes_a_code_and_gets_reminders_but_no_code_and_no_link() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    let wanted = json!({"preferred": "SMS", "phone": "+49 151 2345678"});
    assert_eq!(put(&fan, &booking, &wanted).await.code(), "code-required");
    let guessed = json!({"preferred": "SMS", "phone": "+491512345678", "code": "000000"});
    assert_eq!(put(&fan, &booking, &guessed).await.code(), "code-not-valid");
    for (wanted, field) in [
        (json!({"phone": "0151 2345678", "code": "1"}), "phone"),
        (json!({"preferred": "SMS", "code": "1"}), "phone"),
    ] {
        let refused = put(&fan, &booking, &wanted).await;
        assert_eq!(
            (refused.status, &refused.json["field"]),
            (422, &json!(field))
        );
    }
    let stranger = scene.shop.fan().at(scene.process.router.clone());
    assert_eq!(
        stranger.get(&format!("{booking}/contact")).await.status,
        404
    );

    scene.prefers_texts(&fan, &booking).await;
    // Nobody has proved that the number is right: the next code goes by mail again.
    let mailed = scene.mail.taken().len();
    scene.code(&fan, &booking).await;
    assert_eq!(scene.mail.taken().len(), mailed + 1);
    assert!(scene.sms.requests().is_empty());
    scene.hours_before(2);
    scene.tells().await;
    let (headers, body) = scene.sms.requests().remove(0);
    assert_eq!(headers["authorization"], "Basic QUMxOnNlY3JldA==");
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!(fields[0], ("To".to_owned(), "+491512345678".to_owned()));
    assert_eq!(fields[1], ("From".to_owned(), "+15005550006".to_owned()));
    let text = &fields[2].1;
    assert!(
        text.starts_with("The Eras Tour: ") && !text.contains("http"),
        "{text}"
    );
    let sent = scene.listed("SENT", "SHOW_REMINDER").await;
    let texted = sent.iter().find(|it| it["channel"] == "SMS").unwrap();
    assert_eq!(texted["receipt"], "SM1");
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn what_the_provider_refuses_goes_by_mail_and_an_outage_is_waited_out_for_a_while() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    scene.prefers_texts(&fan, &booking).await;
    scene.sms.answers(400);
    let operator = Fan::new(scene.process.booking.admin().0);
    let order = json!({"startsAt": "2026-12-24T15:00:00Z"});
    let moved = operator
        .post("/admin/v1/shows/eras-mumbai-1/move", &order)
        .await;
    assert_eq!(moved.status, 202, "{}", moved.text);
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Moved:"), 1);
    let sent = scene.listed("SENT", "SHOW_MOVED").await;
    assert_eq!(sent[0]["failedChannels"], json!(["SMS"]));
    assert_eq!(sent[0]["channel"], "EMAIL");

    scene.sms.answers(503);
    scene.hours_before(1);
    scene.tells().await;
    let mailed = || scene.mailed("Subject: Soon:");
    assert_eq!(mailed(), 0, "an outage of a second is waited out");
    let due = scene.listed("DUE", "SHOW_REMINDER").await;
    assert!(
        due[0]["lastError"].as_str().unwrap().contains("503"),
        "{due:?}"
    );
    // A mail server has nothing to do with it.
    let (other, _, _) = bought(&scene.shop, &["A2"]).await;
    drop(other);
    scene.tells().await;
    for _ in 0..20 {
        scene.shop.clock.advance(Duration::from_secs(20));
        scene.tells().await;
    }
    assert_eq!(mailed(), 1);
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn a_provider_with_a_body_of_its_own_gets_that() {
    let body = r#"{"messages": [{"to": "{to}", "text": "{text}"}], "ref": "{id}"}"#;
    let scene = Scene::at(TestShop::new().await, Some(body)).await;
    let (fan, booking) = scene.booking().await;
    scene.prefers_texts(&fan, &booking).await;
    scene.hours_before(2);
    scene.tells().await;
    let (headers, body) = scene.sms.requests().pop().unwrap();
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][0]["to"], "+491512345678");
    let text = body["messages"][0]["text"].as_str().unwrap();
    assert!(!text.contains("http"), "{text}");
    assert_eq!(body["ref"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_reminder_is_pushed_two_hours_before_to_every_browser() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    for number in [1, 2] {
        let added = scene.subscribes(&fan, &booking, number).await;
        assert_eq!(added.status, 200, "{}", added.text);
        assert_eq!(added.json["preferred"], "PUSH");
    }
    scene.hours_before(23);
    scene.tells().await;
    assert!(scene.push.requests().is_empty(), "that is the time of mail");
    scene.hours_before(2);
    scene.tells().await;
    scene.tells().await;
    let pushed = scene.push.requests();
    assert_eq!(pushed.len(), 2);
    let (headers, body) = &pushed[0];
    assert_eq!(headers["content-encoding"], "aes128gcm");
    assert_eq!(headers["topic"].len(), 32);
    assert_eq!(headers["ttl"], "86400");
    let opened = [1, 2].map(|number| {
        std::panic::catch_unwind(|| Phone::new(number).opened(body))
            .ok()
            .map(|message| message["title"].clone())
    });
    assert!(opened.contains(&Some(json!("The Eras Tour"))), "{opened:?}");
    // Who we are, signed with the key that the browser was given.
    let key = fan.get(&format!("{booking}/contact")).await.json["pushKey"].clone();
    let value = headers["authorization"].to_str().unwrap();
    let (token, public) = value
        .strip_prefix("vapid t=")
        .and_then(|rest| rest.split_once(", k="))
        .unwrap();
    assert_eq!(key, public);
    let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&decoded(signature)).unwrap();
    VerifyingKey::from_sec1_bytes(&decoded(public))
        .unwrap()
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let claims: Value =
        serde_json::from_slice(&decoded(signed.split_once('.').unwrap().1)).unwrap();
    assert_eq!(claims["aud"], scene.push.url);
    assert_eq!(scene.mailed("Soon: The Eras"), 0);
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn a_browser_that_is_gone_is_forgotten_and_the_fan_is_told_another_way() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    scene.subscribes(&fan, &booking, 1).await;
    scene.push.answers(410);
    scene.hours_before(2);
    scene.tells().await;
    assert_eq!(scene.push.requests().len(), 1);
    assert_eq!(scene.mailed("Soon: The Eras"), 1);
    let contact = fan.get(&format!("{booking}/contact")).await.json;
    assert_eq!(contact["pushCount"], 0);
    let sent = scene.listed("SENT", "SHOW_REMINDER").await;
    assert_eq!(sent[0]["failedChannels"], json!(["PUSH"]));
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn a_browser_that_cannot_be_forgotten_doubles_and_delays_nothing() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    scene.subscribes(&fan, &booking, 1).await;
    scene.push.answers(410);
    scene
        .shop
        .meddle(
            "create function kept() returns trigger language plpgsql as
             $$ begin raise exception 'kept'; end $$;
             create trigger kept before delete on push_subscriptions
             for each row execute function kept()",
        )
        .await;
    scene.hours_before(2);
    scene.tells().await;
    assert_eq!(scene.push.requests().len(), 1);
    assert_eq!(scene.mailed("Soon: The Eras"), 1);
}

#[tokio::test]
async fn browsers_are_few_and_at_push_services_only() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    let path = format!("{booking}/push-subscriptions");
    for endpoint in [
        "https://10.0.0.7/x",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "x",
    ] {
        let refused = fan.post(&path, &Phone::new(1).subscription(endpoint)).await;
        assert_eq!(refused.status, 422, "{endpoint}");
    }
    let mut damaged = Phone::new(1).subscription(&scene.push.url);
    damaged["keys"]["p256dh"] = json!("AAAA");
    assert_eq!(fan.post(&path, &damaged).await.status, 422);
    for number in [1, 2, 3, 4, 5, 5, 1] {
        assert_eq!(scene.subscribes(&fan, &booking, number).await.status, 200);
    }
    let sixth = scene.subscribes(&fan, &booking, 6).await;
    assert_eq!((sixth.status, sixth.code()), (409, "conflict"));
    let removed = fan.delete(&path).await;
    assert_eq!(
        (removed.status, &removed.json["pushCount"]),
        (200, &json!(0))
    );
    assert_eq!(removed.json["preferred"], "EMAIL");
}

#[tokio::test]
async fn a_forwarded_link_diverts_nothing_and_a_revoked_one_keeps_no_browser() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    let link = crate::guests::link(&scene.shop).await;
    let link = link.trim_start_matches("/b/");
    let by_link = |code: Option<&str>| {
        let stranger = scene.shop.fan().at(scene.process.router.clone());
        let stranger = stranger.with_header("booking-link", link);
        match code {
            Some(code) => stranger.with_header("one-time-code", code),
            None => stranger,
        }
    };
    let path = format!("{booking}/push-subscriptions");
    assert_eq!(scene.subscribes(&fan, &booking, 1).await.status, 200);
    for stranger in [by_link(None), by_link(Some("000000"))] {
        let added = scene.subscribes(&stranger, &booking, 2).await;
        assert_eq!(added.status, 403, "{}", added.text);
        assert_eq!(stranger.delete(&path).await.status, 403);
    }
    let contact = async || fan.get(&format!("{booking}/contact")).await.json;
    assert_eq!(contact().await["pushCount"], 1);
    // Whoever reads the mail of the booking may.
    let code = scene.code(&fan, &booking).await;
    let reader = scene.shop.fan().at(scene.process.router.clone());
    let reader = reader
        .with_header("booking-link", link)
        .with_header("one-time-code", &code);
    assert_eq!(scene.subscribes(&reader, &booking, 3).await.status, 200);
    assert_eq!(scene.subscribes(&reader, &booking, 4).await.status, 403);
    let operator = Fan::new(scene.process.booking.admin().0);
    let admins = booking.replace("/api/v1/", "/admin/v1/");
    let revoked = operator
        .post(&format!("{admins}/links/revoke"), &json!({}))
        .await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let left = contact().await;
    assert_eq!(
        (&left["pushCount"], &left["preferred"]),
        (&json!(0), &json!("EMAIL"))
    );
    assert_eq!(scene.subscribes(&fan, &booking, 1).await.status, 200);
    let printed = operator
        .post(&format!("{admins}/reissue"), &json!({}))
        .await;
    assert_eq!(printed.status, 200, "{}", printed.text);
    assert_eq!(contact().await["pushCount"], 0);
}

#[tokio::test]
async fn letters_are_in_the_language_of_the_browser_that_paid() {
    let scene = Scene::new().await;
    let fan = scene
        .shop
        .fan()
        .with_header("accept-language", "de-AT, en;q=0.5");
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    scene.shop.provider.pay(&intent);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    let unpaid = scene.shop.fan().with_header("accept-language", "de");
    let late = unpaid.held(&["A2"]).await;
    unpaid.intent(&late).await;
    scene.shop.clock.advance(Duration::from_secs(301));
    let booking = &scene.process.booking;
    while booking.sweep_once().await.unwrap() + booking.poll_once().await.unwrap() > 0 {}
    scene.tells().await;
    assert_eq!(scene.mailed("Ihre Tickets"), 1);
    assert_eq!(scene.mailed("Nicht mehr reserviert"), 1);
}

#[tokio::test]
async fn numbers_and_browsers_go_a_month_after_the_show() {
    let scene = Scene::new().await;
    let (fan, booking) = scene.booking().await;
    scene.prefers_texts(&fan, &booking).await;
    scene.subscribes(&fan, &booking, 1).await;
    scene
        .shop
        .meddle("insert into hold_languages select hold_id, 'de' from holds")
        .await;
    let contact = async || fan.get(&format!("{booking}/contact")).await.json;
    scene.hours_before(0);
    scene.shop.clock.advance(Duration::from_hours(30 * 24));
    scene.process.booking.purge_once().await.unwrap();
    assert_eq!(contact().await["pushCount"], 1);
    scene.shop.clock.advance(Duration::from_hours(2 * 24));
    scene.process.booking.purge_once().await.unwrap();
    let left = contact().await;
    assert_eq!(
        (&left["pushCount"], &left["phone"]),
        (&json!(0), &Value::Null)
    );
    let mut database = scene.shop.database.connect().await;
    let languages: i64 = sqlx::query_scalar("select count(*) from hold_languages")
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    assert_eq!(languages, 0);
    assert_eq!(scene.sms.texts().len(), 0);
}
