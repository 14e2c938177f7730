//! One command before a site.

use std::path::Path;

use http::StatusCode;
use serde_json::{Value, json};
use test_support::database::TestDatabase;

use crate::serving::Server;
use crate::starting::{PROGRAM, Process, TOKEN};
use crate::test_app::World;

struct Before {
    process: Process,
    http: reqwest::Client,
    public: String,
    ops: String,
}

impl Before {
    async fn start(home: &Path, database: &TestDatabase, arguments: &[&str]) -> Self {
        let mut process = Process::start(Path::new(PROGRAM), home, database, arguments);
        process.becomes_ready().await;
        let told = process.announced().unwrap();
        let url = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            public: url("listenUrl"),
            ops: url("opsUrl"),
            process,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
        }
    }

    async fn get(&self, path: &str, accept: &str) -> (StatusCode, String, bool) {
        let asked = self.http.get(format!("{}{path}", self.public));
        let answer = asked.header("accept", accept).send().await.unwrap();
        let status = answer.status();
        let has_pass = answer.headers().get_all("set-cookie").iter().any(|set| {
            set.to_str()
                .unwrap()
                .starts_with("__Host-ropeline_pass_default=")
        });
        (status, answer.text().await.unwrap(), has_pass)
    }

    async fn room(&self) -> Value {
        let asked = self
            .http
            .get(format!("{}/admin/v1/rooms/default", self.ops));
        let answer = asked.bearer_auth(TOKEN).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Changes the room as an operator.
    async fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut room = self.room().await;
        let version = room["version"].to_string();
        change(&mut room);
        let settings = room.as_object_mut().unwrap();
        for shown in [
            "phase",
            "override",
            "pausedReason",
            "drawCommitment",
            "version",
            "createdAt",
            "updatedAt",
        ] {
            settings.remove(shown);
        }
        let url = format!("{}/admin/v1/rooms/default", self.ops);
        let asked = self.http.put(url).bearer_auth(TOKEN);
        let asked = asked.header("if-match", format!("\"{version}\""));
        let answer = asked
            .header("content-type", "application/json")
            .body(room.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        assert!(
            status.is_success(),
            "{status}: {}",
            answer.text().await.unwrap()
        );
    }

    async fn end(self) -> String {
        let log = self.process.log();
        self.process.kill().await;
        log
    }
}

#[tokio::test]
async fn one_command_stands_before_a_site_in_stand_by() {
    let (world, home) = (World::create().await, tempfile::tempdir().unwrap());
    let shop = Server::start(world.upstream()).await;
    let url = shop.url("");
    let arguments = ["--origin", &url, "--rate", "1200", "--cap", "50"];
    let gate = Before::start(home.path(), &world.database, &arguments).await;
    // A page is served at once, with a pass and without a waiting page; a program is told.
    let (status, text, has_pass) = gate.get("/any/page", "text/html").await;
    assert_eq!(
        (status, text.as_str(), has_pass),
        (StatusCode::OK, "/any/page", true)
    );
    let (status, _, _) = gate.get("/api/any", "application/json").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let room = gate.room().await;
    assert_eq!(room["phase"], "queueing");
    assert_eq!(
        (
            room["newUsersPerMinute"].as_u64(),
            room["totalActiveUsers"].as_u64()
        ),
        (Some(1200), Some(50))
    );
    let log = gate.end().await;
    for said in [
        "The room `default` was made",
        "every path",
        "ropeline room watch default",
    ] {
        assert!(log.contains(said), "{said} is missing from: {log}");
    }
    // Again, with less protected: what is not said stays.
    let arguments = ["--origin", &url, "--path", "/checkout"];
    let gate = Before::start(home.path(), &world.database, &arguments).await;
    let (status, text, has_pass) = gate.get("/api/any", "application/json").await;
    assert_eq!(
        (status, text.as_str(), has_pass),
        (StatusCode::OK, "/api/any", false)
    );
    let (status, _, _) = gate.get("/checkout", "application/json").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let room = gate.room().await;
    assert_eq!(
        (room["newUsersPerMinute"].as_u64(), room["version"].as_u64()),
        (Some(1200), Some(2))
    );
    assert!(gate.end().await.contains("was updated"));
    // And once more as it is: nothing changes, not even what an operator has changed since.
    let gate = Before::start(home.path(), &world.database, &arguments).await;
    assert_eq!(gate.room().await["version"], 2);
    gate.change(|room| {
        room["paths"] = json!(["/cart"]);
        room["opensAt"] = Value::Null;
        room["hosts"] = json!(["shop.example"]);
    })
    .await;
    assert!(gate.end().await.contains("is as it was"));
    let gate = Before::start(home.path(), &world.database, &arguments).await;
    let room = gate.room().await;
    assert_eq!(
        (&room["paths"], &room["opensAt"], &room["hosts"]),
        (&json!(["/cart"]), &Value::Null, &json!(["shop.example"])),
    );
    assert_eq!(room["version"], 3);
    gate.end().await;
    // Another command says something new, and only that changes.
    let arguments = ["--origin", &url, "--path", "/checkout", "--rate", "900"];
    let gate = Before::start(home.path(), &world.database, &arguments).await;
    let room = gate.room().await;
    assert_eq!(
        (&room["paths"], &room["opensAt"], &room["newUsersPerMinute"]),
        (&json!(["/cart"]), &Value::Null, &json!(900)),
    );
    gate.end().await;
}
