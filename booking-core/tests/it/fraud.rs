//! What suspicious customers meet before they hold and before they pay, and that ordinary ones do
//! not meet it.

use std::num::NonZeroU32;
use std::time::Duration;

use booking_core::{Rate, Rates};
use serde_json::{Value, json};

use crate::against_fraud::strict;
use crate::fan::{Fan, SHOW, hold_path, intent_of};
use crate::suspicious::{assert_says_nothing, confirmed, solved, start, started, waiting};
use crate::test_shop::{TestShop, show_file};

#[tokio::test]
async fn ordinary_fans_meet_nothing() {
    let shop = TestShop::new().await;
    // A family of four, who mistype the card twice.
    let family = shop.fan();
    let hold = family.held(&["A1", "A2", "A3", "A4"]).await;
    let intent = family.intent(&hold).await;
    for _ in 0..2 {
        shop.provider
            .decline(&intent, "incorrect_cvc", "incorrect_cvc");
        assert_eq!(family.confirm(&hold, &intent).await.status, 402);
    }
    let intent = family.intent(&hold).await;
    shop.sells(&family, &hold, &intent).await;
    // An office behind one address, at the same time.
    for (n, seat) in ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8"]
        .iter()
        .enumerate()
    {
        let fan = shop.fan().with_header("x-forwarded-for", "198.51.100.7");
        let hold = fan.held(&[seat]).await;
        let started = start(&fan, &hold, &format!("clerk{n}@office.example"), None).await;
        assert_eq!(started.status, 201, "{}", started.text);
    }
    // A fan who looks for seats again and again, each time for others.
    let picky = shop.fan();
    for seat in ["A5", "A6", "A7", "A8", "A9", "A10"] {
        let answer = picky.hold(&[seat]).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(picky.delete(&hold_path(&answer)).await.status, 204);
    }
    let reviews: Vec<Value> = waiting(&shop).await;
    assert!(reviews.is_empty(), "{reviews:?}");
}

#[tokio::test]
async fn a_new_customer_with_a_high_value_works_first_and_a_known_one_does_not() {
    let shop = TestShop::against_fraud(show_file(), None, strict(30)).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let asked = start(&fan, &hold, "new@example.com", None).await;
    assert_says_nothing(&asked);
    assert_eq!(
        shop.provider.intent_count(),
        0,
        "nothing was asked of the provider"
    );
    let proof = solved(&asked);
    let started = start(&fan, &hold, "new@example.com", Some(&proof)).await;
    assert_eq!(started.status, 201, "{}", started.text);
    // Who has worked need not work again for the same hold.
    let again = start(&fan, &hold, "new@example.com", None).await;
    assert_eq!(again.status, 201, "{}", again.text);
    shop.provider.pay(&intent_of(&started));
    assert_eq!(confirmed(&fan, &hold, &started).await.status, 200);
    // Another browser with the same address, a minute later and two days later.
    let later = shop.fan();
    let hold = later.held(&["A2"]).await;
    let asked = start(&later, &hold, "New@Example.com", None).await;
    assert_eq!(asked.status, 403, "{}", asked.text);
    shop.clock.advance(Duration::from_hours(48));
    shop.settle().await;
    let hold = later.held(&["A3"]).await;
    let known = start(&later, &hold, "New@Example.com", None).await;
    assert_eq!(known.status, 201, "{}", known.text);
}

#[tokio::test]
async fn a_solution_is_good_once_and_for_one_hold() {
    let shop = TestShop::against_fraud(show_file(), None, strict(30)).await;
    let (fan, other) = (shop.fan(), shop.fan());
    let (hold, others) = (fan.held(&["A1"]).await, other.held(&["A2"]).await);
    let proof = solved(&start(&fan, &hold, "a@example.com", None).await);
    // Somebody else's, changed, or no solution at all.
    let broken = format!("{}AAAA", &proof[..proof.len() - 4]);
    for (fan, hold, proof) in [
        (&other, &others, proof.as_str()),
        (&fan, &hold, broken.as_str()),
        (&fan, &hold, "e30="),
        (&fan, &hold, ""),
    ] {
        let refused = start(fan, hold, "a@example.com", Some(proof)).await;
        assert_eq!(refused.code(), "challenge-required", "{proof}");
    }
    let started = start(&fan, &hold, "a@example.com", Some(&proof)).await;
    assert_eq!(started.status, 201, "{}", started.text);
    // A gateway that finds the hold more suspicious asks again, and not for the old solution.
    let stricter = shop.another_process_against(strict(50)).await;
    let fan = fan.at(stricter.router.clone());
    let replayed = start(&fan, &hold, "a@example.com", Some(&proof)).await;
    let fresh = solved(&replayed);
    let (first, second) = tokio::join!(
        start(&fan, &hold, "a@example.com", Some(&fresh)),
        start(&fan, &hold, "a@example.com", Some(&fresh))
    );
    assert!(
        first.status == 201 || second.status == 201,
        "{} {}",
        first.text,
        second.text
    );
}

#[tokio::test]
async fn a_repeat_under_its_key_may_bring_the_solution() {
    let shop = TestShop::against_fraud(show_file(), None, strict(30)).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let keyed = fan.clone().with_header("idempotency-key", "pay-1");
    let asked = start(&keyed, &hold, "a@example.com", None).await;
    let proof = solved(&asked);
    let started = start(&keyed, &hold, "a@example.com", Some(&proof)).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let repeated = start(&keyed, &hold, "a@example.com", None).await;
    assert_eq!(repeated.text, started.text);
}

