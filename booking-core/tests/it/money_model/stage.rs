//! The shop, and what was done to it.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{Clock, Timestamp};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::op::{Bank, By, Health, Op, Work};
use crate::checkin;
use crate::fake_provider::{FakeProvider, Mood};
use crate::fan::{Answer, Fan, hold_path, intent_of};
use crate::test_shop::TestShop;

/// The seats and their prices.
pub(super) const SEATS: [(&str, i64); 3] = [("A1", 250_000), ("A2", 250_000), ("B1", 100_000)];
/// What the seller keeps of a ticket that is cancelled by the policy.
pub(super) const KEPT: i64 = 5_000;
const STARTS_AT: &str = "2026-09-22T00:00:00Z";
/// Less than this before the show, time stands still.
const DOORS: Duration = Duration::from_mins(60);

/// Three seats of a show in ten hours.
pub(super) fn show_file() -> Value {
    let mut file = crate::test_shop::show_file();
    file["startsAt"] = json!(STARTS_AT);
    file["refundPolicy"] = json!({"freeUntilHours": 0, "keptFeeMinor": KEPT});
    for (section, seats) in [(0, 2), (1, 1)] {
        file["sections"][section]["seatsPerRow"] = json!(seats);
    }
    file["sections"][1]["blocked"] = json!([]);
    file
}

/// A hold that was granted.
pub(super) struct Held {
    pub(super) fan: usize,
    pub(super) path: String,
    pub(super) seats: Vec<usize>,
}

impl Held {
    pub(super) fn price(&self) -> i64 {
        self.seats.iter().map(|seat| SEATS[*seat].1).sum()
    }
}

/// A payment that was started.
pub(super) struct Attempt {
    pub(super) hold: usize,
    pub(super) intent: String,
    /// Whether a person or a bank gave money back without us.
    pub(super) meddled: bool,
}

/// A ticket as the model knows it.
pub(super) struct Ticket {
    pub(super) id: String,
    pub(super) seat: usize,
    qr: String,
    pub(super) inside: bool,
    pub(super) void: bool,
}

/// A booking that the shop told of.
pub(super) struct Booked {
    pub(super) id: String,
    pub(super) attempt: usize,
    pub(super) tickets: Vec<Ticket>,
    pub(super) kept: i64,
}

/// Everything.
pub(super) struct Stage {
    pub(super) shop: TestShop,
    pub(super) fans: Vec<Fan>,
    pub(super) holds: Vec<Held>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) bookings: Vec<Booked>,
    events: Vec<String>,
    scanner: Option<Fan>,
    scans: u32,
}

fn chosen<T>(of: &[T], number: u8) -> Option<usize> {
    (!of.is_empty()).then(|| usize::from(number) % of.len())
}

/// What a caller is told who asks too often, or while the shop is busy.
fn is_put_off(status: u16) -> bool {
    matches!(status, 429 | 503)
}

impl Stage {
    pub(super) fn new(shop: TestShop) -> Self {
        Self {
            fans: (0..3).map(|_| shop.fan()).collect(),
            shop,
            holds: Vec::new(),
            attempts: Vec::new(),
            bookings: Vec::new(),
            events: Vec::new(),
            scanner: None,
            scans: 0,
        }
    }

