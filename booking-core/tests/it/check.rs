//! The invariants notice when something is broken.

use std::time::Duration;

use booking_core::CheckReport;
use contract::{Clock, Timestamp};
use serde_json::json;
use sqlx::{Connection, Executor};

use crate::cancel::{bought, with_policy};
use crate::fan::{Fan, intent_of};
use crate::test_shop::TestShop;

/// A shop with one booking, whose ticket was scanned, one open hold and one refund.
pub(crate) async fn shop() -> TestShop {
    let shop = TestShop::new().await;
    // An hour before the show. The process has worked for long enough to be late.
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    shop.clock.advance(doors.since(shop.clock.now()));
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let booked = fan.confirm(&hold, &intent).await;
    assert_eq!(booked.status, 200);
    let scan = json!({
        "ticket": booked.json["tickets"][0]["qr"], "nonce": "nonce-of-the-check", "at": doors,
    });
    let operators = Fan::new(shop.process.booking.admin().0);
    let entry = operators.post("/checkin/v1/scans", &scan).await;
    assert_eq!(entry.json["result"], "ACCEPTED", "{}", entry.text);
    fan.held(&["A2"]).await;
    let wrong = fan.held(&["A3"]).await;
    let intent = fan.intent(&wrong).await;
    shop.provider.pay_wrongly(&intent, 5);
    fan.confirm(&wrong, &intent).await;
    shop.settle().await;
    shop
}

