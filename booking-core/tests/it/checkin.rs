//! Scans of tickets: what they come to, races, uploads, conflicts.

use std::time::Duration;

use booking_core::{TicketClaims, verify_ticket};
use contract::{Clock, Timestamp};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::fan::{Answer, Fan};
use crate::test_shop::{TestShop, show_file};

pub(crate) const SHOW: &str = "/checkin/v1/shows/eras-mumbai-1";

/// A shop an hour before the show, with a scanner at the gate `North`.
pub(crate) struct Doors {
    pub(crate) shop: TestShop,
    pub(crate) north: Fan,
    /// The QR codes of the sold tickets.
    pub(crate) tickets: Vec<String>,
    bookings: Vec<Value>,
}

impl Doors {
    /// With tickets of these seats.
    pub(crate) async fn open(seats: &[&str]) -> Self {
        let shop = TestShop::new().await;
        let (_, booking, _) = shop.bought(seats).await;
        let tickets = booking["tickets"].as_array().unwrap().iter();
        let tickets = tickets.map(|ticket| ticket["qr"].as_str().unwrap().to_owned());
        let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
        shop.clock.advance(doors.since(shop.clock.now()));
        let north = scanner(&shop, "North").await;
        Self {
            north,
            tickets: tickets.collect(),
            bookings: vec![booking],
            shop,
        }
    }

    pub(crate) fn operators(&self) -> Fan {
        Fan::new(self.shop.process.booking.admin().0)
    }

    fn ticket_id(&self, at: usize) -> &str {
        self.bookings[0]["tickets"][at]["ticketId"]
            .as_str()
            .unwrap()
    }

    fn claims(&self, at: usize) -> TicketClaims {
        let verifier = self.shop.process.booking.ticket_verifier();
        verify_ticket(&self.tickets[at], &verifier, self.shop.clock.now()).unwrap()
    }

    async fn meddle_with(&self, statement: &str, ticket: usize) {
        let mut database = self.shop.database.connect().await;
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(self.claims(ticket).ticket_id.uuid())
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    }

    async fn counts(&self) -> Value {
        self.north.get(&format!("{SHOW}/counts")).await.json
    }

    async fn conflicts(&self) -> Value {
        let list = self.north.get(&format!("{SHOW}/conflicts")).await;
        list.json["conflicts"].clone()
    }
}

/// The token of a new scanner.
pub(crate) async fn token(shop: &TestShop, gate: &str) -> Value {
    let admin = Fan::new(shop.process.booking.admin().0);
    let wish = json!({"showId": "eras-mumbai-1", "gate": gate});
    let made = admin.post("/admin/v1/scanners", &wish).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json
}

pub(crate) fn with_token(fan: &Fan, made: &Value) -> Fan {
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    fan.clone().with_header("authorization", &bearer)
}

pub(crate) async fn scanner(shop: &TestShop, gate: &str) -> Fan {
    with_token(&shop.fan(), &token(shop, gate).await)
}

/// A scan; `no` makes its nonce.
pub(crate) fn scan(ticket: &str, no: u32, direction: &str, at: Timestamp) -> Value {
    json!({
        "ticket": ticket, "nonce": format!("nonce-of-scan-{no:04}"), "at": at,
        "direction": direction, "device": "Phone 1",
    })
}

