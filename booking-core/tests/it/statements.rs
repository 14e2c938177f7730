//! What a purchase asks of the database: a round trip more fails these tests.

use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, with_default};
use tracing::{Event, Metadata, Subscriber};

use crate::test_shop::TestShop;

/// What a connection is asked when it is taken again.
const IS_PRIMARY: &str = "show transaction_read_only";

/// Notes every statement that this thread sends.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Other tests of this process have no listener.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut summary = Summary(String::new());
        event.record(&mut summary);
        self.0.lock().unwrap().push(summary.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The beginning of a statement.
struct Summary(String);

impl Visit for Summary {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Listener {
    /// The statements that were sent since it was asked last.
    fn take(&self) -> Vec<String> {
        let mut sent = std::mem::take(&mut *self.0.lock().unwrap());
        // Whether a connection is taken that was used before is chance.
        sent.retain(|statement| statement != IS_PRIMARY);
        sent
    }
}

#[test]
fn a_purchase_sends_so_many_statements() {
    // One thread, so that every statement is heard.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let listener = Listener::default();
    with_default(listener.clone(), || {
        runtime.block_on(purchases(&listener));
    });
}

async fn purchases(listener: &Listener) {
    let shop = TestShop::new().await;
    // The show is read into memory, and connections are made.
    shop.bought(&["B1"]).await;
    // Another thread that came first has noted that nobody listens, for all threads.
    tracing::callsite::rebuild_interest_cache();
    shop.bought(&["B2"]).await;
    assert!(!listener.take().is_empty(), "nothing is heard");
    for (seat, key) in [("A1", None), ("A2", Some("key"))] {
        let fan = shop.fan();
        let keyed = |step: &str| match key {
            Some(key) => fan
                .clone()
                .with_header("idempotency-key", &format!("{key} {step}")),
            None => fan.clone(),
        };
        let hold = keyed("hold").held(&[seat]).await;
        let for_hold = listener.take();
        let intent = keyed("pay").intent(&hold).await;
        let started = listener.take();
        shop.provider.pay(&intent);
        let confirmed = keyed("confirm").confirm(&hold, &intent).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text);
        let confirmed = listener.take();
        for event in ["evt_1", "evt_2", "evt_3"] {
            shop.webhook(&format!("{event} {seat}"), &intent).await;
        }
        let stored = listener.take();
        assert_eq!(shop.process.booking.inbox_once().await.unwrap(), 3);
        let closed = listener.take();
        let counts = [&for_hold, &started, &confirmed, &stored, &closed].map(Vec::len);
        let with_key = usize::from(key.is_some());
        let expected = [2 + with_key, 4 + with_key * 2, 3, 3, 2];
        assert_eq!(
            counts, expected,
            "{for_hold:#?} {started:#?} {confirmed:#?} {stored:#?} {closed:#?}"
        );
    }
    listener.take();
    shop.assert_clean().await;
}