/// What is broken, and the invariants that notice it.
const BREACHES: &[(&str, &str)] = &[
    ("update tickets set status = 'VOID'", "I01 I15 I20 I29"),
    (
        "update show_seats set booking_id = gen_random_uuid() where status = 'BOOKED'",
        "I03",
    ),
    (
        "update show_seats set status = 'AVAILABLE', hold_id = null where status = 'HELD'",
        "I05",
    ),
    (
        "update holds set status = 'EXPIRED', closed_at = now() where status = 'ACTIVE'",
        "I04 I20",
    ),
    ("update payments set attempt_no = -1", "I64"),
    (
        "update event_archive_end set position = position + 1",
        "I49",
    ),
    (
        "update holds set expires_at = expires_at - interval '1 day' where status = 'ACTIVE'",
        "I06",
    ),
    (
        "update holds set status = 'RELEASED' where status = 'CONFIRMED'",
        "I07",
    ),
    (
        "update bookings set amount_minor = amount_minor + 1",
        "I08 I43",
    ),
    (
        "update holds set price_lines = jsonb_set(price_lines, '{0,amountMinor}', '1')
         where status = 'ACTIVE'",
        "I43",
    ),
    (
        "update holds set ticket_prices[1] = ticket_prices[1] + 1 where status = 'ACTIVE'",
        "I43",
    ),
    ("update bookings set price_lines = '[]'", "I43"),
    ("update tickets set price_minor = price_minor - 1", "I43"),
    (
        "update payments set disposition = 'AUTO_REFUND' where disposition = 'BOOKED'",
        "I08 I09 I26 I27",
    ),
    (
        "update payments set provider_open = true,
            next_poll_at = now() where status = 'SUCCEEDED';
         update holds set closed_at = closed_at - interval '2 hours'
            where closed_at is not null",
        "I11",
    ),
    ("update refunds set amount_minor = amount_minor + 1", "I12"),
    (
        "update ledger set amount_minor = amount_minor + 1 where account = 'gateway'",
        "I13 I14",
    ),
    ("delete from show_seats where status = 'AVAILABLE'", "I16"),
    ("update owner_ticket_counts set ticket_count = 9", "I17 I20"),
    (
        "insert into payment_events (provider, event_id, kind, payload, received_at,
            next_attempt_at) values ('simulator', 'e', 'k', '{}', '2020-01-01', '2020-01-01')",
        "I18",
    ),
    ("delete from outbox", "I19"),
    (
        "insert into idempotency_keys (principal, key, fingerprint, effect_id, locked_at,
            created_at) values ('p', 'k', '', gen_random_uuid(), '2020-01-01', now())",
        "I21",
    ),
    ("delete from notices", "I23"),
    (
        "alter table notices drop constraint notices_sent; update notices set sent_at = null",
        "I24",
    ),
    (
        "update notices set status = 'FAILED', sent_at = null, receipt = null where status = 'SENT'",
        "I55",
    ),
    // Sent by a version that knew mail alone.
    (
        "update notices set channel = null where status = 'SENT'",
        "",
    ),
    (
        "update notices set failed_channels = array[channel] where status = 'SENT'",
        "I55",
    ),
    (
        "update notices set status = 'DUE', sent_at = null, channel = null, receipt = null,
            due_since = due_since - interval '4 days'",
        "I55",
    ),
    // The mail of a purchase waits for as long as its review; only the entry is a breach.
    (
        "update notices set status = 'DUE', sent_at = null, channel = null, receipt = null,
            due_since = due_since - interval '4 days' where kind = 'BOOKING_CONFIRMED';
         insert into reviews (hold_id, signals, score, created_at)
         select hold_id, '[]', 1, created_at from bookings",
        "I60",
    ),
    (
        "insert into admissions (room, seq, place, order_key, called_at, hash)
         select 'big', 1, decode(repeat('01', 16), 'hex'), 1, b.created_at - interval '1 hour',
            decode(repeat('00', 32), 'hex') from bookings b limit 1;
         insert into turn_requests (turn_id, room, place, email, language, since_seq, created_at)
         select gen_random_uuid(), 'big', decode(repeat('01', 16), 'hex'), 'a@b.example', 'en',
            0, b.created_at from bookings b limit 1",
        "I56",
    ),
    (
        "insert into turn_requests (turn_id, room, place, email, language, since_seq, created_at)
         values (gen_random_uuid(), 'big', decode(repeat('01', 16), 'hex'), 'a@b.example', 'en',
            0, now());
         insert into turn_calls (call_id, turn_id, seq, called_at)
         select gen_random_uuid(), turn_id, 7, now() from turn_requests",
        "I56",
    ),
    (
        "update bookings set created_at = created_at - interval '1 hour';
         insert into show_moves (move_id, show_no, sequence, old_starts_at, old_venue,
            created_at)
         select gen_random_uuid(), b.show_no, 1, b.created_at, '{}', h.created_at
         from bookings b join holds h using (hold_id);
         update show_moves set created_at = created_at - interval '20 minutes';
         update holds set created_at = created_at - interval '2 hours'",
        "I57",
    ),
    ("delete from checkins", "I40"),
    (
        "drop index checkins_once_inside;
         insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
            gate, admitted, at, happened_at, received_at)
         select show_no, 'nonce-of-another', ticket_digest, ticket_id, direction, result, gate,
            admitted, at, happened_at, received_at from checkins",
        "I41",
    ),
    (
        "update tickets set status = 'VOID';
         insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
            gate, admitted, at, happened_at, received_at, left_scan_no)
         select show_no, 'nonce-of-another', ticket_digest, ticket_id, direction, result, gate,
            admitted, at, happened_at, received_at, scan_no from checkins",
        "I01 I15 I20 I29 I41 I42",
    ),
    // An exit with a void ticket is no breach.
    (
        "update tickets set status = 'VOID';
         insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
            gate, admitted, at, happened_at, received_at)
         select show_no, 'nonce-of-another', ticket_digest, ticket_id, 'out', result, gate,
            admitted, at, happened_at, received_at from checkins",
        "I01 I15 I20 I29",
    ),
];

