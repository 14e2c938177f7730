//! Confirmations and whole purchases a second, of two seats each, of one large show.
//!
//! A fan holds two seats, starts a payment, pays at the simulator and confirms, all over HTTP. Of
//! confirmations only the last step is measured, of fans who have paid, and the simulator sends no
//! webhooks, so that nobody confirms before the fan. Of whole purchases it sends them, as in a shop.
//! The CPU time of everybody who takes part is told, because they share the machine.
//! The mail server is away, so that letters are written after the measurement.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::ShowId;
use contract::cookies::SESSION;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use test_support::program::Program;
use tokio::process::Command;
use tokio::time::Instant;

use crate::gateway::{Gateway, row_label};
use crate::http1::{Connection, post_json};
use crate::numbers::{Numbers, sample};
use crate::peer::free_address;
use crate::plain_sales::{Part, PlainSales};
use crate::processes::{READY_MAX, cpu_time, family};
use crate::report::{Report, Versus, progress};
use crate::rounds::{Sample, take_turns};
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Purchases of a round, on each side.
const PURCHASES: u32 = 1500;
const WARM_UP: u32 = 500;
/// Fans that buy at the same time.
const FANS: u32 = 128;
/// How often a fan asks again who is told to.
const TRIES_MAX: u32 = 100;
const ROWS: u32 = 400;
const SEATS_PER_ROW: u32 = 100;
const THEIRS: &str = "one SQL transaction each";
/// What the simulator prints before its address.
const ANNOUNCEMENT: &str = "listening on ";
/// Nobody listens there.
const NO_MAIL_SERVER: &str = "smtp://127.0.0.1:1";

/// Measures confirmations and whole purchases.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let mut plain = None;
    let their_next = Cell::new(0);
    for figure in FIGURES {
        let site = Site::open(stage, &figure).await?;
        let whole = figure.is_whole;
        // The first gateway has made the tables that theirs are like.
        let plain = match &mut plain {
            Some(plain) => plain,
            none => none.insert(PlainSales::prepare(&stage.database_url()?).await?),
        };
        let our_next = Cell::new(0);
        let warm_up = take(&our_next, WARM_UP);
        site.purchases(warm_up).await?;
        plain.sell(Part::Whole, take(&their_next, WARM_UP)).await?;
        let rounds = take_turns(
            ROUNDS,
            async || {
                let numbers = take(&our_next, PURCHASES);
                if whole {
                    return site.purchases(numbers).await;
                }
                let paid = site.paid(numbers).await?;
                site.confirms(numbers, paid).await
            },
            async || {
                let numbers = take(&their_next, PURCHASES);
                if whole {
                    return plain.sell(Part::Whole, numbers).await;
                }
                plain.sell(Part::Start, numbers).await?;
                plain.sell(Part::Confirm, numbers).await
            },
        );
        let versus = Versus {
            name: figure.name,
            unit: if whole {
                "purchases/s"
            } else {
                "confirmations/s"
            },
            theirs: THEIRS,
        };
        report.rates(versus, rounds.await?);
        progress(&format!("{}: {}", figure.name, site.shares.borrow()));
        site.close().await;
    }
    Ok(())
}

/// What is measured.
struct Figure {
    name: &'static str,
    /// The id of its show.
    show: &'static str,
    /// Whether all of a purchase is measured, and the simulator sends webhooks.
    is_whole: bool,
    /// Whether purchases are looked at for fraud.
    fraud: &'static str,
}

const FIGURES: [Figure; 3] = [
    Figure {
        name: "confirmations",
        show: "confirm-sale",
        is_whole: false,
        fraud: "off",
    },
    Figure {
        name: "whole purchases",
        show: "whole-sale",
        is_whole: true,
        fraud: "off",
    },
    Figure {
        name: "whole purchases, looked at for fraud",
        show: "suspected-sale",
        is_whole: true,
        fraud: "on",
    },
];

/// CPU time of all who took part in what was measured.
#[derive(Debug, Default)]
struct Shares {
    count: u32,
    gateway: Duration,
    postgres: Duration,
    simulator: Duration,
    clients: Duration,
}

impl Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |used: Duration| used.as_secs_f64() * 1e6 / f64::from(self.count.max(1));
        write!(
            f,
            "CPU µs each: gateway {:.0}, PostgreSQL {:.0}, simulator {:.0}, clients {:.0}",
            each(self.gateway),
            each(self.postgres),
            each(self.simulator),
            each(self.clients)
        )
    }
}

fn take(next: &Cell<u32>, count: u32) -> Numbers {
    let from = next.get();
    next.set(from + count);
    Numbers {
        from,
        until: from + count,
    }
}

/// A gateway with a show and a payment simulator.
struct Site {
    gateway: Gateway,
    simulator: Program,
    shop: Shop,
    shares: RefCell<Shares>,
}

/// Where fans buy.
#[derive(Clone, Debug)]
struct Shop {
    gateway: SocketAddr,
    simulator: SocketAddr,
    show: ShowId,
}

/// A purchase that is paid for.
struct Paid {
    number: u32,
    hold: String,
    payment: String,
}

