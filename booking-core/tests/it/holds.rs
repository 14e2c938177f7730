//! Holding and releasing seats.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::against_fraud::off;
use crate::fan::{Fan, SHOW, hold_path};
use crate::test_shop::{TestShop, show_file};

pub(crate) fn behind_room() -> Value {
    let mut file = show_file();
    file["room"] = json!("eras");
    file
}

#[tokio::test]
async fn seats_are_held_until_the_hold_expires() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let answer = fan.hold(&["A2", "A1"]).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json["seatIds"], json!(["A1", "A2"]));
    assert_eq!(answer.json["amountMinor"], 500_000);
    assert_eq!(answer.json["currency"], "INR");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let hold = format!("/api/v1/holds/{}", answer.json["holdId"].as_str().unwrap());
    assert_eq!(fan.get(&hold).await.json["status"], "ACTIVE");
    assert_eq!(shop.fan().get(&hold).await.status, 404);
    assert_eq!(shop.fan().delete(&hold).await.status, 404);
    assert_eq!(fan.seat("A1").await, "HELD");

    shop.clock.advance(Duration::from_secs(299));
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 0);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(fan.get(&hold).await.json["status"], "EXPIRED");
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 1);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(fan.pay(&hold).await.code(), "hold-expired");
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_figure_of_waiting_hold_requests_goes_back_to_zero() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    // The runtime of a test has one thread, so the show's writer records here too.
    let _recording = metrics::set_default_local_recorder(&recorder);
    let shop = TestShop::new().await;
    let fans: Vec<Fan> = (0..8).map(|_| shop.fan()).collect();
    let answers = join_all(fans.iter().map(|fan| fan.hold(&["A1"]))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    let text = figures.render();
    let queues: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("ropeline_booking_hold_queue{"))
        .collect();
    assert!(queues.len() == 1 && queues[0].ends_with(" 0"), "{queues:?}");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_release_frees_the_seats_and_the_limit_at_once() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2", "A3"]).await;
    assert_eq!(fan.hold(&["A4", "A5"]).await.code(), "ticket-limit");
    for _ in 0..2 {
        assert_eq!(fan.delete(&hold).await.status, 204);
    }
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    fan.held(&["A1", "A2", "A3", "A4"]).await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn all_seats_or_none() {
    let shop = TestShop::new().await;
    shop.fan().held(&["A2"]).await;
    let answer = shop.fan().hold(&["A1", "A2", "A3"]).await;
    assert_eq!((answer.status, answer.code()), (409, "seats-unavailable"));
    assert_eq!(answer.json["seatIds"], json!(["A2"]));
    assert_eq!(shop.fan().seat("A1").await, "AVAILABLE");
    let blocked = shop.fan().hold(&["B10"]).await;
    assert_eq!(blocked.json["seatIds"], json!(["B10"]));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_its_field() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    for (body, field) in [
        (json!({}), "seatIds"),
        (json!({"seatIds": []}), "seatIds"),
        (json!({"seatIds": ["A1", "A1"]}), "seatIds"),
        (json!({"seatIds": ["Z1"]}), "seatIds"),
        (json!({"seatIds": ["A1"], "quantity": 1}), "quantity"),
        (json!({"quantity": 0}), "quantity"),
        (json!({"quantity": 1, "category": "GOLD"}), "category"),
        (json!({"seatIds": ["A1"], "colour": "red"}), "colour"),
    ] {
        let answer = fan.post(&format!("{SHOW}/holds"), &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "validation-failed"),
            "{body}"
        );
        assert!(
            answer.json["detail"].as_str().unwrap().contains(field),
            "{}",
            answer.text
        );
    }
    let older = json!({"seatIds": ["A1"], "userId": 7});
    assert_eq!(fan.post(&format!("{SHOW}/holds"), &older).await.status, 201);
    let none = fan
        .post("/api/v1/shows/none/holds", &json!({"quantity": 1}))
        .await;
    assert_eq!(none.status, 404);
    let many = fan
        .post(&format!("{SHOW}/holds"), &json!({"quantity": 5}))
        .await;
    assert_eq!(many.code(), "ticket-limit");
}

#[tokio::test]
async fn a_sale_has_a_window() {
    let mut file = show_file();
    file["saleOpensAt"] = json!("2026-12-01T00:00:00Z");
    let shop = TestShop::with(file).await;
    assert_eq!(shop.fan().hold(&["A1"]).await.code(), "sale-not-open");
    assert_eq!(shop.fan().get(SHOW).await.json["saleStatus"], "UPCOMING");
    shop.clock.advance(Duration::from_hours(2160));
    shop.fan().held(&["A1"]).await;
    shop.clock.advance(Duration::from_hours(1440));
    assert_eq!(shop.fan().hold(&["A2"]).await.code(), "sale-not-open");
}