#[tokio::test]
async fn every_breach_is_noticed() {
    let shop = shop().await;
    shop.assert_clean().await;
    for (breach, names) in BREACHES.iter().copied() {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
}

/// A shop with a booking of which one ticket was cancelled for money and one is left, and with a
/// one-time code that was asked for.
async fn shop_after_the_sale() -> TestShop {
    let policy = json!({"freeUntilHours": 0, "keptFeeMinor": 5_000});
    let shop = TestShop::with(with_policy(policy)).await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    let ticket = fan.get(&booking).await.json["tickets"][0]["ticketId"].clone();
    let body = json!({ "ticketIds": [ticket] });
    let cancelled = fan.post(&format!("{booking}/cancel"), &body).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    let asked = fan.post(&format!("{booking}/codes"), &json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    shop.settle().await;
    shop.clock.advance(Duration::from_mins(20));
    shop
}

#[tokio::test]
async fn every_breach_after_the_sale_is_noticed() {
    let shop = shop_after_the_sale().await;
    shop.assert_clean().await;
    for (breach, names) in [
        (
            "update tickets set status = 'ISSUED' where status = 'VOID'",
            "I01 I03 I20 I25",
        ),
        (
            "update cancellations set refund_minor = refund_minor - 1",
            "I25",
        ),
        ("delete from cancellations", "I25 I26 I28"),
        (
            "update cancellations set kept_minor = kept_minor + 1",
            "I26 I28",
        ),
        (
            "insert into refunds select gen_random_uuid(), payment_id, 0, currency, reason, null,
                'SUCCEEDED', 0, now(), now(), now(), 0, origin from refunds",
            "I25",
        ),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'bookings'",
            "I13 I26",
        ),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'refunds'",
            "I13 I27",
        ),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'kept'",
            "I13 I28",
        ),
        (
            "update refunds set status = 'NEEDS_OPS';
             update payments set refunded_minor = 0",
            "I09 I14 I27",
        ),
        (
            "update show_seats s set status = 'BOOKED', booking_id = t.booking_id
             from tickets t where t.status = 'VOID' and t.seat_no = s.seat_no",
            "I01 I29",
        ),
        (
            "insert into transfers (transfer_id, booking_id, kind, by_whom, ticket_ids, email,
                created_at)
             select gen_random_uuid(), booking_id, 'TRANSFER', 'FAN', array[ticket_id], 'a@b.c',
                now() from tickets where status = 'ISSUED'",
            "I52 I53",
        ),
        (
            "insert into transfers (transfer_id, booking_id, kind, by_whom, ticket_ids, email,
                created_at)
             select gen_random_uuid(), booking_id, 'TRANSFER', 'FAN', array[gen_random_uuid()],
                'a@b.c', now() from bookings;
             update tickets set transfer_id = (select transfer_id from transfers limit 1)
                where status = 'ISSUED'",
            "I52",
        ),
        (
            "insert into refunds (refund_id, payment_id, amount_minor, currency, reason, origin,
                provider_refund_id, status, next_attempt_at, created_at, updated_at)
             select gen_random_uuid(), payment_id, 1, currency, 'at-provider', 'DISPUTE', 'dp_1',
                'NEEDS_OPS', now(), now(), now() from refunds;
             insert into refunds (refund_id, payment_id, amount_minor, currency, reason, status,
                next_attempt_at, created_at, updated_at)
             select gen_random_uuid(), payment_id, 0, currency, 'automatic', 'SUCCEEDED', now(),
                now(), now() from refunds where origin = 'DISPUTE';
             insert into refund_takeovers (refund_id, by_refund_id, amount_minor, created_at)
             select r.refund_id, d.refund_id, 1, now() from refunds r, refunds d
                where r.amount_minor = 0 and d.origin = 'DISPUTE'",
            "I54",
        ),
        (
            "update tickets set token_generation = 2 where status = 'ISSUED'",
            "I53",
        ),
        (
            "alter table guest_mails drop constraint guest_mails_tries;
             update guest_mails set tries = 6",
            "I30",
        ),
        (
            "insert into guest_mails select gen_random_uuid(), booking_id, kind, address_digest,
                created_at, expires_at, 0, null from guest_mails, generate_series(1, 5)",
            "I30",
        ),
        (
            "insert into show_cancellations select show_no, null, created_at from bookings",
            "I31",
        ),
    ] {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
    shop.assert_clean().await;
}

/// A shop with a booking and an open hold that were sold with a coupon, by two customers.
async fn shop_with_a_coupon() -> TestShop {
    let shop = TestShop::new().await;
    let operators = Fan::new(shop.process.booking.admin().0);
    let terms = json!({"code": "HALF", "percent": 50, "usesMax": 2, "usesPerCustomerMax": 1});
    let made = operators.post("/admin/v1/coupons", &terms).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for (seat, email) in [("A1", "one@example.com"), ("A2", "two@example.com")] {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let body = json!({"email": email, "couponCode": "HALF"});
        let payment = fan.post(&format!("{hold}/payments"), &body).await;
        assert_eq!(payment.status, 201, "{}", payment.text);
        if seat == "A1" {
            shop.provider.pay(&intent_of(&payment));
            let body = json!({"paymentIntentId": payment.json["paymentIntentId"]});
            let booked = fan.post(&format!("{hold}/confirm"), &body).await;
            assert_eq!(booked.status, 200, "{}", booked.text);
        }
    }
    shop.settle().await;
    shop
}