async fn scans(fan: &Fan, scan: &Value) -> Answer {
    let answer = fan.post("/checkin/v1/scans", scan).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

fn result(answer: &Answer) -> &str {
    answer.json["result"].as_str().unwrap()
}

#[tokio::test]
async fn a_ticket_admits_once_and_again_after_its_holder_left() {
    let doors = Doors::open(&["A1"]).await;
    let (now, ticket) = (doors.shop.clock.now(), &doors.tickets[0]);
    let (north, south) = (&doors.north, scanner(&doors.shop, "South").await);
    let first = scans(north, &scan(ticket, 1, "in", now)).await;
    assert_eq!(
        (result(&first), &first.json["seatId"]),
        ("ACCEPTED", &json!("A1"))
    );
    assert_eq!(first.json["ticketId"], doors.ticket_id(0));
    // At the other gate somebody shows the same ticket.
    let second = scans(&south, &scan(ticket, 2, "in", now)).await;
    assert_eq!(result(&second), "DUPLICATE");
    assert_eq!(second.json["earlier"]["gate"], "North");
    assert_eq!(second.json["earlier"]["device"], "Phone 1");
    assert_eq!(
        result(&scans(&south, &scan(ticket, 3, "out", now)).await),
        "ACCEPTED"
    );
    assert_eq!(
        result(&scans(&south, &scan(ticket, 4, "out", now)).await),
        "NOT_INSIDE"
    );
    assert_eq!(
        result(&scans(&south, &scan(ticket, 5, "in", now)).await),
        "ACCEPTED"
    );
    let counts = doors.counts().await;
    for (name, count) in [
        ("tickets", 1),
        ("admitted", 1),
        ("inside", 1),
        ("conflicts", 1),
    ] {
        assert_eq!(counts[name], count, "{name}: {counts}");
    }
    let gates: Vec<_> = counts["gates"].as_array().unwrap().iter().collect();
    for (gate, name, entered, left, refused) in
        [(gates[0], "North", 1, 0, 0), (gates[1], "South", 1, 1, 2)]
    {
        let figures = (&gate["entered"], &gate["left"], &gate["refused"]);
        assert_eq!(gate["gate"], name);
        assert_eq!(
            figures,
            (&json!(entered), &json!(left), &json!(refused)),
            "{name}"
        );
    }
    doors.shop.assert_clean().await;
}

#[tokio::test]
async fn two_scanners_at_once_admit_a_ticket_once() {
    let doors = Doors::open(&["A1", "A2", "A3"]).await;
    let another = doors.shop.another_process().await;
    let made = token(&doors.shop, "South").await;
    let now = doors.shop.clock.now();
    let mut no = 0;
    for ticket in &doors.tickets {
        let scanners = [
            doors.north.clone(),
            with_token(&Fan::new(another.router.clone()), &made),
        ];
        let racing = (0..6).map(|at| {
            no += 1;
            let (fan, scan) = (scanners[at % 2].clone(), scan(ticket, no, "in", now));
            async move { result(&scans(&fan, &scan).await).to_owned() }
        });
        let mut results = join_all(racing).await;
        results.sort();
        assert_eq!(results[0], "ACCEPTED", "{results:?}");
        assert!(
            results[1..].iter().all(|one| one == "DUPLICATE"),
            "{results:?}"
        );
    }
    doors.shop.assert_clean().await;
}

#[tokio::test]
async fn a_scan_sent_again_gets_the_same_answer_also_at_once() {
    let doors = Doors::open(&["A1"]).await;
    let now = doors.shop.clock.now();
    let entry = scan(&doors.tickets[0], 1, "in", now);
    let racing = (0..6).map(|_| {
        let (fan, entry) = (doors.north.clone(), entry.clone());
        async move { scans(&fan, &entry).await.json }
    });
    for answer in join_all(racing).await {
        assert_eq!(answer["result"], "ACCEPTED", "{answer}");
    }
    // Later too, when another scan would come to something else, and with another token.
    doors.shop.clock.advance(Duration::from_hours(1));
    let renewed = scanner(&doors.shop, "North").await;
    assert_eq!(result(&scans(&renewed, &entry).await), "ACCEPTED");
    assert_eq!(doors.counts().await["gates"][0]["entered"], 1);
    // The nonce stands for this scan alone.
    let other = doors
        .north
        .post("/checkin/v1/scans", &scan("another text", 1, "in", now))
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency-key-reused")
    );
    let other = doors
        .north
        .post("/checkin/v1/scans", &scan(&doors.tickets[0], 1, "out", now))
        .await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency-key-reused")
    );
    doors.shop.assert_clean().await;
}

