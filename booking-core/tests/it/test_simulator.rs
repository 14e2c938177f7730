//! A running payment simulator, which speaks the APIs of both providers.

use contract::SystemClock;
use payment_simulator::config::{DEFAULT_EVENTS, DEFAULT_RAZORPAY_KEY};
use payment_simulator::{Config, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::test_shop::{WEBHOOK_SECRET, eventually};

/// A running simulator.
pub(crate) struct Simulator {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    _books: TempDir,
}

impl Simulator {
    pub(crate) async fn start() -> Self {
        Self::telling(None).await
    }

    /// One that posts its events to a shop at `origin`.
    pub(crate) async fn telling(origin: Option<&str>) -> Self {
        let hook = |provider: &str| {
            origin.map(|origin| format!("{origin}/api/v1/payments/{provider}/webhook"))
        };
        let books = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = Config {
            data_dir: books.path().to_owned(),
            secret: Secret::new("sk_test"),
            webhook_url: hook("stripe"),
            webhook_secret: Secret::new(WEBHOOK_SECRET),
            webhook_events: DEFAULT_EVENTS.to_owned(),
            razorpay_secret: Secret::new(DEFAULT_RAZORPAY_KEY),
            razorpay_webhook_url: hook("razorpay"),
            razorpay_webhook_secret: Secret::new(WEBHOOK_SECRET),
            public_url: None,
            settle_delay_ms: 200,
            answer_hold_ms: 200,
            webhook_delay_ms: 200,
        };
        let stop = CancellationToken::new();
        let serving = payment_simulator::serve(config, listener, SystemClock, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(serving);
        Self {
            url,
            client: client(),
            stop,
            _books: books,
        }
    }

    /// The customer's side: pays the intent with a test method.
    pub(crate) async fn pay(&self, intent: &str, method: &str) {
        let url = format!("{}/v1/payment_intents/{intent}/confirm", self.url);
        let form = [
            ("payment_method", method),
            ("return_url", "http://tickets.test/"),
        ];
        let request = self.client.post(url).bearer_auth("sk_test").form(&form);
        // Declines are errors here, and the outcome is what the shop finds.
        request.send().await.unwrap();
    }

    /// The customer's side: pays the intent with a test method and the card of `holder`.
    pub(crate) async fn pay_as(&self, intent: &str, method: &str, holder: &str) {
        let url = format!("{}/v1/payment_intents/{intent}/confirm", self.url);
        let form = [
            ("payment_method", method),
            ("payment_method_data[billing_details][name]", holder),
            ("return_url", "http://tickets.test/"),
        ];
        let request = self.client.post(url).bearer_auth("sk_test").form(&form);
        request.send().await.unwrap();
    }

    pub(crate) async fn fault(&self, fault: &Value) {
        self.call("_sim/faults", fault).await;
    }

    /// What a script may do.
    pub(crate) async fn call(&self, path: &str, body: &Value) {
        let url = format!("{}/{path}", self.url);
        let request = self.client.post(url).bearer_auth("sk_test").json(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// How the API of `provider` is to answer.
    pub(crate) async fn outage(&self, provider: &str, mode: Value) {
        let wanted = json!({"provider": provider, "mode": mode});
        self.call("_sim/outages", &wanted).await;
    }

    /// The customer's side of a provider's page at `url`, with a test method. Returns where the
    /// customer is sent at the end.
    pub(crate) async fn pay_on_page(&self, url: &str, method: &str) -> Option<String> {
        self.pay_on_page_as(url, method, "").await
    }

    /// The same, of a payment link, by one of its ways to pay.
    pub(crate) async fn pay_by(&self, url: &str, way: &str, method: &str) -> Option<String> {
        self.pay_with(url, (way, method), "").await
    }

    /// The same with the card or account of `holder`, or one of its own.
    pub(crate) async fn pay_on_page_as(
        &self,
        url: &str,
        method: &str,
        holder: &str,
    ) -> Option<String> {
        self.pay_with(url, ("upi", method), holder).await
    }

    async fn pay_with(
        &self,
        url: &str,
        (way, method): (&str, &str),
        holder: &str,
    ) -> Option<String> {
        let to = |answer: &reqwest::Response| {
            let location = answer.headers().get("location")?.to_str().ok()?;
            Some(match location.strip_prefix('/') {
                Some(path) => format!("{}/{path}", self.url),
                None => location.to_owned(),
            })
        };
        let shown = self.client.get(url).send().await.unwrap();
        // The page of a checkout session leads to that of its payment intent.
        let page = to(&shown).unwrap_or_else(|| url.to_owned());
        // One that is closed leads back to the shop.
        if !page.starts_with(&self.url) {
            return None;
        }
        let secret = page
            .split_once("client_secret=")
            .map(|(_, secret)| secret.to_owned());
        let mut form = vec![
            ("payment_method", method.to_owned()),
            ("method", way.to_owned()),
            ("card", holder.to_owned()),
        ];
        form.extend(secret.map(|secret| ("client_secret", secret)));
        let action = page.split('?').next().unwrap_or_default();
        let mut answer = self.client.post(action).form(&form).send().await.unwrap();
        while let Some(next) = to(&answer) {
            if !next.starts_with(&self.url) {
                return Some(next);
            }
            answer = self.client.get(next).send().await.unwrap();
        }
        None
    }

    /// The customer's side of a payment link at `url`: at the bank, where nothing is decided yet.
    /// Returns the bank's page.
    pub(crate) async fn at_the_bank(&self, url: &str) -> String {
        let form = [
            ("payment_method", "pm_card_threeDSecure2Required"),
            ("method", "upi"),
        ];
        let answer = self.client.post(url).form(&form).send().await.unwrap();
        let bank = answer.headers()["location"].to_str().unwrap();
        assert!(bank.contains("/bank?"), "{bank}");
        format!("{}{bank}", self.url)
    }

    /// The customer agrees on the `bank`'s page.
    pub(crate) async fn agrees(&self, bank: &str) {
        let (action, secret) = bank.split_once("?client_secret=").unwrap();
        let form = [("client_secret", secret), ("action", "approve")];
        let answer = self.client.post(action).form(&form).send().await.unwrap();
        assert!(answer.status().is_redirection(), "{}", answer.status());
    }

    /// The simulator's own books.
    pub(crate) async fn ledger(&self) -> Vec<Value> {
        let url = format!("{}/_sim/ledger", self.url);
        let request = self.client.get(url).bearer_auth("sk_test");
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What `provider` has taken less what it has given back.
    pub(crate) async fn balance_of(&self, provider: &str) -> i64 {
        let ledger = self.ledger().await;
        let of = ledger.iter().filter(|line| line["provider"] == provider);
        of.map(|line| line["captured"].as_i64().unwrap() - line["refunded"].as_i64().unwrap())
            .sum()
    }

    /// The simulator ends: connections are refused.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let gone = || async { self.client.get(&self.url).send().await.is_err() };
        eventually("the end of the simulator", gone).await;
    }

    /// Everything taken less everything given back.
    pub(crate) async fn balance(&self) -> i64 {
        self.balance_of("stripe").await + self.balance_of("razorpay").await
    }
}

/// A client that shows redirects, and keeps no connection to a simulator that is gone.
fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