/// Dates that are over must not make the seats of the others look few.
#[tokio::test]
async fn what_is_left_of_a_room_is_counted_over_the_shows_for_sale() {
    let mut over = behind_room();
    over["showId"] = json!("eras-mumbai-0");
    over["saleClosesAt"] = json!("2026-10-01T00:00:00Z");
    let shop = TestShop::with(behind_room()).await;
    assert_eq!(shop.import(over).await.0, 201);
    let stock = |shop: &TestShop| shop.process.booking.stock(&"eras".parse().unwrap());
    let both = stock(&shop).unwrap();
    assert_eq!((both.remaining, both.unsold, both.total), (38, 38, 40));
    assert_eq!(
        (both.prices, both.currency),
        (Some((100_000, 250_000)), "INR".to_owned())
    );
    shop.clock.advance(Duration::from_hours(24 * 30));
    let one = stock(&shop).unwrap();
    assert_eq!((one.remaining, one.unsold, one.total), (19, 19, 20));
    shop.fan().with_pass("eras", 1).held(&["A1"]).await;
    assert_eq!(stock(&shop).unwrap().remaining, 18);
    assert_eq!(shop.process.booking.stock(&"other".parse().unwrap()), None);
}

#[tokio::test]
async fn a_show_behind_a_room_wants_a_pass_of_that_room() {
    let shop = TestShop::with(behind_room()).await;
    for fan in [
        shop.fan(),
        shop.fan().with_pass("other", 1),
        shop.fan().with_ended_pass("eras", 1),
    ] {
        let answer = fan.hold(&["A1"]).await;
        assert_eq!((answer.status, answer.code()), (403, "pass-required"));
        let join = "/_line/rooms/eras?to=/shows/eras-mumbai-1/seats";
        assert_eq!(answer.json["joinUrl"], join);
    }
    let fan = shop.fan().with_pass("eras", 1);
    let hold = fan.held(&["A1", "A2", "A3"]).await;
    // The limit counts the pass, whatever the cookie.
    let same_pass = shop.fan().with_pass("eras", 1);
    assert_eq!(same_pass.hold(&["A4", "A5"]).await.code(), "ticket-limit");
    // The browser still owns the hold when the pass has ended, and so does the pass elsewhere.
    assert_eq!(fan.clone().without_pass().get(&hold).await.status, 200);
    assert_eq!(same_pass.get(&hold).await.status, 200);
    let ended = shop.fan().with_ended_pass("eras", 1);
    assert_eq!(ended.get(&hold).await.status, 200);
    assert_eq!(shop.fan().with_pass("eras", 2).get(&hold).await.status, 404);
    let room = "eras".parse().unwrap();
    assert_eq!(shop.process.booking.stock(&room).unwrap().remaining, 16);
    assert_eq!(shop.process.booking.stock(&"none".parse().unwrap()), None);
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_best_seats_go_first_and_two_processes_do_not_stop_each_other() {
    let shop = TestShop::new().await;
    let best = json!({"quantity": 2, "category": "PREMIUM"});
    let path = format!("{SHOW}/holds");
    let first = shop.fan().post(&path, &best).await;
    assert_eq!(first.json["seatIds"], json!(["A5", "A6"]));
    // The other process does not know yet that these are gone.
    let other = shop.another_process().await;
    let here = shop.fan().post(&path, &best).await;
    assert_eq!(here.status, 201);
    let there = shop.fan().at(other.router.clone()).post(&path, &best).await;
    assert_eq!(there.status, 201, "{}", there.text);
    for _ in 0..2 {
        assert_eq!(shop.fan().post(&path, &best).await.status, 201);
    }
    let gone = shop.fan().post(&path, &best).await;
    assert_eq!(
        (gone.status, gone.json["seatIds"].clone()),
        (409, json!([]))
    );
    shop.assert_clean().await;
}

/// Hundreds of fans, two processes, twenty seats. Each seat is in one hold at most, each hold has
/// all of its seats, and the losers are told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_seat_is_ever_in_two_holds() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let seats: Vec<String> = (1..=10).map(|n| format!("A{n}")).collect();
    let attempts = (0..400).map(|n| {
        let router = if n % 2 == 0 {
            &shop.process.router
        } else {
            &other.router
        };
        let fan = shop.fan().at(router.clone());
        let wanted: Vec<String> = (0..=n % 3)
            .map(|k| seats[(n * 7 + k) % 10].clone())
            .collect();
        async move {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            fan.hold_patiently(&wanted).await
        }
    });
    let answers = join_all(attempts).await;
    let mut held: HashMap<String, usize> = HashMap::new();
    for answer in &answers {
        match answer.status {
            201 => {
                for seat in answer.json["seatIds"].as_array().unwrap() {
                    *held.entry(seat.as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
            status => assert_eq!((status, answer.code()), (409, "seats-unavailable")),
        }
    }
    assert!(held.values().all(|count| *count == 1), "{held:?}");
    assert!(
        held.len() >= 8,
        "most seats were wanted alone by someone: {held:?}"
    );
    shop.assert_clean().await;
}

/// One fan at two processes with many tabs cannot pass the limit of four.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ticket_limit_holds_across_tabs_and_processes() {
    let shop = TestShop::with(behind_room()).await;
    let other = shop.another_process().await;
    let tabs = (1..=18).map(|n| {
        let router = if n % 2 == 0 {
            &shop.process.router
        } else {
            &other.router
        };
        let fan = shop.fan().with_pass("eras", 1).at(router.clone());
        let seat = if n <= 9 {
            format!("A{n}")
        } else {
            format!("B{}", n - 9)
        };
        async move { fan.hold_patiently(&[&seat]).await }
    });
    let answers = join_all(tabs).await;
    let held = answers.iter().filter(|answer| answer.status == 201).count();
    let limited = answers
        .iter()
        .filter(|answer| answer.code() == "ticket-limit")
        .count();
    assert_eq!((held, limited), (4, 14));
    shop.assert_clean().await;
}

/// A seat that somebody asks for in vain is still there for whoever asks at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_neighbour_that_is_refused_takes_no_seat_with_it() {
    let shop = TestShop::against_fraud(show_file(), None, off()).await;
    let full = shop.fan();
    full.held(&["B1", "B2", "B3", "B4"]).await;
    for _ in 0..30 {
        let fan = shop.fan();
        let (refused, held) = tokio::join!(full.hold(&["A1"]), fan.hold(&["A1"]));
        assert_eq!((refused.status, held.status), (409, 201), "{}", held.text);
        fan.delete(&hold_path(&held)).await;
    }
    shop.assert_clean().await;
}

/// One who asks over and over is put off; everyone else is served meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_who_asks_too_often_stands_in_nobodys_way() {
    let shop = TestShop::against_fraud(show_file(), None, off()).await;
    let pest = shop.fan();
    pest.with_session().await;
    let flood = join_all((0..200).map(|_| pest.hold(&["A1"])));
    let others = join_all((1..=9).map(|n| {
        let fan = shop.fan();
        async move { fan.hold(&[&format!("B{n}")]).await.status }
    }));
    // Nothing is answered until all have asked.
    let mut database = shop.database.connect().await;
    let mut stall = database.begin().await.unwrap();
    sqlx::query("lock table holds in share row exclusive mode")
        .execute(&mut *stall)
        .await
        .unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        stall.rollback().await.unwrap();
    };
    let (flood, others, ()) = tokio::join!(flood, others, release);
    assert_eq!(others, [201; 9]);
    let put_off = flood
        .iter()
        .filter(|answer| answer.code() == "booking-busy");
    assert!(put_off.count() > 0, "nothing was put off");
    assert_eq!(
        flood.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    shop.assert_clean().await;
}

