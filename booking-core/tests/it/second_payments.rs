//! Customers who pay twice: the second payment is noticed, and goes back once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fan::{Fan, intent_of};
use crate::test_shop::{TestShop, eventually};
use crate::test_simulator::Simulator;
use crate::two_providers::{razorpay, shop, stripe};

const PRICE: i64 = 250_000;

/// A link that two apps of one customer have at the bank.
struct Twice {
    simulator: Simulator,
    shop: TestShop,
    fan: Fan,
    hold: String,
    intent: String,
    banks: [String; 2],
}

impl Twice {
    async fn at(simulator: Simulator) -> Self {
        let shop = shop(vec![razorpay(&simulator.url)]).await;
        let fan = shop.fan();
        let hold = fan.held(&["A1"]).await;
        let started = fan.pay(&hold).await;
        let page = started.json["redirectUrl"].as_str().unwrap().to_owned();
        let banks = [
            simulator.at_the_bank(&page).await,
            simulator.at_the_bank(&page).await,
        ];
        Self {
            intent: intent_of(&started),
            simulator,
            shop,
            fan,
            hold,
            banks,
        }
    }

    async fn agrees(&self, nth: usize) {
        self.simulator.agrees(&self.banks[nth]).await;
    }

    async fn confirmed(&self) {
        let answer = self.fan.confirm(&self.hold, &self.intent).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Captured and refunded, by payment, in the order in which they were begun.
    async fn books(&self) -> Vec<(i64, i64)> {
        let ledger = self.simulator.ledger().await;
        let amount = |line: &Value, name: &str| line[name].as_i64().unwrap();
        ledger
            .iter()
            .map(|line| (amount(line, "captured"), amount(line, "refunded")))
            .collect()
    }

    /// Fails unless the payment `nth`, if it is known which, paid for the booking and the other went
    /// back once.
    async fn assert_one_went_back(&self, nth: Option<usize>) {
        for _ in 0..3 {
            self.shop.clock.advance(Duration::from_mins(20));
            self.shop.process.booking.reconcile_once().await.unwrap();
            reconciled(&self.shop).await;
            self.shop.settle().await;
        }
        let mut books = self.books().await;
        if let Some(nth) = nth {
            assert_eq!(books[nth], (PRICE, 0));
        }
        books.sort_unstable();
        assert_eq!(books, [(PRICE, 0), (PRICE, PRICE)]);
        assert_eq!(self.fan.seat("A1").await, "BOOKED");
        self.shop.assert_clean().await;
        let refunds: Vec<(String, i64, String)> =
            sqlx::query_as("select reason, amount_minor, status from refunds")
                .fetch_all(&mut self.shop.database.connect().await)
                .await
                .unwrap();
        let made = ("double-charge".to_owned(), PRICE, "SUCCEEDED".to_owned());
        assert_eq!(refunds, [made]);
        // What was paid a second time was never a part of what was sold.
        while self.shop.process.booking.sales_once().await.unwrap() > 0 {}
        let desk = Fan::new(self.shop.process.booking.admin().0);
        let figures = desk.get("/admin/v1/sales").await.json["shows"][0].clone();
        let of = |name: &str| figures[name].as_i64().unwrap();
        let figures = (of("bookedMinor"), of("refundedMinor"), of("netMinor"));
        assert_eq!(figures, (PRICE, 0, PRICE));
    }
}

async fn reconciled(shop: &TestShop) -> Value {
    let admin = Fan::new(shop.process.booking.admin().0);
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(report.status, 200, "{}", report.text);
    report.json
}

#[tokio::test]
async fn a_webhook_tells_of_a_second_payment_of_a_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let twice = Twice::at(Simulator::telling(Some(&origin)).await).await;
    let router = twice.shop.process.router.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    twice.agrees(1).await;
    twice.confirmed().await;
    twice.agrees(0).await;
    eventually("the refund of the second payment", async || {
        // Without the comparison: webhooks alone have to do.
        twice.shop.process.booking.inbox_once().await.unwrap();
        twice.shop.process.booking.refund_once().await.unwrap();
        twice.simulator.balance().await == PRICE
    })
    .await;
    twice.assert_one_went_back(Some(1)).await;
}

#[tokio::test]
async fn the_comparison_finds_a_second_payment_whose_webhook_was_lost() {
    let twice = Twice::at(Simulator::start().await).await;
    twice.agrees(0).await;
    twice.confirmed().await;
    twice.agrees(1).await;
    twice.shop.clock.advance(Duration::from_mins(1));
    let report = reconciled(&twice.shop).await;
    assert_eq!(report["secondPayments"].as_array().unwrap().len(), 1);
    assert_eq!(report["orphanedIntents"], json!([]));
    let again = reconciled(&twice.shop).await;
    assert_eq!(again["secondPayments"], json!([]));
    twice.assert_one_went_back(Some(0)).await;
}

#[tokio::test]
async fn two_payments_that_are_found_together_are_one_booking_and_one_refund() {
    let twice = Twice::at(Simulator::start().await).await;
    twice.agrees(1).await;
    twice.agrees(0).await;
    twice.confirmed().await;
    twice.assert_one_went_back(None).await;
}