#[tokio::test]
async fn every_breach_of_coupons_is_noticed() {
    let shop = shop_with_a_coupon().await;
    shop.assert_clean().await;
    for (breach, names) in [
        ("update coupons set use_count = use_count - 1", "I44"),
        (
            "alter table coupons drop constraint coupons_uses; update coupons set uses_max = 1",
            "I44",
        ),
        ("update coupon_uses set released_at = now()", "I44 I45 I47"),
        (
            "update coupon_uses set off_minor = off_minor + 1",
            "I45 I47",
        ),
        ("update holds set coupon_use_id = null", "I45"),
        ("update coupon_uses set customer = ''", "I46"),
        (
            "update coupon_uses set customer = ''; drop index coupon_uses_first;
             update coupons set uses_per_customer_max = null;
             update coupon_uses set first_booking = true",
            "I46",
        ),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'discounts'",
            "I13 I47",
        ),
        (
            "delete from ledger where account in ('discounts', 'list-prices')",
            "I47",
        ),
    ] {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
    shop.assert_clean().await;
}

/// Breaks something, asks, and mends it again.
pub(crate) async fn violated(shop: &TestShop, breach: &'static str) -> String {
    let mut database = shop.database.connect().await;
    // The check runs on a connection of its own, so the breach has to be committed; the tables
    // are put back from copies.
    let copies = "create schema saved;
        create table saved.tickets as table tickets;
        create table saved.show_seats as table show_seats;
        create table saved.holds as table holds;
        create table saved.bookings as table bookings;
        create table saved.payments as table payments;
        create table saved.refunds as table refunds;
        create table saved.ledger as table ledger;
        create table saved.owner_ticket_counts as table owner_ticket_counts;
        create table saved.payment_events as table payment_events;
        create table saved.outbox as table outbox;
        create table saved.notices as table notices;
        create table saved.events as table events;
        create table saved.event_head as table event_head;
        create table saved.event_consumers as table event_consumers;
        create table saved.event_subscriptions as table event_subscriptions;
        create table saved.event_deliveries as table event_deliveries;
        create table saved.checkins as table checkins;
        create table saved.cancellations as table cancellations;
        create table saved.guest_mails as table guest_mails;
        create table saved.comps as table comps;
        create table saved.invoices as table invoices;
        create table saved.invoice_series as table invoice_series;
        create table saved.coupons as table coupons;
        create table saved.coupon_uses as table coupon_uses;
        create table saved.idempotency_keys as table idempotency_keys;";
    database.execute(copies).await.unwrap();
    database.execute(breach).await.unwrap();
    let report = shop.process.booking.check().await.unwrap();
    let mend = "set session_replication_role = replica;
        delete from tickets; delete from show_seats; delete from holds; delete from bookings;
        delete from payments; delete from refunds; delete from ledger;
        delete from owner_ticket_counts; delete from payment_events; delete from outbox;
        delete from idempotency_keys; delete from notices; delete from checkins;
        delete from cancellations; delete from guest_mails; delete from show_cancellations;
        delete from transfers; delete from refund_takeovers; delete from reviews;
        delete from comps; insert into comps table saved.comps;
        delete from invoices; insert into invoices table saved.invoices;
        delete from invoice_series; insert into invoice_series table saved.invoice_series;
        delete from coupons; delete from coupon_uses;
        delete from turn_calls; delete from turn_requests; delete from admissions;
        delete from show_move_tells; delete from show_reminder_tells; delete from show_moves;
        insert into coupons table saved.coupons;
        insert into coupon_uses table saved.coupon_uses;
        update event_archive_end set position = 0;
        delete from events; delete from event_head; delete from event_consumers;
        delete from event_subscriptions; delete from event_deliveries;
        insert into events table saved.events;
        insert into event_head table saved.event_head;
        insert into event_consumers table saved.event_consumers;
        insert into event_subscriptions table saved.event_subscriptions;
        insert into event_deliveries table saved.event_deliveries;
        insert into tickets table saved.tickets;
        insert into show_seats table saved.show_seats;
        insert into holds table saved.holds;
        insert into bookings table saved.bookings;
        insert into payments table saved.payments;
        insert into refunds table saved.refunds;
        insert into ledger table saved.ledger;
        insert into owner_ticket_counts table saved.owner_ticket_counts;
        insert into payment_events table saved.payment_events;
        insert into outbox overriding system value table saved.outbox;
        insert into idempotency_keys table saved.idempotency_keys;
        insert into notices table saved.notices;
        insert into checkins overriding system value table saved.checkins;
        insert into cancellations table saved.cancellations;
        insert into guest_mails table saved.guest_mails;
        drop schema saved cascade;";
    database.execute(mend).await.unwrap();
    database.close().await.unwrap();
    broken(&report)
}

