//! Orders that fail, and what is waited for then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use contract::{Clock, ManualClock};
use gateway::acme::keeper::Looked;
use gateway::acme::kept::Kept;
use gateway::acme::schedule::Pace;
use gateway::edge::serve::ServeConfig;
use http::StatusCode;
use serde_json::json;
use test_support::certificates::Certificates;
use web::RequestIds;

use super::{Pebble, clock, keeper, site};
use crate::serving::Server;
use crate::tls::encrypted;

const NAMES: [&str; 1] = ["tickets.test"];

/// How long is waited from here.
async fn waits(keeper: &mut gateway::acme::keeper::Keeper, clock: &ManualClock) -> Duration {
    let looked = keeper.look_once().await.unwrap();
    let Looked::WaitsUntil(at) = looked else {
        panic!("{looked:?}")
    };
    at.checked_sub(Duration::from_millis(
        clock.now().as_ms().try_into().unwrap(),
    ))
    .unwrap()
}

#[tokio::test]
async fn an_authority_that_is_down_leaves_the_certificate_and_is_asked_again_later() {
    let home = tempfile::tempdir().unwrap();
    let kept_in = home.path().join("acme");
    let site = site(&kept_in).await;
    let mut pebble = Pebble::start(site.addr.port(), 0).await;
    let (url, authority) = (pebble.url(), pebble.certificates.authority());
    let clock = clock();
    let (mut first, wanted) = keeper((&url, &authority), &NAMES, &kept_in, &clock);
    assert_eq!(first.look_once().await.unwrap(), Looked::Ordered);
    let kept = Kept::at(kept_in.clone());
    let before = std::fs::read(kept.files().cert).unwrap();
    pebble.stop().await;
    let third = waits(&mut first, &clock).await;
    clock.advance(third + Duration::from_millis(1));
    for failures in 1..4_u32 {
        assert_eq!(first.look_once().await.unwrap(), Looked::Failed);
        assert_eq!(kept.failures(&wanted).count, failures);
        assert_eq!(std::fs::read(kept.files().cert).unwrap(), before);
        let waits = waits(&mut first, &clock).await;
        let least = Pace::PUBLIC.first * 2_u32.pow(failures - 1);
        assert!(waits + Duration::from_secs(1) >= least, "{waits:?}");
        assert!(waits <= least + least / 4, "{waits:?}");
        // A process that starts again and again asks no more often.
        drop(first);
        (first, _) = keeper((&url, &authority), &NAMES, &kept_in, &clock);
        let again = self::waits(&mut first, &clock).await;
        assert_eq!(again, waits);
        clock.advance(waits);
    }
    // It has forgotten the account meanwhile.
    pebble.run().await;
    assert_eq!(first.look_once().await.unwrap(), Looked::Ordered);
    assert_eq!(kept.failures(&wanted).count, 0);
    assert_ne!(std::fs::read(kept.files().cert).unwrap(), before);
}

#[tokio::test]
async fn a_name_that_does_not_lead_here_gets_no_certificate_and_nothing_stays_shown() {
    let home = tempfile::tempdir().unwrap();
    let kept_in = home.path().join("acme");
    // It answers out of another directory.
    let site = site(&home.path().join("other")).await;
    let pebble = Pebble::start(site.addr.port(), 0).await;
    let clock = clock();
    let authority = pebble.certificates.authority();
    let (mut keeper, wanted) = keeper((&pebble.url(), &authority), &NAMES, &kept_in, &clock);
    assert_eq!(keeper.look_once().await.unwrap(), Looked::Failed);
    let kept = Kept::at(kept_in.clone());
    assert_eq!(kept.certificate(&wanted), None);
    let shown = std::fs::read_dir(kept_in.join("challenges")).unwrap();
    assert_eq!(shown.count(), 0);
    assert!(waits(&mut keeper, &clock).await > Duration::from_mins(2));
}

#[tokio::test]
async fn an_authority_that_asks_to_wait_is_obeyed() {
    let certificates = Certificates::make();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let refuse = any(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        let problem = json!({
            "type": "urn:ietf:params:acme:error:rateLimited",
            "detail": "too many new accounts",
        });
        (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "90000"), ("replay-nonce", "again")],
            problem.to_string(),
        )
    });
    let directory = get(async |request: axum::extract::Request| {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let at = |path: &str| format!("https://{host}/{path}");
        let directory = json!({
            "newNonce": at("nonce"),
            "newAccount": at("account"),
            "newOrder": at("order"),
            "revokeCert": at("revoke"),
            "keyChange": at("key"),
        });
        directory.to_string()
    });
    let router = Router::new()
        .route("/dir", directory)
        .route("/nonce", get(async || [("replay-nonce", "one")]))
        .route("/account", refuse);
    let config = ServeConfig::public("test", RequestIds::new(1));
    let server = Server::start_on_cores(router, encrypted(&certificates, config));
    let home = tempfile::tempdir().unwrap();
    let clock = clock();
    let url = format!("https://{}/dir", server.addr);
    let authority = certificates.authority();
    let (mut keeper, _) = keeper((&url, &authority), &NAMES, home.path(), &clock);
    assert_eq!(keeper.look_once().await.unwrap(), Looked::Failed);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let waits = waits(&mut keeper, &clock).await;
    let least = Duration::from_secs(90_000);
    assert!(waits + Duration::from_mins(1) >= least, "{waits:?}");
    assert!(
        waits <= least + least / 4 + Duration::from_mins(1),
        "{waits:?}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