#[tokio::test]
async fn of_three_payments_of_one_link_two_go_back() {
    let twice = Twice::at(Simulator::start().await).await;
    let page = twice.fan.pay(&twice.hold).await;
    let page = page.json["redirectUrl"].as_str().unwrap().to_owned();
    let third = twice.simulator.at_the_bank(&page).await;
    twice.agrees(0).await;
    twice.agrees(1).await;
    twice.simulator.agrees(&third).await;
    twice.confirmed().await;
    for _ in 0..3 {
        twice.shop.clock.advance(Duration::from_mins(20));
        reconciled(&twice.shop).await;
        twice.shop.settle().await;
    }
    let mut books = twice.books().await;
    books.sort_unstable();
    assert_eq!(books, [(PRICE, 0), (PRICE, PRICE), (PRICE, PRICE)]);
    let numbers = "select attempt_no::text from payments p order by p.attempt_no";
    assert_eq!(twice.shop.texts(numbers).await, ["-2", "-1", "1"]);
    twice.shop.assert_clean().await;
}

#[tokio::test]
async fn two_payments_for_seats_that_are_gone_both_go_back() {
    let twice = Twice::at(Simulator::start().await).await;
    // Nobody answers, until the seats are given up and sold to somebody else.
    twice.simulator.outage("razorpay", json!("down")).await;
    twice.shop.clock.advance(Duration::from_mins(21));
    twice.shop.settle().await;
    twice.shop.fan().held(&["A1"]).await;
    twice.agrees(0).await;
    twice.agrees(1).await;
    twice.simulator.outage("razorpay", json!("up")).await;
    eventually("both refunds", async || {
        twice.shop.clock.advance(Duration::from_mins(1));
        twice.shop.settle().await;
        twice.books().await == [(PRICE, PRICE); 2]
    })
    .await;
    twice.shop.assert_clean().await;
}

#[tokio::test]
async fn a_bank_that_agrees_twice_after_failures_is_taken_at_its_word_once() {
    let simulator = Simulator::start().await;
    let shop = shop(vec![razorpay(&simulator.url)]).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let started = fan.pay(&hold).await;
    let page = started.json["redirectUrl"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let method = "pm_sim_late_success_after_decline";
        simulator.pay_on_page(&page, method).await;
    }
    // Both banks have agreed before anybody asks.
    eventually("both agreements", async || {
        let ledger = simulator.ledger().await;
        ledger.len() == 2 && ledger.iter().all(|line| line["status"] == "succeeded")
    })
    .await;
    eventually("the booking", async || {
        shop.clock.advance(Duration::from_secs(16));
        shop.settle().await;
        fan.get(&hold).await.json["status"] == "CONFIRMED"
    })
    .await;
    let captures: u64 = (simulator.ledger().await.iter())
        .map(|line| line["captures"].as_u64().unwrap())
        .sum();
    assert_eq!(captures, 1);
    assert_eq!(simulator.balance_of("razorpay").await, PRICE);
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_attempts_that_are_both_paid_the_second_goes_back_though_no_webhook_tells() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let first = fan.intent(&hold).await;
    shop.provider
        .decline(&first, "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &first).await.status, 402);
    let second = fan.intent(&hold).await;
    shop.sells(&fan, &hold, &second).await;
    // The page of the first attempt was closed; its bank agrees all the same.
    assert_eq!(shop.provider.status(&first), "canceled");
    shop.provider.pay(&first);
    shop.clock.advance(Duration::from_mins(20));
    for _ in 0..2 {
        shop.clock.advance(Duration::from_mins(6));
        shop.process.booking.reconcile_once().await.unwrap();
        shop.settle().await;
    }
    assert_eq!(shop.provider.refunded(&first), PRICE);
    assert_eq!(shop.provider.refund_count(), 1);
    assert_eq!(shop.provider.balance(), PRICE);
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_sessions_of_stripe_that_are_both_paid_one_goes_back() {
    let simulator = Simulator::start().await;
    let shop = shop(vec![stripe(&simulator.url)]).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let first = fan.pay(&hold).await;
    let page = first.json["redirectUrl"].as_str().unwrap().to_owned();
    // The bank agrees only after the page was closed for the second attempt.
    simulator
        .pay_on_page(&page, "pm_sim_late_success_after_decline")
        .await;
    assert_eq!(fan.confirm(&hold, &intent_of(&first)).await.status, 402);
    let second = fan.pay(&hold).await;
    let page = second.json["redirectUrl"].as_str().unwrap().to_owned();
    simulator.pay_on_page(&page, "pm_card_visa").await;
    fan.confirm(&hold, &intent_of(&second)).await;
    eventually("one payment, and the other back", async || {
        shop.clock.advance(Duration::from_mins(1));
        shop.settle().await;
        reconciled(&shop).await;
        fan.seat("A1").await == "BOOKED" && simulator.balance().await == PRICE
    })
    .await;
    shop.assert_clean().await;
}
