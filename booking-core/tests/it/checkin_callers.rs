//! Who may scan, how often, and what is refused before it is a scan.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Extension;
use booking_core::{Rate, RatePair, Rates};
use contract::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use web::LimitedAs;

use crate::checkin::{Doors, SHOW, scan, token, with_token};
use crate::fan::Fan;

const SCANS: &str = "/checkin/v1/scans";

#[tokio::test]
async fn nobody_scans_without_a_token_that_is_good() {
    let doors = Doors::open(&["A1"]).await;
    let (shop, now) = (&doors.shop, doors.shop.clock.now());
    let entry = scan(&doors.tickets[0], 1, "in", now);
    let wrong = json!({"token": "rscan_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    let mut strangers = vec![shop.fan(), with_token(&shop.fan(), &wrong)];
    let over = json!({
        "showId": "eras-mumbai-1", "gate": "G", "until": now.plus(Duration::from_mins(1)),
    });
    let admin = doors.operators();
    let over = admin.post("/admin/v1/scanners", &over).await.json;
    let over = with_token(&shop.fan(), &over);
    assert_eq!(over.get("/checkin/v1/scanner").await.status, 200);
    shop.clock.advance(Duration::from_mins(2));
    strangers.push(over);
    let revoked = token(shop, "West").await;
    let west = with_token(&shop.fan(), &revoked);
    assert_eq!(west.get("/checkin/v1/scanner").await.json["gate"], "West");
    let path = format!(
        "/admin/v1/scanners/{}",
        revoked["scanner"]["scannerId"].as_str().unwrap()
    );
    assert_eq!(admin.delete(&path).await.status, 204);
    strangers.push(west);
    for stranger in &strangers {
        for answer in [
            stranger.post(SCANS, &entry).await,
            stranger.get(&format!("{SHOW}/manifest")).await,
            stranger.get(&format!("{SHOW}/counts")).await,
            stranger.get(&format!("{SHOW}/conflicts")).await,
            stranger.get("/checkin/v1/scanner").await,
        ] {
            assert_eq!(
                (answer.status, answer.code()),
                (401, "unauthorized"),
                "{}",
                answer.text
            );
        }
    }
    // A token is for its show, and for no operator's work.
    let other = doors
        .north
        .get("/checkin/v1/shows/another-show/manifest")
        .await;
    assert_eq!((other.status, other.code()), (403, "forbidden"));
    assert_eq!(doors.north.get("/admin/v1/scanners").await.status, 404);
    assert_eq!(
        doors.north.post(SCANS, &entry).await.json["result"],
        "ACCEPTED"
    );
}

#[tokio::test]
async fn a_token_is_told_once_and_kept_nowhere() {
    let doors = Doors::open(&["A1"]).await;
    let made = token(&doors.shop, "West").await;
    let secret = made["token"].as_str().unwrap();
    assert_eq!(
        made["url"],
        format!("http://tickets.test/checkin/#token={secret}")
    );
    let listed = doors
        .operators()
        .get("/admin/v1/scanners?showId=eras-mumbai-1")
        .await;
    assert!(!listed.text.contains(secret));
    let gates = listed.json["scanners"].as_array().unwrap().iter();
    let mut gates: Vec<_> = gates.map(|one| one["gate"].as_str().unwrap()).collect();
    gates.sort_unstable();
    assert_eq!(gates, ["North", "West"]);
    let mut database = doors.shop.database.connect().await;
    let rows = sqlx::query("select row_to_json(s)::text as kept from scanners s");
    let rows = rows.fetch_all(&mut database).await.unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(!row.get::<String, _>("kept").contains(&secret[6..]));
    }
    database.close().await.unwrap();
    let nowhere = json!({"showId": "another-show", "gate": "West"});
    let refused = doors.operators().post("/admin/v1/scanners", &nowhere).await;
    assert_eq!((refused.status, refused.code()), (404, "not-found"));
    let unknown = "/admin/v1/scanners/scn_0198c2e4f7a87c1e9d3b5a6f70812c3d";
    assert_eq!(doors.operators().delete(unknown).await.status, 404);
}

#[tokio::test]
async fn operators_scan_without_a_scanner() {
    let doors = Doors::open(&["A1"]).await;
    let now = doors.shop.clock.now();
    let operators = doors.operators();
    let entry = operators
        .post(SCANS, &scan(&doors.tickets[0], 1, "in", now))
        .await;
    assert_eq!(entry.json["result"], "ACCEPTED", "{}", entry.text);
    let again = doors
        .north
        .post(SCANS, &scan(&doors.tickets[0], 2, "in", now))
        .await;
    let earlier = &again.json["earlier"];
    assert_eq!(
        (&earlier["gate"], &earlier["scannerId"]),
        (&json!("Operators"), &Value::Null)
    );
    let nonsense = operators.post(SCANS, &scan("nonsense", 3, "in", now)).await;
    assert_eq!(nonsense.json["result"], "UNREADABLE");
    let nowhere = operators.get("/checkin/v1/shows/another-show/counts").await;
    assert_eq!((nowhere.status, nowhere.code()), (404, "not-found"));
}

#[tokio::test]
async fn what_is_no_scan_is_refused_with_the_field_named() {
    let doors = Doors::open(&["A1"]).await;
    let good = scan(&doors.tickets[0], 1, "in", doors.shop.clock.now());
    let changed = |name: &str, value: Value| {
        let mut scan = good.clone();
        scan[name] = value;
        scan
    };
    let many = |count: usize| json!({"scans": vec![good.clone(); count]});
    for (body, field) in [
        (changed("colour", json!("red")), "colour"),
        (changed("nonce", json!("short")), "nonce"),
        (changed("at", json!("yesterday")), "at"),
        (changed("direction", json!("up")), "direction"),
        (changed("gate", json!("")), "gate"),
        (changed("ticket", json!("x".repeat(513))), "ticket"),
        (json!({"nonce": "nonce-of-scan-0001"}), "ticket"),
        (
            json!({"scans": [changed("nonce", json!(7))]}),
            "scans[0].nonce",
        ),
        (
            json!({"scans": [good, changed("ticket", json!("x".repeat(513)))]}),
            "scans[1].ticket",
        ),
        (json!({"scans": [good], "colour": 1}), "colour"),
        (many(0), "scans"),
        (many(201), "scans"),
    ] {
        let answer = doors.north.post(SCANS, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "validation-failed"),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["field"], field, "{}", answer.text);
    }
    let broken = doors.north.post_text(SCANS, "{".to_owned()).await;
    assert_eq!((broken.status, broken.code()), (400, "bad-request"));
    let huge = doors
        .north
        .post_text(SCANS, format!("\"{}\"", "x".repeat(600_000)))
        .await;
    assert_eq!((huge.status, huge.code()), (413, "payload-too-large"));
}