/// The numbers of the invariants that are broken.
fn broken(report: &CheckReport) -> String {
    let broken = report.invariants.iter().filter(|i| i.violations != 0);
    let names: Vec<&str> = broken.map(|i| &i.name[..3]).collect();
    names.join(" ")
}

async fn checked(shop: &TestShop) -> String {
    broken(&shop.process.booking.check().await.unwrap())
}

/// A webhook that a process claimed, and that comes due again so long from now.
async fn webhook_due_in(shop: &TestShop, span: Duration) {
    let now = shop.clock.now();
    let mut database = shop.database.connect().await;
    sqlx::query(
        "insert into payment_events (provider, event_id, kind, payload, received_at,
            next_attempt_at)
         values ('simulator', 'e', 'k', '{}', $1::timestamptz, $2::timestamptz)",
    )
    .bind(time::OffsetDateTime::from(now))
    .bind(time::OffsetDateTime::from(now.plus(span)))
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_webhook_in_the_hands_of_a_dead_process_is_a_breach_only_when_nobody_takes_it() {
    let shop = TestShop::new().await;
    webhook_due_in(&shop, Duration::from_mins(1)).await;
    assert_eq!(checked(&shop).await, "");
    shop.clock.advance(Duration::from_secs(80));
    assert_eq!(checked(&shop).await, "");
    shop.clock.advance(Duration::from_secs(20));
    assert_eq!(checked(&shop).await, "I18");
    shop.settle().await;
    assert_eq!(checked(&shop).await, "");
}

#[tokio::test]
async fn a_webhook_that_is_put_off_over_and_over_is_a_breach() {
    let shop = TestShop::new().await;
    webhook_due_in(&shop, Duration::from_hours(2)).await;
    shop.clock.advance(Duration::from_mins(29));
    assert_eq!(checked(&shop).await, "");
    shop.clock.advance(Duration::from_mins(2));
    assert_eq!(checked(&shop).await, "I18");
}

#[tokio::test]
async fn what_came_due_while_no_process_ran_is_no_breach_yet() {
    let shop = TestShop::new().await;
    webhook_due_in(&shop, Duration::ZERO).await;
    shop.clock.advance(Duration::from_mins(20));
    let started = shop.another_process().await;
    let check = async || broken(&started.booking.check().await.unwrap());
    assert_eq!(check().await, "");
    shop.clock.advance(Duration::from_secs(31));
    assert_eq!(check().await, "I18");
}

#[tokio::test]
async fn a_key_whose_owner_died_is_given_up_and_no_breach() {
    let shop = TestShop::new().await;
    let mut database = shop.database.connect().await;
    sqlx::query(
        "insert into idempotency_keys (principal, key, fingerprint, effect_id, locked_at,
            created_at) values ('p', 'k', '', gen_random_uuid(), $1::timestamptz, $1)",
    )
    .bind(time::OffsetDateTime::from(shop.clock.now()))
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    let given_up = async || shop.process.booking.abandoned_keys_once().await.unwrap();
    // Its owner may be slow.
    shop.clock.advance(Duration::from_secs(110));
    assert_eq!(given_up().await, 0);
    shop.clock.advance(Duration::from_mins(4));
    assert_eq!(checked(&shop).await, "I21");
    assert_eq!(given_up().await, 1);
    assert_eq!(checked(&shop).await, "");
}

#[tokio::test]
async fn a_refund_under_way_is_no_breach_and_one_that_nobody_tries_is() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 5);
    fan.confirm(&hold, &intent).await;
    assert_eq!(checked(&shop).await, "");
    shop.clock.advance(Duration::from_mins(2));
    assert_eq!(checked(&shop).await, "I09");
    shop.settle().await;
    assert_eq!(checked(&shop).await, "");
}
