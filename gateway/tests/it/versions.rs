//! A gateway of the version before and one of this side by side: neither refuses anything of the
//! other's.
//!
//! `ROPELINE_VERSION_BEFORE` names the program of the version before, which
//! `scripts/check-versions` builds. Without it both are of this version.

use std::path::{Path, PathBuf};

use contract::booking::Payment;
use http::StatusCode;
use serde_json::{Value, json};
use test_support::database::TestDatabase;
use test_support::program::Program;

use crate::pair::{Fan, HOLDS, Pair, claims};
use crate::starting::PROGRAM;

const SETTINGS: [&str; 2] = ["--signing-keys", "old.pem"];

fn before() -> PathBuf {
    let named = std::env::var_os("ROPELINE_VERSION_BEFORE");
    named.map_or_else(|| PathBuf::from(PROGRAM), PathBuf::from)
}

/// A payment simulator for both gateways, and its address.
async fn simulator(dir: &Path) -> (Program, String) {
    let program = Path::new(PROGRAM).with_file_name("ropeline-payment-simulator");
    let mut command = tokio::process::Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("payments"));
    std::fs::create_dir(dir.join("payments")).unwrap();
    let mut simulator = Program::start("payment-simulator", command, dir).unwrap();
    let url = simulator.ready(crate::pair::CHANGE_MAX, async |this| {
        let output = this.output();
        let mut lines = output.lines();
        let url = lines.find_map(|line| line.strip_prefix("listening on "))?;
        Some(url.trim().to_owned())
    });
    let url = url.await.unwrap();
    (simulator, url)
}

/// A fan in the shop.
struct Buyer<'a> {
    pair: &'a Pair,
    fan: &'a Fan,
    /// The shop's cookie, which says whose hold it is.
    session: String,
}

impl Buyer<'_> {
    /// Posts, and reads what has to be a success.
    async fn post(&mut self, at: usize, path: &str, body: &Value) -> Value {
        let request = self.pair.http.post(self.pair.public(at, path)).json(body);
        let request = request.header("ropeline-pass", &self.fan.pass);
        let answer = request
            .header("cookie", &self.session)
            .send()
            .await
            .unwrap();
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next();
            cookie.unwrap().clone_into(&mut self.session);
        }
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path} at {at}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// Holds at one gateway, begins to pay at the other, pays, and confirms at the first.
async fn buy(pair: &Pair, here: usize, fan: &Fan, seat: &str) {
    let there = 1 - here;
    let session = String::new();
    let mut buyer = Buyer { pair, fan, session };
    let hold = buyer.post(here, HOLDS, &json!({"seatIds": [seat]})).await;
    let hold = format!("/api/v1/holds/{}", hold["holdId"].as_str().unwrap());
    let email = json!({"email": "fan@tickets.example"});
    let payment = buyer.post(there, &format!("{hold}/payments"), &email).await;
    let payment: Payment = serde_json::from_value(payment).unwrap();
    let page = reqwest::Url::parse(payment.pay_url.as_deref().unwrap()).unwrap();
    let (intent, _) = payment.client_secret.split_once("_secret").unwrap();
    let confirm = page.join(&format!("/v1/payment_intents/{intent}/confirm"));
    let card = pair.http.post(confirm.unwrap()).form(&[
        ("client_secret", payment.client_secret.as_str()),
        ("payment_method", "pm_card_visa"),
    ]);
    assert_eq!(card.send().await.unwrap().status(), StatusCode::OK);
    let intent = json!({"paymentIntentId": payment.payment_intent_id});
    let booking = buyer.post(here, &format!("{hold}/confirm"), &intent).await;
    let tickets = booking["tickets"].as_array().unwrap();
    assert_eq!(tickets.len(), 1, "{booking}");
}

#[tokio::test]
async fn two_versions_refuse_nothing_of_one_another_and_are_exchanged_in_a_sale() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, payment_url) = simulator(dir.path()).await;
    let settings = [&SETTINGS[..], &["--payment-url", &payment_url]].concat();
    let this = PathBuf::from(PROGRAM);
    let database = TestDatabase::create().await;
    // The version before makes the schema, and this one brings it up to date.
    sqlx::raw_sql("drop schema public cascade; create schema public")
        .execute(&database.pool())
        .await
        .unwrap();
    let mut pair = Pair::start_programs(database, [before(), this.clone()], &settings).await;
    pair.import_show().await;

    // Each joins at one version, polls and claims at the other, and once more at the first.
    let mut fans = Vec::new();
    for number in 0..4 {
        fans.push(pair.fan(number).await);
    }
    pair.nobody_is_refused(&mut fans).await;
    buy(&pair, 0, &fans[0], "A1").await;
    buy(&pair, 1, &fans[1], "A2").await;
    fans.drain(..2);
    pair.nobody_is_refused(&mut fans).await;

    // The new version is started again beside the old one, which goes then.
    for at in [1, 0] {
        pair.exchange(at, &this, &settings).await;
        pair.nobody_is_refused(&mut fans).await;
        for fan in &fans {
            let again = pair.claim(at, &fan.place).await;
            assert_eq!(claims(&again)["jti"], claims(&fan.pass)["jti"]);
        }
        let number = u8::try_from(fans.len()).unwrap() + 10;
        fans.push(pair.fan(number).await);
    }
    buy(&pair, 0, &fans[0], "A3").await;
    pair.stop().await;
    simulator.stop().await;
}