/// Fans hold and release over and over while both processes sweep: nothing deadlocks or leaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holding_releasing_and_sweeping_do_not_get_into_each_others_way() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fans = (0..30).map(|n: usize| {
        let router = if n.is_multiple_of(2) {
            &shop.process.router
        } else {
            &other.router
        };
        let fan = shop.fan().at(router.clone());
        let sweeper = if n.is_multiple_of(2) {
            &shop.process.booking
        } else {
            &other.booking
        };
        let clock = &shop.clock;
        async move {
            for round in 0..6 {
                let first = (n + round) % 9 + 1;
                let seats = [format!("A{first}"), format!("A{}", first + 1)];
                let answer = fan.hold_patiently(&[&seats[1], &seats[0]]).await;
                match answer.status {
                    201 if round % 2 == 0 => {
                        let id = answer.json["holdId"].as_str().unwrap();
                        let gone = fan.delete(&format!("/api/v1/holds/{id}")).await;
                        assert_eq!(gone.status, 204);
                    }
                    201 => {
                        clock.advance(Duration::from_secs(301));
                        sweeper.sweep_once().await.unwrap();
                    }
                    status => assert_eq!(status, 409, "{}", answer.text),
                }
            }
        }
    });
    join_all(fans).await;
    shop.clock.advance(Duration::from_secs(301));
    shop.settle().await;
    let free: HashSet<String> = free_seats(&shop.fan()).await;
    assert_eq!(free.len(), 19);
    shop.assert_clean().await;
}

async fn free_seats(fan: &Fan) -> HashSet<String> {
    let map = fan.get(&format!("{SHOW}/seatmap")).await.json;
    let seats = map["seats"].as_array().unwrap().iter();
    seats
        .filter(|seat| seat["status"] == "AVAILABLE")
        .map(|seat| seat["seatId"].as_str().unwrap().to_owned())
        .collect()
}