    /// Takes one step. An answer that cannot be right is the error.
    pub(super) async fn apply(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Hold { fan, seats } => self.hold(usize::from(fan) % 3, seats).await,
            Op::Release { hold } => self.release(hold).await,
            Op::Start { hold } => self.start(hold).await,
            Op::Confirm { attempt } => self.confirm(attempt).await?,
            Op::Bank { attempt, does } => self.bank(attempt, does),
            Op::Webhook { event } => {
                if let Some(event) = chosen(&self.events, event) {
                    self.shop.deliver(self.events[event].clone()).await;
                }
            }
            Op::Flood { doubled } => {
                let twice = self.events.iter().skip(usize::from(doubled) % 3).step_by(3);
                let all = self.events.iter().rev().chain(twice);
                join_all(all.map(|event| self.shop.deliver(event.clone()))).await;
            }
            Op::Work(work) => self.work(work).await,
            Op::Race { attempt, event } => Box::pin(self.race(attempt, event)).await?,
            Op::Pass { seconds } => self.pass(Duration::from_secs(seconds)),
            Op::Cancel {
                booking,
                tickets,
                by,
            } => self.cancel(booking, tickets, by).await?,
            Op::Dashboard { attempt, percent } => self.dashboard(attempt, i64::from(percent)),
            Op::RefundEnds { attempt, well } => self.refund_ends(attempt, well),
            Op::RefundsWait(wait) => {
                let status = if wait { "pending" } else { "succeeded" };
                self.shop.provider.new_refunds_are(status);
            }
            Op::Dispute { attempt } => self.dispute(attempt),
            Op::DisputeEnds { attempt, won } => self.dispute_ends(attempt, won),
            Op::Provider(health) => self.shop.provider.mood(match health {
                Health::Up => Mood::Up,
                Health::Down => Mood::Down,
                Health::LosesAnswers => Mood::LosesAnswers,
                Health::RateLimited => Mood::RateLimited,
            }),
            Op::Scan { booking, ticket } => self.scan(booking, ticket).await?,
            Op::Crash => self.crash().await,
        }
        Ok(())
    }

    async fn hold(&mut self, fan: usize, wanted: [bool; 3]) {
        let seats: Vec<usize> = (0..3).filter(|seat| wanted[*seat]).collect();
        let names: Vec<&str> = seats.iter().map(|seat| SEATS[*seat].0).collect();
        if names.is_empty() {
            return;
        }
        let answer = self.fans[fan].hold(&names).await;
        if answer.status == 201 {
            let path = hold_path(&answer);
            self.holds.push(Held { fan, path, seats });
        }
    }

    async fn release(&mut self, nth: u8) {
        if let Some(hold) = chosen(&self.holds, nth) {
            let of = &self.holds[hold];
            self.fans[of.fan].delete(&of.path).await;
        }
    }

    async fn start(&mut self, nth: u8) {
        let Some(hold) = chosen(&self.holds, nth) else {
            return;
        };
        let of = &self.holds[hold];
        let answer = self.fans[of.fan].pay(&of.path).await;
        if matches!(answer.status, 200 | 201) && answer.json["clientSecret"].is_string() {
            let intent = intent_of(&answer);
            if !self.attempts.iter().any(|known| known.intent == intent) {
                self.attempts.push(Attempt {
                    hold,
                    intent,
                    meddled: false,
                });
            }
        }
    }

    async fn confirm(&mut self, attempt: u8) -> Result<(), String> {
        let Some(at) = chosen(&self.attempts, attempt) else {
            return Ok(());
        };
        let answer = self.confirmed(at).await;
        self.told(at, &answer)
    }

    async fn confirmed(&self, at: usize) -> Answer {
        let attempt = &self.attempts[at];
        let held = &self.holds[attempt.hold];
        self.fans[held.fan]
            .confirm(&held.path, &attempt.intent)
            .await
    }

    /// Takes down what a confirmation says.
    fn told(&mut self, at: usize, answer: &Answer) -> Result<(), String> {
        let known = |booked: &Booked| answer.json["bookingId"] == booked.id.as_str();
        match answer.status {
            200 => {}
            202 | 402 | 404 | 409 | 410 | 422 | 429 | 502 | 503 => return Ok(()),
            other => return Err(format!("confirm answered {other}: {}", answer.text)),
        }
        if self.bookings.iter().any(known) {
            return Ok(());
        }
        self.enter(at, &answer.json)
    }

    /// Enters a booking that is new to the model.
    pub(super) fn enter(&mut self, at: usize, booking: &Value) -> Result<(), String> {
        let held = &self.holds[self.attempts[at].hold];
        let seat_of = |ticket: &Value| SEATS.iter().position(|seat| ticket["seatId"] == seat.0);
        let mut tickets = Vec::new();
        for ticket in booking["tickets"].as_array().into_iter().flatten() {
            let seat = seat_of(ticket).filter(|seat| held.seats.contains(seat));
            let seat = seat.ok_or_else(|| format!("a ticket for no seat of its hold: {ticket}"))?;
            tickets.push(Ticket {
                id: ticket["ticketId"].as_str().unwrap_or_default().to_owned(),
                qr: ticket["qr"].as_str().unwrap_or_default().to_owned(),
                seat,
                inside: false,
                void: false,
            });
        }
        if booking["amountMinor"] != held.price() {
            return Err(format!(
                "a booking at {} of {}",
                booking["amountMinor"],
                held.price()
            ));
        }
        if booking["status"] == "CONFIRMED" && tickets.len() != held.seats.len() {
            return Err(format!("a booking without all of its seats: {booking}"));
        }
        self.bookings.push(Booked {
            id: booking["bookingId"].as_str().unwrap_or_default().to_owned(),
            attempt: at,
            tickets,
            kept: 0,
        });
        Ok(())
    }

    fn bank(&mut self, attempt: u8, does: Bank) {
        let Some(at) = chosen(&self.attempts, attempt) else {
            return;
        };
        let attempt = &self.attempts[at];
        let (provider, intent) = (&self.shop.provider, &attempt.intent);
        let status = provider.status(intent);
        let closed = status == "canceled";
        if status == "succeeded" {
            return;
        }
        match does {
            // A bank may agree after the intent was given up.
            Bank::Pays => provider.pay(intent),
            Bank::PaysOther => provider.pay_wrongly(intent, self.holds[attempt.hold].price() - 700),
            Bank::Declines if !closed => {
                provider.decline(intent, "card_declined", "generic_decline");
            }
            Bank::Works if !closed => provider.set_status(intent, "processing"),
            Bank::Asks if !closed => provider.set_status(intent, "requires_action"),
            Bank::Declines | Bank::Works | Bank::Asks => return,
        }
        let name = format!("evt_{}", self.events.len());
        self.events.push(provider.event(&name, intent));
    }

    async fn work(&mut self, work: Work) {
        let booking = &self.shop.process.booking;
        // A database that is busy is asked again in the next round.
        let _ = match work {
            Work::Inbox => booking.inbox_once().await,
            Work::Poll => booking.poll_once().await,
            Work::Refunds => booking.refund_once().await,
            Work::Sweep => booking.sweep_once().await,
            Work::Notices => booking.collect_notices_once().await,
            Work::Mail => booking.mail_once().await,
            Work::Reconcile => booking
                .reconcile()
                .await
                .map(|compared| usize::from(compared.is_ok())),
        };
    }

    async fn race(&mut self, attempt: u8, event: u8) -> Result<(), String> {
        let Some(at) = chosen(&self.attempts, attempt) else {
            return Ok(());
        };
        let event = chosen(&self.events, event).map(|event| self.events[event].clone());
        let booking = &self.shop.process.booking;
        let told = async {
            if let Some(event) = event {
                self.shop.deliver(event).await;
            }
            booking.inbox_once().await
        };
        let (first, second, _, _, _) = futures_util::join!(
            self.confirmed(at),
            self.confirmed(at),
            told,
            booking.poll_once(),
            booking.sweep_once(),
        );
        self.told(at, &first)?;
        self.told(at, &second)
    }

    fn pass(&self, span: Duration) {
        let doors = Timestamp::parse(STARTS_AT).unwrap().minus(DOORS);
        if self.shop.clock.now().plus(span) < doors {
            self.shop.clock.advance(span);
        }
    }

    async fn cancel(&mut self, booking: u8, wanted: [bool; 3], by: By) -> Result<(), String> {
        let Some(at) = chosen(&self.bookings, booking) else {
            return Ok(());
        };
        let booked = &self.bookings[at];
        let hold = self.attempts[booked.attempt].hold;
        let (meddled, fan) = (self.is_meddled(booked), self.holds[hold].fan);
        let some: Vec<usize> = (0..booked.tickets.len()).filter(|it| wanted[*it]).collect();
        let ids: Vec<&str> = some
            .iter()
            .map(|it| booked.tickets[*it].id.as_str())
            .collect();
        let mut body = if some.is_empty() {
            json!({})
        } else {
            json!({"ticketIds": ids})
        };
        let chosen: Vec<usize> = if some.is_empty() {
            (0..booked.tickets.len())
                .filter(|it| !booked.tickets[*it].void)
                .collect()
        } else {
            some
        };
        let answer = match by {
            By::Fan => {
                let path = format!("/api/v1/bookings/{}/cancel", booked.id);
                self.fans[fan].post(&path, &body).await
            }
            By::Operator | By::OperatorByPolicy => {
                if matches!(by, By::OperatorByPolicy) {
                    body["byPolicy"] = json!(true);
                }
                let desk = Fan::new(self.shop.process.booking.admin().0);
                desk.post(&format!("/admin/v1/bookings/{}/refund", booked.id), &body)
                    .await
            }
        };
        if is_put_off(answer.status) {
            return Ok(());
        }
        let full = matches!(by, By::Operator);
        let tickets = &self.bookings[at].tickets;
        let void = chosen.is_empty() || chosen.iter().any(|it| tickets[*it].void);
        let inside = !full && chosen.iter().any(|it| tickets[*it].inside);
        if answer.status != 202 {
            let expected = answer.status == 409 && (void || inside || meddled);
            return expected
                .then_some(())
                .ok_or_else(|| format!("no cancel: {}", answer.text));
        }
        if void || inside {
            return Err(format!(
                "a ticket that is void or used was cancelled: {}",
                answer.text
            ));
        }
        let kept = if full { 0 } else { KEPT };
        let prices = chosen.iter().map(|it| SEATS[tickets[*it].seat].1);
        let back: i64 = prices.map(|price| price - kept).sum();
        if !meddled && answer.json["amountMinor"] != back {
            return Err(format!("{back} should go back: {}", answer.text));
        }
        let booked = &mut self.bookings[at];
        for it in chosen {
            booked.tickets[it].void = true;
            booked.kept += kept;
        }
        Ok(())
    }

    fn meddle(&mut self, attempt: u8) -> Option<usize> {
        let at = chosen(&self.attempts, attempt)?;
        (self.shop.provider.account(&self.attempts[at].intent).left() > 0).then(|| {
            self.attempts[at].meddled = true;
            at
        })
    }

    fn dashboard(&mut self, attempt: u8, percent: i64) {
        let Some(at) = self.meddle(attempt) else {
            return;
        };
        let (provider, intent) = (&self.shop.provider, &self.attempts[at].intent);
        let amount = (provider.account(intent).left() * percent / 100).max(1);
        let refund = provider.refund_by_hand(intent, amount);
        let name = format!("evt_{}", self.events.len());
        self.events
            .push(provider.refund_event(&name, "refund.created", &refund));
    }

    fn refund_ends(&mut self, attempt: u8, well: bool) {
        let Some(at) = chosen(&self.attempts, attempt) else {
            return;
        };
        let (provider, intent) = (&self.shop.provider, &self.attempts[at].intent);
        let last = provider.refunds_of(intent).pop();
        if last.is_none_or(|(_, status)| status == "failed") {
            return;
        }
        let refund = provider.refund_becomes(intent, if well { "succeeded" } else { "failed" });
        let name = format!("evt_{}", self.events.len());
        self.events
            .push(provider.refund_event(&name, "refund.updated", &refund));
    }

    fn dispute(&mut self, attempt: u8) {
        let Some(at) = chosen(&self.attempts, attempt) else {
            return;
        };
        let (provider, intent) = (&self.shop.provider, &self.attempts[at].intent);
        let account = provider.account(intent);
        // A bank disputes a payment once.
        if account.left() <= 0 || self.is_disputed(at) {
            return;
        }
        provider.dispute(intent, account.left(), "needs_response");
        self.attempts[at].meddled = true;
        self.tell_dispute(at, "charge.dispute.funds_withdrawn");
    }

    fn dispute_ends(&mut self, attempt: u8, won: bool) {
        let Some(at) = chosen(&self.attempts, attempt).filter(|at| self.is_disputed(*at)) else {
            return;
        };
        let status = if won { "won" } else { "lost" };
        self.shop
            .provider
            .dispute(&self.attempts[at].intent, 0, status);
        self.tell_dispute(at, "charge.dispute.closed");
    }

    fn is_disputed(&self, at: usize) -> bool {
        self.shop
            .provider
            .account(&self.attempts[at].intent)
            .disputed
            > 0
    }

    fn tell_dispute(&mut self, at: usize, kind: &str) {
        let name = format!("evt_{}", self.events.len());
        let event = FakeProvider::returned_event(&name, kind, &self.attempts[at].intent);
        self.events.push(event);
    }

    async fn scan(&mut self, booking: u8, ticket: u8) -> Result<(), String> {
        let Some(at) = chosen(&self.bookings, booking) else {
            return Ok(());
        };
        let Some(ticket) = chosen(&self.bookings[at].tickets, ticket) else {
            return Ok(());
        };
        if self.scanner.is_none() {
            let token = checkin::token(&self.shop, "North").await;
            self.scanner = Some(checkin::with_token(&self.shop.fan(), &token));
        }
        self.scans += 1;
        let qr = self.bookings[at].tickets[ticket].qr.clone();
        let scan = checkin::scan(&qr, self.scans, "in", self.shop.clock.now());
        let scanner = self.scanner.as_ref().unwrap();
        let scanner = scanner.at(self.shop.process.router.clone());
        let answer = scanner.post("/checkin/v1/scans", &scan).await;
        if is_put_off(answer.status) {
            return Ok(());
        }
        let meddled = self.is_meddled(&self.bookings[at]);
        let ticket = &mut self.bookings[at].tickets[ticket];
        let result = answer.json["result"].as_str().unwrap_or_default();
        let expected = if ticket.void {
            "REVOKED"
        } else if ticket.inside {
            "DUPLICATE"
        } else {
            "ACCEPTED"
        };
        if result != expected && !(meddled && result == "REVOKED") {
            return Err(format!(
                "a scan came to {result}, not {expected}: {}",
                answer.text
            ));
        }
        ticket.inside |= result == "ACCEPTED";
        Ok(())
    }

    /// The process dies and another takes over.
    pub(super) async fn crash(&mut self) {
        let next = self.shop.another_process().await;
        let router = next.router.clone();
        std::mem::replace(&mut self.shop.process, next).kill().await;
        self.fans = self.fans.iter().map(|fan| fan.at(router.clone())).collect();
    }

    /// Whether money of a booking's hold may have gone back without us.
    fn is_meddled(&self, booked: &Booked) -> bool {
        let hold = self.attempts[booked.attempt].hold;
        self.attempts
            .iter()
            .any(|attempt| attempt.hold == hold && attempt.meddled)
    }

    /// Seats of live tickets.
    pub(super) fn sold(&self) -> BTreeSet<&'static str> {
        let tickets = self.bookings.iter().flat_map(|booked| &booked.tickets);
        let live = tickets.filter(|ticket| !ticket.void);
        live.map(|ticket| SEATS[ticket.seat].0).collect()
    }

    /// Whether somebody may have had a seat of this hold after it ended.
    pub(super) fn was_followed(&self, hold: usize) -> bool {
        let seats = &self.holds[hold].seats;
        let later = self.holds.iter().skip(hold + 1);
        later
            .flat_map(|held| &held.seats)
            .any(|seat| seats.contains(seat))
    }
}