impl Site {
    async fn open(stage: &Stage, figure: &Figure) -> anyhow::Result<Self> {
        let simulator_address = free_address()?;
        let gateway = stage
            .gateway_with(&[
                (
                    "ROPELINE_PAYMENT_URL",
                    format!("http://{simulator_address}"),
                ),
                ("ROPELINE_SMTP_URL", NO_MAIL_SERVER.to_owned()),
                ("ROPELINE_MAIL_FROM", "tickets@example.com".to_owned()),
                ("ROPELINE_FRAUD", figure.fraud.to_owned()),
                // As mail, it follows the purchase and is not part of it.
                ("ROPELINE_TICKET_STORE", "off".to_owned()),
            ])
            .await?;
        let dir = tempfile::tempdir_in(stage.dir())?.keep();
        let program = stage.binary()?.with_file_name("ropeline-payment-simulator");
        let webhooks = figure.is_whole.then_some(gateway.address);
        let simulator = start_simulator(&program, &dir, simulator_address, webhooks).await?;
        let show: ShowId = figure.show.parse()?;
        gateway.show_import(&show, ROWS, SEATS_PER_ROW).await?;
        Ok(Self {
            shop: Shop {
                gateway: gateway.address,
                simulator: simulator_address,
                show,
            },
            gateway,
            simulator,
            shares: RefCell::default(),
        })
    }

    async fn close(self) {
        self.gateway.stop().await;
        self.simulator.stop().await;
    }

    /// Makes whole purchases.
    async fn purchases(&self, numbers: Numbers) -> anyhow::Result<Sample> {
        let buy = |buyer: &mut Buyer, number| {
            let paid = buyer.pay(number)?;
            buyer.confirm(&paid)
        };
        self.measured(numbers, async || self.rush(numbers, buy).await.map(drop))
            .await
    }

    /// Fans who have paid.
    async fn paid(&self, numbers: Numbers) -> anyhow::Result<Vec<Paid>> {
        self.rush(numbers, Buyer::pay).await
    }

    /// Confirms what was paid.
    async fn confirms(&self, numbers: Numbers, paid: Vec<Paid>) -> anyhow::Result<Sample> {
        let paid = Arc::new(paid);
        let from = numbers.from;
        let confirm = move |buyer: &mut Buyer, number: u32| {
            let paid = paid.get(usize::try_from(number - from)?);
            buyer.confirm(paid.context("nobody has paid")?)
        };
        self.measured(numbers, async || {
            self.rush(numbers, confirm).await.map(drop)
        })
        .await
    }