/// So many scans at once, and then one a second, from an address and with a token.
fn scan_bursts(address: u32, customer: u32) -> Rates {
    let rate = |burst| Rate {
        per_second: NonZeroU32::MIN,
        burst: NonZeroU32::new(burst).unwrap(),
    };
    Rates {
        scan: RatePair {
            address: rate(address),
            customer: rate(customer),
        },
        ..Rates::default()
    }
}

#[tokio::test]
async fn scanners_are_limited_each_for_itself() {
    let doors = Doors::open(&["A1"]).await;
    let limited = doors
        .shop
        .another_process_limited(scan_bursts(100, 2))
        .await;
    let fan = Fan::new(limited.router.clone());
    let [north, south] = [token(&doors.shop, "N").await, token(&doors.shop, "S").await];
    let north = with_token(&fan, &north);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(north.get("/checkin/v1/scanner").await.status);
    }
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses[2..].contains(&429), "{statuses:?}");
    let south = with_token(&fan, &south);
    assert_eq!(south.get("/checkin/v1/scanner").await.status, 200);
}

#[tokio::test]
async fn strangers_at_the_address_of_a_venue_do_not_stop_its_scanners() {
    let doors = Doors::open(&["A1"]).await;
    let limited = doors
        .shop
        .another_process_limited(scan_bursts(3, 100))
        .await;
    let venue = LimitedAs(IpAddr::from([192, 0, 2, 1]));
    let fan = Fan::new(limited.router.clone().layer(Extension(venue)));
    let made = token(&doors.shop, "N").await;
    let north = with_token(&fan, &made);
    assert_eq!(north.get("/checkin/v1/scanner").await.status, 200);
    let mut refused = 0;
    for no in 0..20 {
        let wrong = json!({ "token": format!("rscan_{no:0>43}") });
        for stranger in [fan.clone(), with_token(&fan, &wrong)] {
            let status = stranger.get("/checkin/v1/scanner").await.status;
            assert!([401, 429].contains(&status), "{status}");
            refused += u32::from(status == 429);
        }
    }
    assert!(refused > 20, "{refused}");
    // The scanner goes on, far beyond what the address may ask.
    for no in 0..20 {
        let entry = scan(&doors.tickets[0], no, "in", doors.shop.clock.now());
        assert_eq!(north.post(SCANS, &entry).await.status, 200, "{no}");
    }
    // A token that was revoked is a stranger's after its first use.
    let path = format!(
        "/admin/v1/scanners/{}",
        made["scanner"]["scannerId"].as_str().unwrap()
    );
    assert_eq!(doors.operators().delete(&path).await.status, 204);
    assert_eq!(north.get("/checkin/v1/scanner").await.status, 401);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(north.get("/checkin/v1/scanner").await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}
