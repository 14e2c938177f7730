//! What the operators' listener accepts for a room, and what it tells of the refusals.

use std::sync::Arc;

use contract::{Clock, ManualClock, PlaceId};
use gateway::figures::RoomFigures;
use http::Method;
use line::records::AdmissionBatch;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::desk::{Desk, ERAS, ROOMS};
use crate::test_app::World;

#[tokio::test]
async fn a_prefix_belongs_to_one_room() {
    let desk = Desk::open().await;
    let create = async |name: &str, paths: &[&str]| {
        let settings = json!({"room": name, "paths": paths});
        desk.ask(Method::POST, ROOMS, settings).await
    };
    assert_eq!(create("eras", &["/eras", "/shop/eras"]).await.status, 201);
    // The same prefix for every server that folds case or reads parameters.
    for taken in ["/eras", "/eras/", "/ERAS", "/eras;v=1"] {
        let refused = create("other", &["/other", taken]).await;
        assert_eq!(refused.status, 422, "{taken}: {}", refused.json);
        assert_eq!(refused.json["field"], "paths[1]");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("the room `eras`"), "{detail}");
    }
    // Below and above it is another prefix.
    assert_eq!(create("other", &["/shop", "/eras/b"]).await.status, 201);
    let put = async |paths: &[&str]| {
        let settings = json!({"title": "Eras", "paths": paths});
        desk.ask(Method::PUT, ERAS, settings).await
    };
    assert_eq!(put(&["/eras"]).await.status, 200);
    let refused = put(&["/eras", "/shop"]).await;
    assert_eq!(refused.status, 422, "{}", refused.json);
    assert_eq!(refused.json["field"], "paths[1]");
    // Who gives a prefix up frees it for another.
    assert_eq!(put(&[]).await.status, 200);
    assert_eq!(create("third", &["/eras"]).await.status, 201);
}

#[tokio::test]
async fn what_a_command_does_not_know_is_refused_by_name() {
    let desk = Desk::open().await;
    desk.eras().await;
    for command in ["open", "resume", "close", "pause"] {
        let path = format!("{ERAS}/{command}");
        let refused = desk
            .ask(Method::POST, &path, json!({"resaon": "rain"}))
            .await;
        assert_eq!(refused.status, 422, "{command}: {}", refused.json);
        assert_eq!(refused.json["field"], "resaon", "{command}");
        for body in ["", "{}"] {
            let done = desk.ask_as("admin", Method::POST, &path, body).await;
            assert_eq!(done.status, 200, "{command} {body}: {}", done.json);
        }
    }
    let nameless = desk
        .ask(Method::POST, ROOMS, json!({"title": "Eras"}))
        .await;
    assert_eq!(nameless.status, 422);
    assert_eq!(nameless.json["field"], "room");
}

#[tokio::test]
async fn as_many_access_codes_as_are_allowed_fit_into_a_request() {
    let desk = Desk::open().await;
    let codes: Vec<_> = (0..1000).map(|n| format!("{n:064}")).collect();
    let settings = json!({"room": "eras", "accessCodes": codes});
    let made = desk.ask(Method::POST, ROOMS, settings.clone()).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let changed = desk.ask(Method::PUT, ERAS, settings).await;
    assert_eq!(changed.status, 200, "{}", changed.json);
    let endless = json!({"room": "eras", "title": "x".repeat(2_000_000)});
    let refused = desk.ask(Method::PUT, ERAS, endless).await;
    assert_eq!(refused.status, 413, "{}", refused.json);
}

#[tokio::test]
async fn a_change_is_in_force_here_when_it_is_answered() {
    let world = World::create().await;
    let app = world.gateway().await;
    let beside = Arc::new(RoomFigures {
        rooms: app.rooms.clone(),
        proxy: app.proxy.clone(),
    });
    let desk = Desk::on(world.records.clone(), Some(beside));
    let served = || app.rooms.get(&"eras".parse().unwrap());
    for round in 0..2 {
        let settings = json!({"room": "eras", "paths": ["/eras"], "queueAll": true});
        let made = desk.ask(Method::POST, ROOMS, settings).await;
        assert_eq!(made.status, 201, "{round}: {}", made.json);
        assert!(served().is_some(), "{round}");
        let settings = json!({"title": "Eras", "paths": ["/eras"]});
        assert_eq!(desk.ask(Method::PUT, ERAS, settings).await.status, 200);
        assert_eq!(served().unwrap().record().settings.title, "Eras", "{round}");
        let close = format!("{ERAS}/close");
        assert_eq!(desk.ask(Method::POST, &close, json!({})).await.status, 200);
        assert!(served().unwrap().record().overridden.is_some(), "{round}");
        let follow = format!("{ERAS}/override");
        assert_eq!(
            desk.ask(Method::DELETE, &follow, json!({})).await.status,
            200
        );
        assert!(served().unwrap().record().overridden.is_none(), "{round}");
        assert_eq!(desk.ask(Method::DELETE, ERAS, json!({})).await.status, 204);
        assert!(served().is_none(), "{round}");
    }
    // A gateway that cannot follow answers all the same, within a bound.
    app.kill().await;
    let made = desk.ask(Method::POST, ROOMS, json!({"room": "eras"})).await;
    assert_eq!(made.status, 201, "{}", made.json);
}

#[tokio::test]
async fn a_log_outlives_its_room_until_its_end_is_asked_for_by_name() {
    let desk = Desk::open().await;
    desk.eras().await;
    let eras = "eras".parse().unwrap();
    let batch = AdmissionBatch {
        batch_id: Uuid::from_u128(1),
        called_at: ManualClock::default().now(),
        places: vec![(PlaceId::from_bytes([1; 16]), 1)],
    };
    desk.records
        .admissions
        .append(&eras, &batch, None)
        .await
        .unwrap();
    let log = format!("{ERAS}/admissions");
    let delete = async |who: &str, query: &str| {
        let path = format!("{ERAS}{query}");
        desk.ask_as(who, Method::DELETE, &path, "").await
    };
    for query in [
        "?purgeLog=true",
        "?purgeLog=true&confirm=",
        "?purgeLog=true&confirm=encore",
    ] {
        let refused = delete("admin", query).await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.json);
        assert_eq!(refused.json["field"], "confirm", "{query}");
    }
    let named = "?purgeLog=true&confirm=eras";
    assert_eq!(delete("operator", named).await.status, 403);
    // None of these did anything.
    assert_eq!(desk.ask(Method::GET, ERAS, Value::Null).await.status, 200);

    assert_eq!(delete("admin", "").await.status, 204);
    assert_eq!(desk.ask(Method::GET, ERAS, Value::Null).await.status, 404);
    let kept = desk.ask(Method::GET, &log, Value::Null).await;
    assert_eq!((kept.status.as_u16(), &kept.json["seq"]), (200, &json!(1)));
    assert_eq!(delete("admin", named).await.status, 204);
    assert_eq!(desk.ask(Method::GET, &log, Value::Null).await.status, 404);
    assert_eq!(delete("admin", named).await.status, 404);
}
