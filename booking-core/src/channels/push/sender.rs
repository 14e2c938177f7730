//! The push services.

use std::sync::Arc;

use contract::Clock;
use futures_util::future::join_all;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use p256::SecretKey;
use serde_json::json;
use url::Url;

use super::encrypt::encrypt;
use super::subscription::PushHosts;
use super::vapid::VapidKey;
use crate::channels::told::{Attempt, Attempting, Browser, Channel, Stamp, Told};
use crate::notice::{ChannelKind, NoticeKind, SendError};
use crate::payments::http_client::HttpClient;
use crate::randomness::Randomness;

/// Sends push messages.
pub(crate) struct PushSender {
    client: HttpClient,
    key: VapidKey,
    pub(crate) hosts: PushHosts,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
}

/// What became of a message to one browser.
enum Delivered {
    Taken(Option<String>),
    /// The browser takes no messages any more.
    Gone,
    NotTaken(SendError),
}

impl PushSender {
    pub(crate) fn new(
        client: HttpClient,
        key: VapidKey,
        hosts: PushHosts,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            client,
            key,
            hosts,
            clock,
            randomness: Randomness::new(seed),
        }
    }

    /// What browsers subscribe to.
    pub(crate) fn public_key(&self) -> String {
        self.key.public()
    }

    async fn send_all(&self, told: &Told, stamp: Stamp<'_>) -> Attempt {
        let message = json!({
            "title": told.short.title,
            "body": told.short.text,
            "url": told.short.url,
            // A message that comes twice replaces itself.
            "tag": stamp.notice_id.simple().to_string(),
        })
        .to_string();
        let each = told.to.browsers.iter();
        let sent = join_all(each.map(|browser| self.send_one(browser, &message, told.kind, stamp)));
        let mut gone = Vec::new();
        let mut outcome = Err(SendError::Refused("no browser takes it".to_owned()));
        for (browser, delivered) in told.to.browsers.iter().zip(sent.await) {
            match (delivered, &outcome) {
                (Delivered::Taken(receipt), _) => outcome = Ok(receipt),
                (Delivered::Gone, _) => gone.extend(browser.subscription_id),
                // One that can be tried again is told before one that refused.
                (Delivered::NotTaken(error), Err(SendError::Refused(_))) => outcome = Err(error),
                (Delivered::NotTaken(_), _) => {}
            }
        }
        Attempt { outcome, gone }
    }

    async fn send_one(
        &self,
        browser: &Browser,
        message: &str,
        kind: NoticeKind,
        stamp: Stamp<'_>,
    ) -> Delivered {
        let refused = |why: &str| Delivered::NotTaken(SendError::Refused(why.to_owned()));
        let Ok(endpoint) = Url::parse(&browser.endpoint) else {
            return refused("its address is no URL");
        };
        if !self.hosts.allow(&endpoint) {
            return refused("its push service is not one that we know");
        }
        // All but one of 2^32 random numbers is a key.
        let own = (0..4).find_map(|_| SecretKey::from_slice(&self.randomness.bytes::<32>()).ok());
        let Some(own) = own else {
            return refused("there is no randomness");
        };
        let salt = self.randomness.bytes();
        let (p256dh, auth) = (&browser.p256dh, &browser.auth);
        let body = match encrypt(message.as_bytes(), p256dh, auth, &own, salt) {
            Ok(body) => body,
            Err(error) => return refused(&error.to_string()),
        };
        let origin = endpoint.origin().ascii_serialization();
        let (seconds, urgency) = delivery(kind);
        let request = self
            .client
            .post(browser.endpoint.clone())
            .header(
                AUTHORIZATION,
                self.key.authorization(&origin, self.clock.now()),
            )
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("ttl", seconds.to_string())
            .header("urgency", urgency)
            // A message that was not delivered yet is replaced by its repetition.
            .header("topic", stamp.notice_id.simple().to_string())
            .body(body);
        match self.client.send(request).await {
            // Each push service is one of many, so none of them is left alone by itself.
            Err(error) => Delivered::NotTaken(SendError::PutOff(error.to_string())),
            Ok(answer) => {
                let receipt = answer.headers.get(LOCATION);
                let receipt = receipt.and_then(|value| value.to_str().ok());
                judged(answer.status, receipt.map(str::to_owned))
            }
        }
    }
}

fn judged(status: StatusCode, receipt: Option<String>) -> Delivered {
    let said = || format!("it answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Delivered::Taken(receipt),
        404 | 410 => Delivered::Gone,
        400..=428 | 430..=499 => Delivered::NotTaken(SendError::Refused(said())),
        _ => Delivered::NotTaken(SendError::PutOff(said())),
    }
}

/// How long a push service keeps a message for a browser that is away, in seconds, and how urgently
/// it wakes the device.
fn delivery(kind: NoticeKind) -> (u64, &'static str) {
    let seconds = kind.useful_for().as_secs();
    match kind {
        NoticeKind::YourTurn | NoticeKind::ShowMoved => (seconds, "high"),
        _ => (seconds, "normal"),
    }
}

impl Channel for PushSender {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Push
    }

    fn send<'a>(&'a self, told: &'a Told, stamp: Stamp<'a>) -> Attempting<'a> {
        Box::pin(self.send_all(told, stamp))
    }
}
