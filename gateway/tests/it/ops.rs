//! The operators' listener on PostgreSQL, with figures and sessions of the test's own.

use std::time::Duration;

use axum::body::Body;
use contract::room::AdmissionRecord;
use contract::{Clock, ManualClock, PlaceId};
use http::{Method, Request};
use http_body_util::BodyExt;
use line::records::{AdmissionBatch, LogHead, chain_verify, pool_options};
use serde_json::{Value, json};
use test_support::database::{Records, TestDatabase};
use test_support::tcp_proxy::{Line, TcpProxy};
use tokio::time::Instant;
use tower::ServiceExt;
use uuid::Uuid;

use crate::desk::{Desk, ERAS, ROOMS};

#[tokio::test]
async fn only_operators_come_in_and_only_as_far_as_their_role() {
    let desk = Desk::open().await;
    for value in [
        None,
        Some("Bearer "),
        Some("Bearer wrong"),
        Some("Basic admin-token"),
    ] {
        for (method, path) in [
            (Method::GET, ROOMS),
            (Method::POST, ROOMS),
            (Method::GET, "/admin/v1/audit"),
            (Method::POST, "/admin/v1/shows"),
        ] {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(value) = value {
                request = request.header("authorization", value);
            }
            let answer = desk.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 401, "{value:?} {path}");
            assert_eq!(answer.json["code"], "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            assert!(answer.json["requestId"].is_string());
        }
    }
    desk.eras().await;
    for (who, method, path, status) in [
        ("viewer", Method::GET, ERAS, 200),
        ("viewer", Method::POST, "/admin/v1/rooms/eras/open", 403),
        ("viewer", Method::POST, "/admin/v1/shows", 403),
        ("operator", Method::POST, "/admin/v1/rooms/eras/open", 200),
        ("operator", Method::DELETE, ERAS, 403),
        ("admin", Method::DELETE, ERAS, 204),
    ] {
        let answer = desk.ask_as(who, method.clone(), path, "").await;
        assert_eq!(
            answer.status, status,
            "{who} {method} {path}: {}",
            answer.json
        );
    }
}

#[tokio::test]
async fn a_room_is_made_read_changed_and_deleted() {
    let desk = Desk::open().await;
    let made = desk
        .ask(
            Method::POST,
            ROOMS,
            json!({"room": "eras", "queueAll": true}),
        )
        .await;
    assert_eq!(
        (made.status.as_u16(), &made.json["phase"]),
        (201, &json!("queueing"))
    );
    assert_eq!(made.headers["location"], ERAS);
    assert_eq!(made.headers["etag"], "\"1\"");
    let applied = desk.surroundings.applied.lock().unwrap().clone();
    assert_eq!(applied, [("eras".parse().unwrap(), Some(1))]);
    let again = desk.ask(Method::POST, ROOMS, json!({"room": "eras"})).await;
    assert_eq!(
        (again.status.as_u16(), &again.json["code"]),
        (409, &json!("conflict"))
    );
    // What was read can be sent back with a change.
    let mut read = desk.ask(Method::GET, ERAS, Value::Null).await.json;
    assert_eq!(read, made.json);
    read["newUsersPerMinute"] = json!(42);
    let put = desk.ask(Method::PUT, ERAS, read).await;
    assert_eq!(
        (put.status.as_u16(), &put.json["newUsersPerMinute"]),
        (200, &json!(42))
    );
    assert_eq!(put.headers["etag"], "\"2\"");
    let renamed = desk.ask(Method::PUT, ERAS, json!({"room": "other"})).await;
    assert_eq!(
        (renamed.status.as_u16(), &renamed.json["field"]),
        (422, &json!("room"))
    );
    let list = desk.ask(Method::GET, ROOMS, Value::Null).await.json;
    assert_eq!(list["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(
        desk.ask(Method::DELETE, ERAS, Value::Null).await.status,
        204
    );
    for (method, path) in [
        (Method::GET, ERAS),
        (Method::DELETE, ERAS),
        (Method::POST, "/admin/v1/rooms/eras/open"),
        (Method::GET, "/admin/v1/rooms/eras/stats"),
        (Method::GET, "/admin/v1/rooms/eras/admissions"),
    ] {
        let gone = desk.ask(method, path, Value::Null).await;
        assert_eq!(
            (gone.status.as_u16(), &gone.json["code"]),
            (404, &json!("room-not-found"))
        );
    }
}

#[tokio::test]
async fn of_two_changes_to_one_version_the_second_is_refused() {
    let desk = Desk::open().await;
    desk.eras().await;
    let (a, b) = tokio::join!(
        desk.put_if("\"1\"", json!({"title": "a"})),
        desk.put_if("\"1\"", json!({"title": "b"})),
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let lost = if a.status == 412 { a } else { b };
    assert_eq!(lost.json["code"], "precondition-failed");
    assert_eq!(desk.put_if("\"nonsense\"", json!({})).await.status, 412);
    assert_eq!(desk.put_if("*", json!({})).await.status, 200);
    assert_eq!(desk.put_if("\"3\"", json!({})).await.status, 200);
}

#[tokio::test]
async fn overrides_reach_the_phase_and_pauses_carry_their_reason() {
    let desk = Desk::open().await;
    desk.eras().await;
    for (act, body, phase, reason) in [
        ("open", Value::Null, "queueing", Value::Null),
        (
            "pause",
            json!({"reason": "Payment is down"}),
            "paused",
            json!("Payment is down"),
        ),
        ("resume", Value::Null, "queueing", Value::Null),
        ("pause", Value::Null, "paused", Value::Null),
        ("close", Value::Null, "closed", Value::Null),
    ] {
        let answer = desk.ask(Method::POST, &format!("{ERAS}/{act}"), body).await;
        assert_eq!(answer.status, 200, "{act}: {}", answer.json);
        assert_eq!(
            (&answer.json["phase"], &answer.json["pausedReason"]),
            (&json!(phase), &reason)
        );
    }
    let back = desk
        .ask(Method::DELETE, &format!("{ERAS}/override"), Value::Null)
        .await;
    assert_eq!(
        (&back.json["phase"], &back.json["override"]),
        (&json!("idle"), &Value::Null)
    );
    let long = json!({"reason": "x".repeat(501)});
    let refused = desk.ask(Method::POST, &format!("{ERAS}/pause"), long).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["field"]),
        (422, &json!("reason"))
    );
}