    async fn measured(
        &self,
        numbers: Numbers,
        work: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Sample> {
        let used = || {
            let postgres = Stage::postgres_pids();
            [
                cpu_time(&family(self.gateway.pid())),
                cpu_time(&postgres),
                cpu_time(&[self.simulator.pid()]),
                cpu_time(&[std::process::id()]),
            ]
        };
        let before = used();
        let began = Instant::now();
        work().await?;
        let took = began.elapsed();
        let after = used();
        let of = |at: usize| after[at].saturating_sub(before[at]);
        let serving = of(0) + of(1);
        let mut shares = self.shares.borrow_mut();
        shares.count += numbers.until - numbers.from;
        shares.gateway += of(0);
        shares.postgres += of(1);
        shares.simulator += of(2);
        shares.clients += of(3);
        Ok(sample(numbers, took, serving))
    }

    /// Lets [`FANS`] at a time do `step` for each number, and gives what came of it.
    async fn rush<T: Send + 'static>(
        &self,
        numbers: Numbers,
        step: impl Fn(&mut Buyer, u32) -> anyhow::Result<T> + Clone + Send + 'static,
    ) -> anyhow::Result<Vec<T>> {
        let shop = self.shop.clone();
        tokio::task::spawn_blocking(move || {
            let next = Arc::new(AtomicU32::new(numbers.from));
            let (done, results) = mpsc::channel();
            for _ in 0..FANS {
                let (next, done, shop, step) =
                    (next.clone(), done.clone(), shop.clone(), step.clone());
                thread::spawn(move || {
                    let mut buyer = match Buyer::come(shop) {
                        Ok(buyer) => buyer,
                        Err(error) => return drop(done.send(Err(error))),
                    };
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= numbers.until || done.send(step(&mut buyer, number)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(done);
            results.into_iter().collect()
        })
        .await?
    }
}

/// One client's connections. Every purchase is of another fan.
struct Buyer {
    shop: Shop,
    gateway: Connection,
    simulator: Connection,
}

impl Buyer {
    fn come(shop: Shop) -> anyhow::Result<Self> {
        Ok(Self {
            gateway: Connection::open(shop.gateway)?,
            simulator: Connection::open(shop.simulator)?,
            shop,
        })
    }

    /// Holds two seats and pays for them.
    fn pay(&mut self, number: u32) -> anyhow::Result<Paid> {
        let show = &self.shop.show;
        let made = self.post(
            number,
            &format!("/api/v1/shows/{show}/holds"),
            &seats_body(number),
            201,
        )?;
        let hold = text(&made, "holdId")?;
        let path = format!("/api/v1/holds/{hold}/payments");
        let started = self.post(number, &path, &email_body(number), 201)?;
        let secret = text(&started, "clientSecret")?;
        let intent = secret.split_once("_secret").map_or(&*secret, |(id, _)| id);
        let card = card_request(self.shop.simulator, intent, &secret);
        let answer = self.simulator.call(&card)?;
        if answer.status != 200 {
            let text = String::from_utf8_lossy(answer.body);
            bail!("a card was answered {}: {text}", answer.status);
        }
        Ok(Paid {
            number,
            hold,
            payment: text(&started, "paymentIntentId")?,
        })
    }

    /// Confirms, and asks again while the outcome is open.
    fn confirm(&mut self, paid: &Paid) -> anyhow::Result<()> {
        let path = format!("/api/v1/holds/{}/confirm", paid.hold);
        let body = format!(r#"{{"paymentIntentId":"{}"}}"#, paid.payment);
        let booking = self.post(paid.number, &path, &body, 200)?;
        let tickets = booking["tickets"].as_array().map_or(0, Vec::len);
        if tickets != 2 {
            bail!("a booking with {tickets} tickets");
        }
        Ok(())
    }

    fn post(
        &mut self,
        number: u32,
        path: &str,
        body: &str,
        expected: u16,
    ) -> anyhow::Result<Value> {
        let mut request = post_json(self.shop.gateway, path, body);
        let at = request.windows(2).position(|two| two == b"\r\n");
        let at = at.map_or(0, |at| at + 2);
        request.splice(at..at, cookie(number).into_bytes());
        for _ in 0..TRIES_MAX {
            let answer = self.gateway.call(&request)?;
            match answer.status {
                status if status == expected => return Ok(serde_json::from_slice(answer.body)?),
                202 => thread::sleep(Duration::from_millis(20)),
                // The gateway is there before the simulator, and leaves it alone for a while.
                503 => thread::sleep(Duration::from_millis(200)),
                status => {
                    let text = String::from_utf8_lossy(answer.body);
                    bail!("{path} was answered {status}: {text}");
                }
            }
        }
        bail!("{path} stays open")
    }
}

/// The session of the fan who buys what has this number.
fn cookie(number: u32) -> String {
    let session = BASE64URL_NOPAD.encode(&(1 << 100 | u128::from(number)).to_be_bytes());
    format!("Cookie: {SESSION}={session}\r\n")
}

/// Every fan has an address of their own.
fn email_body(number: u32) -> String {
    format!(r#"{{"email":"fan{number}@example.com"}}"#)
}

fn seats_body(number: u32) -> String {
    let seat = |at: u32| {
        format!(
            "{}{}",
            row_label(at / SEATS_PER_ROW),
            at % SEATS_PER_ROW + 1
        )
    };
    format!(
        r#"{{"seatIds":["{}","{}"]}}"#,
        seat(number * 2),
        seat(number * 2 + 1)
    )
}

fn card_request(host: SocketAddr, intent: &str, secret: &str) -> Vec<u8> {
    let form = format!("client_secret={secret}&payment_method=pm_card_visa");
    format!(
        "POST /v1/payment_intents/{intent}/confirm HTTP/1.1\r\nHost: {host}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    let value = answer[field].as_str();
    Ok(value.with_context(|| format!("no {field}"))?.to_owned())
}

async fn start_simulator(
    program: &Path,
    dir: &Path,
    address: SocketAddr,
    webhooks: Option<SocketAddr>,
) -> anyhow::Result<Program> {
    let mut command = Command::new(program);
    command.env_clear().arg("--listen").arg(address.to_string());
    command.arg("--data-dir").arg(dir).args(["--log", "warn"]);
    if let Some(gateway) = webhooks {
        let url = format!("http://{gateway}/api/v1/payments/simulator/webhook");
        command.args(["--webhook-url", &url]);
    }
    let mut process = Program::start("payment-simulator", command, dir)?;
    let log = dir.join("payment-simulator.log");
    process
        .ready(READY_MAX, async |_| {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains(ANNOUNCEMENT).then_some(())
        })
        .await?;
    progress(&format!("purchases: a simulator at {address}"));
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purchase_has_seats_and_a_fan_of_its_own() {
        assert_eq!(seats_body(0), r#"{"seatIds":["R0-1","R0-2"]}"#);
        assert_eq!(seats_body(50), r#"{"seatIds":["R1-1","R1-2"]}"#);
        assert_ne!(cookie(1), cookie(2));
        let length = cookie(1).trim_end().len() - "Cookie: =".len() - SESSION.len();
        assert_eq!(length, 22);
    }

    #[test]
    fn the_show_has_seats_enough() {
        let rounds = u32::try_from(ROUNDS).unwrap();
        assert!((WARM_UP + rounds * PURCHASES) * 2 <= ROWS * SEATS_PER_ROW);
        // The SQL side has as many again, for each figure.
        let figures = u32::try_from(FIGURES.len()).unwrap();
        assert!((WARM_UP * figures + figures * rounds * PURCHASES) * 2 <= 200_000);
    }
}
