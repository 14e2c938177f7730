//! The writer of a show goes on after a defect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::{Clock, ManualClock, Timestamp};
use serde_json::json;

use crate::fan::Fan;
use crate::test_shop::TestShop;

/// A clock that breaks once, at a chosen look.
struct Brittle {
    clock: ManualClock,
    looks_left: AtomicU32,
}

impl Clock for Brittle {
    fn now(&self) -> Timestamp {
        let left = &self.looks_left;
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert_ne!(before, Ok(1), "a defect");
        self.clock.now()
    }
}

#[tokio::test]
async fn a_defect_in_one_batch_ends_no_writer() {
    let shop = TestShop::new().await;
    let brittle = Arc::new(Brittle {
        clock: shop.clock.clone(),
        looks_left: AtomicU32::new(0),
    });
    let process = shop
        .another_process_that_looks_at(Arc::clone(&brittle) as Arc<dyn Clock>)
        .await;
    // Wherever the clock is looked at on the way of a hold, the next hold is made.
    for look in 1..6 {
        brittle.looks_left.store(look, Ordering::SeqCst);
        let best = json!({"quantity": 1});
        Fan::new(process.router.clone())
            .post("/api/v1/shows/eras-mumbai-1/holds", &best)
            .await;
        brittle.looks_left.store(0, Ordering::SeqCst);
        let fan = Fan::new(process.router.clone());
        let held = fan.post("/api/v1/shows/eras-mumbai-1/holds", &best).await;
        assert_eq!(held.status, 201, "look {look}: {}", held.text);
    }
    process.booking.refresh_once().await.unwrap();
}