#[tokio::test]
async fn bad_input_is_refused_by_name_and_all_at_once() {
    let desk = Desk::open().await;
    desk.eras().await;
    for (method, path) in [(Method::POST, ROOMS), (Method::PUT, ERAS)] {
        for (body, status, word) in [
            (r#"{"room": "eras", "rate": 5}"#, 422, "rate"),
            (
                r#"{"room": "eras", "newUsersPerMinute": -1}"#,
                422,
                "newUsersPerMinute",
            ),
            (r#"{"room": "eras", "opensAt": "soon"}"#, 422, "opensAt"),
            (r#"{"room": "eras""#, 400, "JSON"),
        ] {
            let answer = desk.ask_as("admin", method.clone(), path, body).await;
            assert_eq!(answer.status, status, "{body}: {}", answer.json);
            let detail = answer.json["detail"].as_str().unwrap();
            assert!(detail.contains(word), "{body}: {detail}");
        }
        let absurd = json!({
            "room": "eras", "newUsersPerMinute": 99_000_000_000_u64, "totalActiveUsers": 0,
            "claimWindowSeconds": 1, "paths": ["/ok", "../x", "/_line"], "upstream": "ftp://x",
        });
        let answer = desk.ask(method.clone(), path, absurd).await;
        assert_eq!(answer.status, 422);
        let fields: Vec<_> = answer.json["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["field"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            fields,
            [
                "newUsersPerMinute",
                "totalActiveUsers",
                "claimWindowSeconds",
                "upstream",
                "paths[1]",
                "paths[2]",
            ]
        );
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_before_and_after() {
    let desk = Desk::open().await;
    desk.eras().await;
    desk.ask(Method::PUT, ERAS, json!({"title": "Eras"})).await;
    desk.ask(
        Method::POST,
        &format!("{ERAS}/pause"),
        json!({"reason": "late"}),
    )
    .await;
    let place = PlaceId::from_bytes([5; 16]);
    let session = format!("{ERAS}/sessions/{place}");
    assert_eq!(
        desk.ask(Method::DELETE, &session, Value::Null).await.status,
        204
    );
    assert_eq!(
        desk.ask(Method::DELETE, &session, Value::Null).await.status,
        404
    );
    assert_eq!(*desk.surroundings.ended.lock().unwrap(), [place, place]);
    assert_eq!(
        desk.ask(Method::GET, "/admin/v1/shows", Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        desk.ask(Method::POST, "/admin/v1/shows", json!({}))
            .await
            .status,
        201
    );
    let audit = desk
        .ask(Method::GET, "/admin/v1/audit", Value::Null)
        .await
        .json;
    let records = audit["records"].as_array().unwrap();
    let actions: Vec<_> = records
        .iter()
        .map(|r| r["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "http.post",
            "session.end",
            "session.end",
            "room.pause",
            "room.put",
            "room.create",
        ]
    );
    assert!(records.iter().all(|r| r["actor"] == "admin"));
    assert_eq!(records[0]["after"], json!({"status": 201}));
    assert_eq!(records[1]["after"], json!({"ended": false}));
    assert_eq!(records[3]["after"]["pausedReason"], "late");
    assert_eq!(
        (
            &records[4]["before"]["title"],
            &records[4]["after"]["title"]
        ),
        (&json!(""), &json!("Eras"))
    );
    let older = format!("/admin/v1/audit?limit=2&before={}", records[3]["id"]);
    let page = desk.ask(Method::GET, &older, Value::Null).await.json;
    assert_eq!(page["records"].as_array().unwrap()[..], records[4..6]);
    let odd = desk
        .ask(Method::GET, "/admin/v1/audit?page=2", Value::Null)
        .await;
    assert_eq!(odd.status, 422);
}

#[tokio::test]
async fn a_long_log_is_streamed_without_being_held() {
    const COUNT: u64 = 100_000;
    let desk = Desk::open().await;
    desk.eras().await;
    for id in 0..20_u64 {
        let place =
            |n: u64| PlaceId::from_bytes(((u128::from(id) << 64) | u128::from(n)).to_be_bytes());
        let batch = AdmissionBatch {
            batch_id: Uuid::from_u128(u128::from(id)),
            called_at: ManualClock::default().now(),
            places: (0..COUNT / 20).map(|n| (place(n), n)).collect(),
        };
        desk.records
            .admissions
            .append(&"eras".parse().unwrap(), &batch, None)
            .await
            .unwrap();
    }
    let open = async || {
        let request = Request::get(format!("{ERAS}/admissions"))
            .header("authorization", "Bearer admin-token")
            .body(Body::empty());
        let response = desk.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        response.into_body()
    };
    let (mut body, mut head, mut largest) = (open().await, LogHead::EMPTY, 0);
    while let Some(frame) = body.frame().await {
        let lines = frame.unwrap().into_data().unwrap();
        largest = largest.max(lines.len());
        let records: Vec<AdmissionRecord> = lines
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        head = chain_verify(head, &records).unwrap();
    }
    assert_eq!(head.seq, COUNT);
    assert!(largest < 200_000, "a frame of {largest} bytes");
    // Only what the reader took was read: with the database gone, little follows, and the
    // transfer breaks off instead of seeming complete.
    let mut body = open().await;
    body.frame().await.unwrap().unwrap();
    desk.records.pool.close().await;
    let mut followed = 0;
    let broken = loop {
        match body.frame().await {
            Some(Ok(frame)) => followed += frame.into_data().unwrap().len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken && followed < 400_000, "{followed} bytes followed");
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_within_a_second_and_recovers() {
    let database = TestDatabase::create().await;
    let options = database.options();
    let proxy = TcpProxy::start(format!("{}:{}", options.get_host(), options.get_port())).await;
    let options = options.host("127.0.0.1").port(proxy.address.port());
    let desk = Desk::on(Records::on(pool_options().connect_lazy_with(options)), None);
    desk.eras().await;
    for line in [Line::Cut, Line::Silent] {
        proxy.set(line);
        for (method, path) in [
            (Method::GET, ROOMS),
            (Method::POST, "/admin/v1/rooms/eras/open"),
            (Method::POST, "/admin/v1/shows"),
        ] {
            let began = Instant::now();
            let answer = desk.ask(method, path, Value::Null).await;
            assert_eq!(answer.status, 503, "{line:?} {path}");
            assert_eq!(answer.json["code"], "database-unavailable");
            assert!(answer.headers.contains_key("retry-after"));
            assert!(began.elapsed() < Duration::from_secs(1), "{line:?} {path}");
        }
        proxy.set(Line::Up);
        let deadline = Instant::now() + Duration::from_secs(5);
        while desk.ask(Method::GET, ERAS, Value::Null).await.status != 200 {
            assert!(Instant::now() < deadline, "{line:?}: no recovery");
        }
    }
}

#[tokio::test]
async fn health_tells_what_is_wrong_and_the_dashboard_is_locked_down() {
    let desk = Desk::on(
        Records::on(
            pool_options()
                .connect_lazy("postgres://nobody@127.0.0.1:1/none")
                .unwrap(),
        ),
        None,
    );
    let get = async |path: &str| {
        desk.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    };
    assert_eq!(get("/livez").await.status, 200);
    assert_eq!(get("/readyz").await.json["status"], "ready");
    *desk.surroundings.problem.lock().unwrap() = Some("connection refused".to_owned());
    let unready = get("/readyz").await;
    assert_eq!(unready.status, 503);
    assert_eq!(
        unready.json["checks"][0],
        json!({"name": "redis", "problem": "connection refused"})
    );
    assert_eq!(unready.headers["retry-after"], "1");
    assert_eq!(unready.headers["content-type"], "application/problem+json");
    assert_eq!(unready.json["code"], "line-unavailable");
    assert_eq!(unready.json["status"], 503);
    assert!(unready.json["requestId"].is_string());
    // Balancers leave a gateway only for its end: what it lacks the others lack too.
    assert_eq!(get("/servez").await.status, 200);
    *desk.surroundings.problem.lock().unwrap() = Some("draining".to_owned());
    let leaving = get("/servez").await;
    assert_eq!(leaving.status, 503);
    assert_eq!(leaving.headers["retry-after"], "1");
    assert_eq!(get("/metrics").await.status, 200);
    for path in [
        "/",
        "/assets/dashboard.css",
        "/assets/dashboard.js",
        "/assets/figures.js",
        "/assets/mail.css",
        "/assets/mail.js",
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    // Mail brings its styles along; nothing of it runs.
    let policy = get("/mail").await.headers["content-security-policy"].clone();
    let policy = policy.to_str().unwrap();
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert!(
        policy.contains("style-src 'self' 'unsafe-inline'"),
        "{policy}"
    );
    assert_eq!(get("/assets/none.js").await.json["code"], "not-found");
}
