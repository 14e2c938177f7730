//! Webhooks of payment providers: a body that our secret signed is an event or unreadable, and what it is
//! about never panics; a body that was changed after it was signed is refused.

#![no_main]

use std::sync::LazyLock;

use booking_core::provider::{PaymentProvider, WebhookRefusal};
use booking_core::webhook_readers;
use contract::Timestamp;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
const SECRET: &str = "whsec";

static READERS: LazyLock<Vec<Box<dyn PaymentProvider>>> = LazyLock::new(|| webhook_readers(SECRET));

fn signed(parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    parts.iter().for_each(|part| mac.update(part));
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("hex")
}

fuzz_target!(|bytes: &[u8]| {
    // The first line is a signature that somebody makes up.
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (made_up, body) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let seconds = NOW.as_unix_seconds().to_string();
    let timed = format!(
        "t={seconds},v1={}",
        signed(&[seconds.as_bytes(), b".", body])
    );
    let mut genuine = HeaderMap::new();
    genuine.insert("stripe-signature", header(&timed));
    genuine.insert("x-razorpay-signature", header(&signed(&[body])));
    let mut forged = HeaderMap::new();
    if let Ok(made_up) = HeaderValue::from_bytes(made_up) {
        forged.insert("stripe-signature", made_up.clone());
        forged.insert("x-razorpay-signature", made_up);
    }
    for reader in &*READERS {
        assert_eq!(
            reader.webhook(&forged, body, NOW),
            Err(WebhookRefusal::BadSignature)
        );
        let changed = [body, b" "].concat();
        assert_eq!(
            reader.webhook(&genuine, &changed, NOW),
            Err(WebhookRefusal::BadSignature)
        );
        match reader.webhook(&genuine, body, NOW) {
            Ok(event) => {
                let subject = reader.subject(&event.kind, &event.payload);
                assert_eq!(reader.subject(&event.kind, &event.payload), subject);
                let again = reader.webhook(&genuine, body, NOW).expect("it was genuine");
                assert_eq!(again, event, "an event has one id");
            }
            Err(refusal) => assert_eq!(refusal, WebhookRefusal::Unreadable),
        }
    }
});