#[tokio::test]
async fn the_same_request_over_and_over_is_stopped_until_work_is_done() {
    let shop = TestShop::against_fraud(show_file(), None, strict(0)).await;
    // The limits on how often one customer may call are not what stops them here.
    let mut rates = Rates::default();
    let often = NonZeroU32::new(10_000).unwrap();
    rates.hold.customer = Rate {
        per_second: often,
        burst: often,
    };
    let process = shop.another_process_limited(rates).await;
    let fan_here = || Fan::new(process.router.clone());
    let (fan, owner) = (fan_here(), shop.fan());
    owner.held(&["B1"]).await;
    fan.held(&["B2"]).await;
    let body = json!({"seatIds": ["B1"]});
    let path = format!("{SHOW}/holds");
    let mut asked = None;
    for n in 0..40 {
        let answer = fan.post(&path, &body).await;
        if answer.status == 403 {
            assert!(n >= 25, "after {n}");
            asked = Some(answer);
            break;
        }
        assert_eq!(answer.status, 409, "{}", answer.text);
    }
    let asked = asked.expect("a challenge");
    assert_says_nothing(&asked);
    let proof = solved(&asked);
    let with = |proof: &str| json!({"seatIds": ["B1"], "proof": proof});
    let path = &path;
    // Another fan cannot use it, and it is good once.
    let mut foreign = None;
    let stranger = fan_here();
    stranger.held(&["B3"]).await;
    for _ in 0..40 {
        foreign = Some(stranger.post(path, &with(&proof)).await);
    }
    assert_eq!(foreign.unwrap().code(), "challenge-required");
    assert_eq!(fan.post(path, &with(&proof)).await.status, 409);
    assert_eq!(fan.post(path, &body).await.status, 409);
    // Solutions end.
    shop.clock.advance(Duration::from_mins(11));
    let mut last = None;
    for _ in 0..40 {
        last = Some(fan.post(path, &body).await);
    }
    let late = solved(&last.unwrap());
    shop.clock.advance(Duration::from_mins(11));
    assert_eq!(
        fan.post(path, &with(&late)).await.code(),
        "challenge-required"
    );
    // Others are not stopped.
    shop.settle().await;
    assert_eq!(shop.fan().hold(&["B1"]).await.status, 201);
}

#[tokio::test]
async fn too_many_declines_of_a_customer_end_the_trying_with_words_that_say_nothing() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut database = shop.database.connect().await;
    // Twenty declined tries of this customer, on holds that are over.
    sqlx::query(
        "insert into payment_tries (provider, try_id, hold_id, show_no, ticket_count, owner_hash,
            customer_hash, declined, seen_at)
         select 'simulator', 'ch_' || n, gen_random_uuid(), 1, 1, $1, 'x', true, $2
         from generate_series(1, 20) n",
    )
    .bind(owner_hash(&shop).await)
    .bind(time::OffsetDateTime::from(contract::Clock::now(
        &shop.clock,
    )))
    .execute(&mut database)
    .await
    .unwrap();
    let refused = start(&fan, &hold, "fan@example.com", None).await;
    assert_eq!(
        (refused.status, refused.code()),
        (402, "payment-failed"),
        "{}",
        refused.text
    );
    assert_says_nothing(&refused);
    assert_eq!(shop.provider.intent_count(), 0);
    // The seats stay the fan's, and an hour later it is forgotten.
    assert_eq!(fan.get(&hold).await.json["status"], "ACTIVE");
    shop.clock.advance(Duration::from_mins(61));
    shop.settle().await;
    let hold = fan.held(&["A1"]).await;
    let started = start(&fan, &hold, "fan@example.com", None).await;
    assert_eq!(started.status, 201, "{}", started.text);
}

/// The hash of the owner of the only hold, as the shop makes it.
async fn owner_hash(shop: &TestShop) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    };
    let mut database = shop.database.connect().await;
    let owner: String = sqlx::query_scalar("select limit_owner from holds")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let key = mac(&[7; 32], &[b"ropeline fraud hashes v1\0"]);
    mac(&key, &[b"owner\0", owner.as_bytes()])[..16].to_vec()
}

#[tokio::test]
async fn nothing_is_looked_at_when_it_is_off() {
    let mut off = strict(100);
    off.enabled = false;
    let shop = TestShop::against_fraud(show_file(), None, off).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let started = start(&fan, &hold, "new@example.com", None).await;
    assert_eq!(started.status, 201, "{}", started.text);
    shop.sells(&fan, &hold, &intent_of(&started)).await;
    let mut database = shop.database.connect().await;
    let kept: i64 = sqlx::query_scalar(
        "select (select count(*) from hold_risks) + (select count(*) from payment_tries)",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn what_is_remembered_is_forgotten_in_time() {
    let shop = TestShop::against_fraud(show_file(), None, strict(30)).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let started = started(&fan, &hold, "new@example.com").await;
    assert_eq!(started.status, 201, "{}", started.text);
    let mut database = shop.database.connect().await;
    let mut kept = async || -> (i64, i64) {
        sqlx::query_as(
            "select (select count(*) from hold_risks), (select count(*) from solved_challenges)",
        )
        .fetch_one(&mut database)
        .await
        .unwrap()
    };
    assert_eq!(kept().await, (1, 1));
    shop.clock.advance(Duration::from_mins(11));
    shop.process.booking.purge_once().await.unwrap();
    assert_eq!(kept().await, (1, 0));
    shop.clock.advance(Duration::from_hours(30 * 24));
    shop.process.booking.purge_once().await.unwrap();
    assert_eq!(kept().await, (0, 0));
}