#[tokio::test]
async fn what_two_scanners_admitted_without_a_network_is_a_conflict_of_both() {
    let doors = Doors::open(&["A1", "A2"]).await;
    let south = scanner(&doors.shop, "South").await;
    let now = doors.shop.clock.now();
    let offline = |ticket: usize, no: u32, ago: u64, device: &str| {
        let at = now.minus(Duration::from_mins(ago));
        let mut scan = scan(&doors.tickets[ticket], no, "in", at);
        scan["admitted"] = json!(true);
        scan["device"] = json!(device);
        scan
    };
    let north = json!({"sentAt": now, "scans": [
        offline(0, 1, 30, "N"), offline(1, 2, 29, "N"), offline(0, 1, 30, "N"),
    ]});
    let sent = scans(&doors.north, &north).await;
    let results = |answer: &Answer| -> Vec<String> {
        let answers = answer.json["scans"].as_array().unwrap().iter();
        answers
            .map(|one| one["result"].as_str().unwrap().to_owned())
            .collect()
    };
    // The third is the first once more.
    assert_eq!(results(&sent), ["ACCEPTED", "ACCEPTED", "ACCEPTED"]);
    // The clock of this device is five hours ahead, and it says so.
    let ahead = |at: &Value| {
        let at = Timestamp::parse(at.as_str().unwrap()).unwrap();
        json!(at.plus(Duration::from_hours(5)))
    };
    let mut early = offline(0, 3, 40, "S");
    early["at"] = ahead(&early["at"]);
    let south_sent = json!({"sentAt": now.plus(Duration::from_hours(5)), "scans": [early]});
    let sent = scans(&south, &south_sent).await;
    assert_eq!(results(&sent), ["DUPLICATE"]);
    assert_eq!(sent.json["scans"][0]["earlier"]["device"], "N");
    for caller in [&doors.north, &south, &doors.operators()] {
        let listed = caller.get(&format!("{SHOW}/conflicts")).await.json;
        let conflict = &listed["conflicts"][0];
        assert_eq!(listed["conflicts"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(
            (&conflict["result"], &conflict["admitted"]),
            (&json!("DUPLICATE"), &json!(true))
        );
        assert_eq!(
            (&conflict["scan"]["gate"], &conflict["scan"]["device"]),
            (&json!("South"), &json!("S"))
        );
        let earlier = &conflict["earlier"];
        assert_eq!(
            (&earlier["gate"], &earlier["device"]),
            (&json!("North"), &json!("N"))
        );
        assert_eq!(conflict["seatId"], "A1");
    }
    // Uploading again changes nothing.
    assert_eq!(results(&scans(&south, &south_sent).await), ["DUPLICATE"]);
    assert_eq!(doors.conflicts().await.as_array().unwrap().len(), 1);
    doors.shop.assert_clean().await;
}

#[tokio::test]
async fn who_was_let_in_after_the_answer_was_lost_is_a_conflict() {
    let doors = Doors::open(&["A1", "A2", "A3"]).await;
    let now = doors.shop.clock.now();
    let void = "update tickets set status = 'VOID' where ticket_id = $1";
    doors.meddle_with(void, 0).await;
    scans(&doors.north, &scan(&doors.tickets[1], 1, "in", now)).await;
    // The answers to these are lost, and the scanner decides alone with what it knew before.
    let asked: Vec<_> = (0..3)
        .map(|at| {
            let no = u32::try_from(at).unwrap() + 2;
            scan(&doors.tickets[at], no, "in", now)
        })
        .collect();
    let expected = ["REVOKED", "DUPLICATE", "ACCEPTED"];
    for (scan, expected) in asked.iter().zip(expected) {
        assert_eq!(result(&scans(&doors.north, scan).await), expected);
    }
    assert_eq!(doors.counts().await["conflicts"], 1);
    // Asked again, and with the nonce of another scan, nobody was let in.
    let mut others = asked.clone();
    for (at, scan) in others.iter_mut().enumerate() {
        scan["admitted"] = json!(true);
        scan["ticket"] = json!(doors.tickets[(at + 1) % 3]);
    }
    let another = scans(&doors.north, &json!({"scans": others})).await;
    assert_eq!(another.json["scans"][0]["result"], "NONCE_REUSED");
    scans(&doors.north, &json!({"scans": asked})).await;
    assert_eq!(doors.counts().await["conflicts"], 1);
    let mut kept = asked;
    for scan in &mut kept {
        scan["admitted"] = json!(true);
    }
    // Sent twice, because the answer to the upload is lost too.
    for _ in 0..2 {
        let sent = scans(&doors.north, &json!({"scans": kept, "sentAt": now})).await;
        for (at, expected) in expected.iter().enumerate() {
            assert_eq!(sent.json["scans"][at]["result"], *expected);
        }
        let conflicts = doors.conflicts().await;
        let told: Vec<_> = conflicts.as_array().unwrap().iter().collect();
        assert_eq!(told.len(), 2, "{conflicts}");
        for (conflict, expected) in told.iter().zip(["DUPLICATE", "REVOKED"]) {
            assert_eq!(conflict["result"], expected);
            assert_eq!(conflict["admitted"], true, "{conflict}");
        }
        assert_eq!(doors.counts().await["conflicts"], 2);
    }
}

#[tokio::test]
async fn refused_doubles_do_not_push_out_who_was_let_in_twice() {
    let doors = Doors::open(&["A1"]).await;
    let now = doors.shop.clock.now();
    scans(&doors.north, &scan(&doors.tickets[0], 1, "in", now)).await;
    let mut kept = scan(&doors.tickets[0], 2, "in", now);
    kept["admitted"] = json!(true);
    scans(&doors.north, &json!({"scans": [kept]})).await;
    let mut database = doors.shop.database.connect().await;
    let doubles =
        "insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
            gate, admitted, at, happened_at, received_at)
        select show_no, 'nonce-of-double-' || no, ticket_digest, ticket_id, direction, result, gate,
            false, at, happened_at, received_at from checkins, generate_series(1, 600) no
        where result = 'DUPLICATE'";
    database.execute(doubles).await.unwrap();
    database.close().await.unwrap();
    let conflicts = doors.conflicts().await;
    let admitted: Vec<_> = conflicts.as_array().unwrap().iter().collect();
    assert_eq!(admitted.len(), 500);
    let admitted: Vec<_> = admitted.iter().map(|one| one["admitted"] == true).collect();
    assert!(admitted[0] && !admitted[1..].contains(&true));
}

#[tokio::test]
async fn a_wrong_clock_neither_admits_nor_refuses() {
    let doors = Doors::open(&["A1", "A2"]).await;
    let now = doors.shop.clock.now();
    let years = Duration::from_hours(10 * 366 * 24);
    // A scan that is made now needs no clock of the device.
    let lost = scan(&doors.tickets[0], 1, "in", Timestamp::EPOCH);
    assert_eq!(result(&scans(&doors.north, &lost).await), "ACCEPTED");
    // A kept one does, and says what the clock shows now.
    let ahead = now.plus(years);
    let kept = scan(
        &doors.tickets[1],
        2,
        "in",
        ahead.minus(Duration::from_mins(10)),
    );
    let sent = scans(&doors.north, &json!({"scans": [kept], "sentAt": ahead})).await;
    assert_eq!(sent.json["scans"][0]["result"], "ACCEPTED");
    // After the show nobody is admitted by a clock that says otherwise.
    doors.shop.clock.advance(Duration::from_hours(20));
    let late = scan(&doors.tickets[0], 3, "in", now);
    assert_eq!(result(&scans(&doors.north, &late).await), "EXPIRED");
}

#[tokio::test]
async fn tickets_that_are_not_good_are_refused_with_the_reason() {
    let doors = Doors::open(&["A1", "A2", "A3"]).await;
    let (shop, now) = (&doors.shop, doors.shop.clock.now());
    let mut another = show_file();
    another["showId"] = json!("eras-mumbai-2");
    assert_eq!(shop.import(another).await.0, 201);
    let wish = json!({"showId": "eras-mumbai-2", "gate": "East"});
    let made = doors
        .operators()
        .post("/admin/v1/scanners", &wish)
        .await
        .json;
    let east = with_token(&shop.fan(), &made);
    let wrong = scans(&east, &scan(&doors.tickets[0], 1, "in", now)).await;
    assert_eq!(result(&wrong), "WRONG_SHOW");
    // One letter of the signature; the last of its group, so that a small one is always readable.
    let ticket = &doors.tickets[0];
    let other = if &ticket[62..63] == "0" { "1" } else { "0" };
    let forged = format!("{}{other}{}", &ticket[..62], &ticket[63..]);
    for (no, text, expected) in [
        (2, forged.as_str(), "FORGED"),
        (3, "{\"ticket\": 1}", "UNREADABLE"),
        (4, "", "UNREADABLE"),
    ] {
        let answer = scans(&doors.north, &scan(text, no, "in", now)).await;
        assert_eq!(result(&answer), expected, "{text}");
        assert_eq!(answer.json["ticketId"], Value::Null);
    }
    doors
        .meddle_with(
            "update tickets set token_generation = 2 where ticket_id = $1",
            1,
        )
        .await;
    doors
        .meddle_with("delete from tickets where ticket_id = $1", 2)
        .await;
    for (no, at, expected) in [(5, 1, "REISSUED"), (6, 2, "UNKNOWN_TICKET")] {
        let answer = scans(&doors.north, &scan(&doors.tickets[at], no, "in", now)).await;
        assert_eq!(result(&answer), expected);
    }
    shop.clock.advance(Duration::from_hours(20));
    let late = scans(&doors.north, &scan(&doors.tickets[0], 7, "in", now)).await;
    assert_eq!(result(&late), "EXPIRED");
}

#[tokio::test]
async fn a_cancelled_ticket_admits_nobody_and_was_not_inside_wrongly() {
    let doors = Doors::open(&["A1", "A2"]).await;
    let now = doors.shop.clock.now();
    let void = "update tickets set status = 'VOID' where ticket_id = $1";
    assert_eq!(
        result(&scans(&doors.north, &scan(&doors.tickets[0], 1, "in", now)).await),
        "ACCEPTED"
    );
    doors.meddle_with(void, 0).await;
    assert_eq!(doors.counts().await["inside"], 1);
    // Whoever went in before may leave, once, and does not come back.
    for (no, direction, expected) in [
        (2, "in", "REVOKED"),
        (3, "out", "ACCEPTED"),
        (6, "out", "REVOKED"),
        (7, "in", "REVOKED"),
    ] {
        let answer = scans(&doors.north, &scan(&doors.tickets[0], no, direction, now)).await;
        assert_eq!(result(&answer), expected, "{no} {direction}");
    }
    assert_eq!(doors.counts().await["inside"], 0);
    // Cancelled while it is scanned: whichever is first, the books agree.
    let racing = scan(&doors.tickets[1], 4, "in", now);
    let (answer, ()) = tokio::join!(
        doors.north.post("/checkin/v1/scans", &racing),
        doors.meddle_with(void, 1)
    );
    assert!(
        ["ACCEPTED", "REVOKED"].contains(&result(&answer)),
        "{}",
        answer.text
    );
    let report = doors.shop.process.booking.check().await.unwrap();
    let about_entries = report
        .invariants
        .iter()
        .filter(|one| one.promise == "ADMIT-ONCE");
    let broken: Vec<_> = about_entries.filter(|one| one.violations != 0).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let manifest = doors.north.get(&format!("{SHOW}/manifest")).await.json;
    let mut revoked = [doors.ticket_id(0), doors.ticket_id(1)];
    revoked.sort_unstable();
    assert_eq!(manifest["revoked"], json!(revoked));
    // Let in without a network although it was cancelled: somebody should know.
    let mut kept = scan(&doors.tickets[0], 5, "in", now);
    kept["admitted"] = json!(true);
    scans(&doors.north, &json!({"scans": [kept]})).await;
    let conflicts = doors.conflicts().await;
    assert_eq!(
        (&conflicts[0]["result"], &conflicts[0]["admitted"]),
        (&json!("REVOKED"), &json!(true))
    );
}

#[tokio::test]
async fn the_database_itself_holds_no_two_open_entries() {
    let doors = Doors::open(&["A1"]).await;
    let now = doors.shop.clock.now();
    scans(&doors.north, &scan(&doors.tickets[0], 1, "in", now)).await;
    let mut database = doors.shop.database.connect().await;
    let double =
        "insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
            gate, admitted, at, happened_at, received_at)
        select show_no, 'nonce-of-another', ticket_digest, ticket_id, direction, result, gate,
            admitted, at, happened_at, received_at from checkins";
    let refused = database.execute(double).await.unwrap_err();
    assert!(
        refused.to_string().contains("checkins_once_inside"),
        "{refused}"
    );
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_manifest_is_sent_again_only_when_it_changed() {
    let doors = Doors::open(&["A1"]).await;
    let path = format!("{SHOW}/manifest");
    let first = doors.north.get(&path).await;
    assert_eq!(first.json["showId"], "eras-mumbai-1");
    assert_eq!(first.json["keys"][0]["keyId"], 1);
    assert_eq!(
        first.json["keys"][0]["publicKey"].as_str().unwrap().len(),
        43
    );
    assert_eq!(first.json["showNo"], doors.claims(0).show_no);
    let etag = first.headers["etag"].to_str().unwrap();
    let knowing = doors.north.clone().with_header("if-none-match", etag);
    let same = knowing.get(&path).await;
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    let now = doors.shop.clock.now();
    scans(&doors.north, &scan(&doors.tickets[0], 1, "in", now)).await;
    // Who came is no other manifest, and read apart.
    let same = knowing.get(&path).await;
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    assert_eq!(doors.counts().await["inside"], 1);
    doors
        .meddle_with("update tickets set status = 'VOID' where ticket_id = $1", 0)
        .await;
    let newer = knowing.get(&path).await;
    assert_eq!(
        (newer.status, &newer.json["counts"]["inside"]),
        (200, &json!(1))
    );
    assert_eq!(newer.json["revoked"], json!([doors.ticket_id(0)]));
    assert_ne!(newer.headers["etag"], etag);
}
