//! Upstream care: calls follow how the shop does, be it somebody else's or the embedded one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use contract::{Clock, SystemClock};
use futures_util::future::join_all;
use http::{Method, StatusCode};
use line::policy::care::RateShare;
use serde_json::json;

use crate::serving::Server;
use crate::test_app::{TestApp, World, eventually};

/// A shop whose latency and status the test sets.
#[derive(Clone)]
struct Shop {
    latency_ms: Arc<AtomicU64>,
    status: Arc<AtomicU16>,
}

impl Shop {
    fn new() -> Self {
        Self {
            latency_ms: Arc::new(AtomicU64::new(10)),
            status: Arc::new(AtomicU16::new(200)),
        }
    }

    fn router(&self) -> Router {
        let shop = self.clone();
        Router::new().fallback(move || {
            let latency = Duration::from_millis(shop.latency_ms.load(Ordering::SeqCst));
            let status = shop.status.load(Ordering::SeqCst);
            async move {
                tokio::time::sleep(latency).await;
                StatusCode::from_u16(status).unwrap()
            }
        })
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

/// A gateway, the passes of three fans who are inside, and more who wait.
struct Sale {
    world: World,
    app: TestApp,
    passes: Vec<String>,
    _shop: Server,
}

impl Sale {
    async fn begin(shop: &Shop, is_remote: bool) -> Self {
        let world = World::create().await;
        let server = Server::start(shop.router()).await;
        let mut settings = json!({"newUsersPerMinute": 6_000, "claimWindowSeconds": 3_600});
        if is_remote {
            settings["upstream"] = json!(server.url(""));
        }
        world.room(settings).await;
        let app = world.gateway_before(shop.router()).await;
        let mut passes = Vec::new();
        for n in 1..=3 {
            passes.push(app.join(n).await.claimed(&app).await);
        }
        Self {
            world,
            app,
            passes,
            _shop: server,
        }
    }

    /// Each of those inside asks four times.
    async fn shop(&self) {
        let ask = |pass: &String| {
            let pass = pass.clone();
            async move {
                let pass = [("ropeline-pass", pass.as_str())];
                self.app.send(Method::POST, "/eras/a", &pass, "").await
            }
        };
        let asking = (0..4).flat_map(|_| self.passes.iter().map(ask));
        join_all(asking).await;
    }

    /// Shops for `rounds` of half a second of the gateway's clock.
    async fn shop_for(&self, rounds: usize) {
        for _ in 0..rounds {
            self.shop().await;
            self.world.clock.advance(Duration::from_millis(500));
        }
    }

    fn share(&self) -> RateShare {
        let room = self.app.rooms.get(&"eras".parse().unwrap()).unwrap();
        room.parts.upstreams.rate_share(&room.target())
    }

    /// Why no more are called.
    async fn limited_by(&self) -> Option<String> {
        let room = self.app.rooms.get(&"eras".parse().unwrap()).unwrap();
        let (store, at) = (&room.parts.store, room.store_ref());
        store.snapshot_get(&at).await.unwrap()?.limited_by
    }
}

#[tokio::test]
async fn calls_fall_when_the_shop_gets_slow_and_come_back_step_by_step() {
    for is_remote in [true, false] {
        let shop = Shop::new();
        let sale = Sale::begin(&shop, is_remote).await;
        sale.shop_for(24).await;
        assert_eq!(sale.share(), RateShare::ALL);
        shop.latency_ms.store(400, Ordering::SeqCst);
        sale.shop_for(10).await;
        let slowed = sale.share();
        assert!(
            slowed < RateShare::millionths(600_000),
            "{slowed:?} after five seconds"
        );
        shop.latency_ms.store(10, Ordering::SeqCst);
        sale.shop_for(8).await;
        let better = sale.share();
        assert!(better < RateShare::ALL, "{better:?}");
        sale.shop_for(40).await;
        assert_eq!(sale.share(), RateShare::ALL);
    }
}

#[tokio::test]
async fn a_shop_that_fails_is_given_a_rest_and_the_figures_say_why() {
    for (is_remote, status) in [(true, 503), (true, 429), (false, 503)] {
        let shop = Shop::new();
        let sale = Sale::begin(&shop, is_remote).await;
        shop.answers(status);
        sale.shop().await;
        assert_eq!(sale.share(), RateShare::NONE, "{status}");
        let waiting = sale.app.join(9).await;
        eventually("the reason", async || {
            (sale.limited_by().await.as_deref() == Some("upstream")).then_some(())
        })
        .await;
        let claim = sale.app.join(9).await.claim(&sale.app).await;
        assert_eq!(claim.status, StatusCode::CONFLICT, "nobody is called");
        shop.answers(200);
        sale.world.clock.advance(Duration::from_secs(5));
        let began = SystemClock.now();
        waiting.claimed(&sale.app).await;
        assert!(SystemClock.now().since(began) < Duration::from_secs(5));
        assert!(sale.share() < RateShare::ALL, "calls ramp up");
    }
}

#[tokio::test]
async fn one_visitor_whose_requests_fail_slows_nobody() {
    let shop = Shop::new();
    let mut sale = Sale::begin(&shop, true).await;
    sale.passes.truncate(1);
    shop.answers(503);
    sale.shop().await;
    sale.shop().await;
    assert!(sale.share() > RateShare::NONE);
}
