//! Mail to fans, at a real mail server and in files.

use std::time::Duration;

use booking_core::{Delivery, MailConfig, Sender, SmtpServer as Server, StoreError};
use contract::Clock;
use mail_parser::{Message, MessageParser};
use serde_json::{Value, json};
use test_support::certificates::Certificates;
use test_support::smtp_server::{Mood, SmtpServer};

use crate::fan::{Fan, intent_of};
use crate::test_shop::{Process, TestShop, show_file};

/// Longest lease of a notice.
const LEASE: Duration = Duration::from_mins(3);
/// Longest wait for an answer of the mail server: a test that waits for it is not to wait long.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

pub(crate) fn at(server: &SmtpServer) -> MailConfig {
    let smtp = Server::read(&server.url(), None, "tickets.test").unwrap();
    MailConfig {
        delivery: Delivery::Smtp(smtp.with_patience(PATIENCE)),
        from: Sender::read("Tickets <tickets@shop.example>").unwrap(),
    }
}

/// A shop, a mail server, and a process that mails there.
pub(crate) async fn shop() -> (TestShop, SmtpServer, Process) {
    let shop = TestShop::new().await;
    let server = SmtpServer::start().await;
    let process = shop.another_process_that_mails(at(&server)).await;
    (shop, server, process)
}

/// Buys seats with this address.
pub(crate) async fn buys(shop: &TestShop, seats: &[&str], email: &str) -> Value {
    let fan = shop.fan();
    let hold = fan.held(seats).await;
    let started = fan
        .post(&format!("{hold}/payments"), &json!({ "email": email }))
        .await;
    assert_eq!(started.status, 201, "{}", started.text);
    shop.provider.pay(&intent_of(&started));
    let body = json!({"paymentIntentId": started.json["paymentIntentId"]});
    let booked = fan.post(&format!("{hold}/confirm"), &body).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    booked.json
}

/// Everything that a process can mail now.
pub(crate) async fn mails(process: &Process) {
    while patient(async || process.booking.collect_notices_once().await).await > 0 {}
    while patient(async || process.booking.mail_once().await).await > 0 {}
}

/// The work of a round, which is tried again as its worker does: on a busy machine a connection to
/// the database may be late.
async fn patient(round: impl AsyncFn() -> Result<usize, StoreError>) -> usize {
    for _ in 0..10 {
        if let Ok(done) = round().await {
            return done;
        }
    }
    round().await.unwrap()
}

pub(crate) fn parsed(message: &str) -> Message<'_> {
    MessageParser::default().parse(message).unwrap()
}

fn ids(messages: &[String]) -> Vec<String> {
    let id = |message: &String| parsed(message).message_id().unwrap().to_owned();
    messages.iter().map(id).collect()
}

/// What operators see of mail in this state.
pub(crate) async fn listed(process: &Process, status: &str) -> Value {
    let operator = Fan::new(process.booking.admin().0);
    operator
        .get(&format!("/admin/v1/mail?status={status}"))
        .await
        .json
}

async fn retries(process: &Process, what: &str) -> (u16, Value) {
    let operator = Fan::new(process.booking.admin().0);
    let answer = operator
        .post(&format!("/admin/v1/mail/{what}"), &json!({}))
        .await;
    (answer.status, answer.json)
}

#[tokio::test]
async fn a_confirmation_arrives_as_text_and_html() {
    let (shop, server, process) = shop().await;
    let booked = buys(&shop, &["A1", "A2"], "fan@example.com").await;
    mails(&process).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    let message = parsed(&taken[0]);
    let address = |of: Option<&mail_parser::Address<'_>>| {
        of.unwrap().first().unwrap().address().unwrap().to_owned()
    };
    assert_eq!(address(message.to()), "fan@example.com");
    assert_eq!(address(message.from()), "tickets@shop.example");
    let subject = message.subject().unwrap();
    assert_eq!(
        subject,
        "Your tickets: The Eras Tour, Thu 24 Dec 2026, 19:30"
    );
    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    for part in [
        booked["code"].as_str().unwrap(),
        "DY Patil Stadium",
        "19:30 IST",
        "row A, seat 1",
        "row A, seat 2",
        "₹5,000",
        "http://tickets.test/b/",
    ] {
        assert!(text.contains(part), "{part} is missing from {text}");
        assert!(html.contains(part), "{part} is missing from {html}");
    }
    assert_eq!(
        listed(&process, "SENT").await["notices"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn processes_share_the_mail_and_double_none() {
    let (shop, server, process) = shop().await;
    let other = shop.another_process_that_mails(at(&server)).await;
    for number in 1..=9 {
        let (front, back) = (format!("A{number}"), format!("B{number}"));
        buys(&shop, &[&front], "fan@example.com").await;
        buys(&shop, &[&back], "fan@example.com").await;
    }
    let both = || async { tokio::join!(mails(&process), mails(&other)) };
    both().await;
    both().await;
    let mut ids = ids(&server.taken());
    assert_eq!(ids.len(), 18);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 18);
}

#[tokio::test]
async fn what_is_put_off_is_tried_again_later() {
    let (shop, server, process) = shop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    for mood in [Mood::PutsOff, Mood::PutsOffContent] {
        server.mood(mood);
        mails(&process).await;
        let due = listed(&process, "DUE").await;
        let error = due["notices"][0]["lastError"].as_str().unwrap();
        assert!(error.contains("451"), "{error}");
        shop.clock.advance(Duration::from_secs(100));
    }
    server.mood(Mood::Takes);
    mails(&process).await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_refused_mail_is_a_dead_letter_that_an_operator_sends_again() {
    let (shop, server, process) = shop().await;
    for (seat, mood) in [("A1", Mood::Refuses), ("A2", Mood::RefusesContent)] {
        buys(&shop, &[seat], "gone@example.com").await;
        server.mood(mood);
        mails(&process).await;
    }
    // Others are not concerned.
    server.mood_for("gone@example.com", Mood::Refuses);
    buys(&shop, &["A3"], "fan@example.com").await;
    shop.clock.advance(Duration::from_hours(5));
    mails(&process).await;
    assert_eq!(server.taken().len(), 1);
    let failed = listed(&process, "FAILED").await;
    assert_eq!(failed["failedCount"], 2);
    let notices = failed["notices"].as_array().unwrap();
    for notice in notices {
        assert_eq!(
            (&notice["attemptCount"], &notice["status"]),
            (&json!(1), &json!("FAILED"))
        );
        assert!(
            notice["lastError"].as_str().unwrap().contains("550"),
            "{notice}"
        );
    }
    server.mood(Mood::Takes);
    let id = notices[0]["noticeId"].as_str().unwrap();
    assert_eq!(retries(&process, &format!("{id}/retry")).await.0, 200);
    assert_eq!(retries(&process, &format!("{id}/retry")).await.0, 409);
    let unknown = "ntc_00000000000000000000000000000000/retry";
    assert_eq!(retries(&process, unknown).await.0, 404);
    assert_eq!(retries(&process, "retry").await.1["retriedCount"], 1);
    mails(&process).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 3);
    let first = notices[0]["messageId"].as_str().unwrap().to_owned();
    assert!(
        ids(&taken).contains(&first),
        "the Message-ID of the first attempt"
    );
    assert_eq!(listed(&process, "FAILED").await["failedCount"], 0);
}

#[tokio::test]
async fn mail_waits_while_the_server_is_down_and_goes_soon_after() {
    let (shop, mut server, process) = shop().await;
    server.stop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    process.booking.mail_backlog_once().await.unwrap();
    assert_eq!(process.booking.mail_advice(), None);
    for _ in 0..60 {
        mails(&process).await;
        shop.clock.advance(Duration::from_mins(1));
    }
    process.booking.mail_backlog_once().await.unwrap();
    let advice = process.booking.mail_advice().unwrap();
    assert!(
        advice.contains("1 mail") && advice.contains("60 minutes"),
        "{advice}"
    );
    server.run().await;
    // The longest pause, with its spread.
    shop.clock.advance(Duration::from_secs(15));
    mails(&process).await;
    assert_eq!(server.taken().len(), 1);
    process.booking.mail_backlog_once().await.unwrap();
    assert_eq!(process.booking.mail_advice(), None);
}

#[tokio::test]
async fn a_server_that_hangs_keeps_nothing_for_long_and_its_mail_from_others() {
    let (shop, server, process) = shop().await;
    let other = shop.another_process_that_mails(at(&server)).await;
    server.mood_for("slow@example.com", Mood::Hangs);
    buys(&shop, &["A1"], "slow@example.com").await;
    buys(&shop, &["A2"], "fan@example.com").await;
    process.booking.collect_notices_once().await.unwrap();
    let round = process.booking.mail_once();
    let meanwhile = async {
        crate::test_shop::eventually("a claim", || async {
            listed(&other, "DUE").await["notices"][0]["attemptCount"] == 1
        })
        .await;
        other.booking.mail_once().await.unwrap()
    };
    let (sent, by_other) = tokio::join!(round, meanwhile);
    assert_eq!((sent.unwrap(), by_other), (1, 0));
    assert_eq!(server.taken().len(), 1);
    server.mood(Mood::Takes);
    shop.clock.advance(LEASE);
    mails(&other).await;
    assert_eq!(server.taken().len(), 2);
}

#[tokio::test]
async fn a_mail_whose_record_was_lost_comes_again_as_the_same_mail() {
    let (shop, server, process) = shop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    mails(&process).await;
    // As if the process had died after the answer of the mail server.
    shop.meddle("update notices set status = 'DUE', sent_at = null")
        .await;
    mails(&process).await;
    assert_eq!(server.taken().len(), 1, "its lease has not ended");
    shop.clock.advance(LEASE);
    mails(&process).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0], taken[1]);
}

#[tokio::test]
async fn events_that_a_dying_process_took_are_not_lost() {
    let (shop, server, process) = shop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    // Collecting is one statement: it happened or it did not.
    process.booking.collect_notices_once().await.unwrap();
    shop.meddle("update outbox set done_at = null").await;
    mails(&process).await;
    mails(&process).await;
    assert_eq!(server.taken().len(), 1);
    let other = shop.another_process_that_mails(at(&server)).await;
    buys(&shop, &["A2"], "fan@example.com").await;
    other.booking.collect_notices_once().await.unwrap();
    other.kill().await;
    mails(&process).await;
    assert_eq!(server.taken().len(), 2);
}

#[tokio::test]
async fn confirmations_go_before_everything_else() {
    let (shop, server, process) = shop().await;
    // More than a round takes, older, and about nothing.
    shop.meddle(
        "insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
         select gen_random_uuid(), 'HOLD_EXPIRED', gen_random_uuid(), 'm' || n, 2, '2020-01-01',
            '2020-01-01', '2020-01-01' from generate_series(1, 60) n",
    )
    .await;
    buys(&shop, &["A1"], "fan@example.com").await;
    process.booking.collect_notices_once().await.unwrap();
    process.booking.mail_once().await.unwrap();
    assert_eq!(server.taken().len(), 1);
    let left = listed(&process, "DUE").await["dueCount"].as_u64().unwrap();
    assert!(left >= 11, "{left}");
}

#[tokio::test]
async fn a_hold_that_ends_unpaid_is_told_where_an_address_is_known() {
    let (shop, server, process) = shop().await;
    let fan = shop.fan();
    // No address is known of this one.
    fan.held(&["A1"]).await;
    let unpaid = fan.held(&["A2", "A3"]).await;
    fan.intent(&unpaid).await;
    // This one is given up by the fan.
    let quitter = shop.fan();
    let given_up = quitter.held(&["A4"]).await;
    quitter.intent(&given_up).await;
    assert_eq!(quitter.delete(&given_up).await.status, 204);
    let other = shop.fan();
    let kept = other.held(&["A5"]).await;
    let intent = other.intent(&kept).await;
    shop.provider.pay(&intent);
    assert_eq!(other.confirm(&kept, &intent).await.status, 200);
    shop.clock.advance(Duration::from_secs(301));
    let booking = &process.booking;
    while booking.sweep_once().await.unwrap() + booking.poll_once().await.unwrap() > 0 {}
    mails(&process).await;
    let taken = server.taken();
    let told = |message: &&String| {
        parsed(message)
            .subject()
            .unwrap()
            .contains("no longer held")
    };
    let told: Vec<_> = taken.iter().filter(told).collect();
    assert_eq!((taken.len(), told.len()), (2, 1));
    let text = parsed(told[0]).body_text(0).unwrap().into_owned();
    assert!(
        text.contains("The 2 seats that you chose were held"),
        "{text}"
    );
    assert!(
        text.contains("http://tickets.test/shows/eras-mumbai-1"),
        "{text}"
    );
}

#[tokio::test]
async fn money_that_went_back_is_told_once() {
    let (shop, server, process) = shop().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 500);
    fan.confirm(&hold, &intent).await;
    let booking = &process.booking;
    while booking.refund_once().await.unwrap() + booking.poll_once().await.unwrap() > 0 {}
    mails(&process).await;
    mails(&process).await;
    let taken = server.taken();
    let subjects: Vec<_> = taken
        .iter()
        .map(|it| parsed(it).subject().unwrap().to_owned())
        .collect();
    assert_eq!(subjects, ["₹5 went back to you: The Eras Tour"]);
    assert!(
        parsed(&taken[0])
            .body_text(0)
            .unwrap()
            .contains("could not become a booking")
    );
}

#[tokio::test]
async fn void_tickets_are_not_mailed() {
    let (shop, server, process) = shop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    process.booking.collect_notices_once().await.unwrap();
    shop.meddle("update bookings set status = 'CANCELLED'")
        .await;
    mails(&process).await;
    assert_eq!(server.taken().len(), 0);
    assert_eq!(
        listed(&process, "MOOT").await["notices"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn bookings_from_before_there_was_mail_are_not_told() {
    let (shop, server, process) = shop().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    // As the migration does.
    shop.meddle("update outbox set done_at = '-infinity' where done_at is null")
        .await;
    mails(&process).await;
    assert_eq!(server.taken().len(), 0);
    process.booking.sequence_once().await.unwrap();
    shop.clock.advance(Duration::from_mins(5));
    shop.assert_clean().await;
}

#[tokio::test]
async fn addresses_of_any_script_arrive_where_the_server_takes_them() {
    let (shop, server, process) = shop().await;
    let plain = SmtpServer::start_without_utf8().await;
    let narrow = shop.another_process_that_mails(at(&plain)).await;
    buys(&shop, &["A1"], "fan@m\u{fc}nchen.example").await;
    buys(&shop, &["A2"], "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example").await;
    mails(&narrow).await;
    // A domain has a form in ASCII, and a name has not.
    assert_eq!(plain.taken().len(), 1);
    let failed = listed(&narrow, "FAILED").await;
    let error = failed["notices"][0]["lastError"].as_str().unwrap();
    assert!(error.contains("SMTPUTF8"), "{error}");
    assert_eq!(retries(&process, "retry").await.1["retriedCount"], 1);
    mails(&process).await;
    let taken = server.taken();
    assert!(
        taken[0].contains("To: \u{7528}\u{6237}@xn--fsqu00a.example"),
        "{}",
        taken[0]
    );
}

#[tokio::test]
async fn a_hostile_title_adds_no_header_and_no_markup() {
    let mut file = show_file();
    file["title"] = json!("Évil </h1><script>alert(1)</script>");
    file["venue"]["name"] = json!("\"><img src=x onerror=alert(1)>");
    let shop = TestShop::with(file).await;
    let server = SmtpServer::start().await;
    let process = shop.another_process_that_mails(at(&server)).await;
    buys(&shop, &["A1"], "fan@example.com").await;
    mails(&process).await;
    let taken = server.taken();
    let message = parsed(&taken[0]);
    let html = message.body_html(0).unwrap();
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "{html}"
    );
    assert!(message.subject().unwrap().contains("Évil </h1><script>"));
    let head = taken[0].split("\r\n\r\n").next().unwrap();
    assert!(head.is_ascii(), "{head}");
}

#[tokio::test]
async fn without_a_mail_server_messages_are_files_that_operators_read() {
    let shop = TestShop::new().await;
    buys(&shop, &["A1"], "fan@example.com").await;
    shop.settle().await;
    let operator = Fan::new(shop.process.booking.admin().0);
    let list = operator.get("/admin/v1/mail/files").await.json;
    let messages = list["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    let name = messages[0]["name"].as_str().unwrap();
    let message = operator
        .get(&format!("/admin/v1/mail/files/{name}"))
        .await
        .json;
    assert_eq!(message["to"], "fan@example.com");
    assert!(message["text"].as_str().unwrap().contains("row A, seat 1"));
    assert!(message["html"].as_str().unwrap().contains("row A, seat 1"));
    for other in [
        "nothing",
        "..%2f..%2fsecret",
        "000000000000001-00000000-0000-0000-0000-000000000007",
    ] {
        let answer = operator.get(&format!("/admin/v1/mail/files/{other}")).await;
        assert_eq!(answer.status, 404, "{other}");
    }
    let file = shop.files.path().join(format!("{name}.eml"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    shop.assert_clean().await;
}

#[tokio::test]
async fn only_the_newest_files_are_kept() {
    let shop = TestShop::new().await;
    for number in 0..210 {
        let name = format!("{number:015}-00000000-0000-0000-0000-000000000007.eml");
        std::fs::write(shop.files.path().join(name), "Subject: old\r\n\r\n").unwrap();
    }
    buys(&shop, &["A1"], "fan@example.com").await;
    shop.settle().await;
    assert_eq!(std::fs::read_dir(shop.files.path()).unwrap().count(), 200);
    let operator = Fan::new(shop.process.booking.admin().0);
    let list = operator.get("/admin/v1/mail/files").await.json;
    assert_eq!(list["messages"][0]["to"], "fan@example.com");
    assert!(shop.clock.now().as_ms() > 210);
}

/// Mail to a server that wants STARTTLS and a login.
fn with_login(server: &SmtpServer, login: &str, authority: Option<&[u8]>) -> MailConfig {
    let url = format!("smtp://{login}@{}?tls=required", server.address());
    let smtp = Server::read(&url, authority, "tickets.test").unwrap();
    MailConfig {
        delivery: Delivery::Smtp(smtp),
        from: Sender::read("Tickets <tickets@shop.example>").unwrap(),
    }
}

#[tokio::test]
async fn mail_goes_by_starttls_with_a_login_and_not_without() {
    let shop = TestShop::new().await;
    let certificates = Certificates::make();
    let server = SmtpServer::start_with_login(&certificates, "me@shop", "p/w").await;
    buys(&shop, &["A1"], "fan@example.com").await;
    let authority = std::fs::read(certificates.authority()).unwrap();
    for (config, said) in [
        // The authority of its certificate is not believed.
        (with_login(&server, "me%40shop:p%2Fw", None), "certificate"),
        (
            with_login(&server, "me%40shop:wrong", Some(&authority)),
            "535",
        ),
    ] {
        let process = shop.another_process_that_mails(config).await;
        mails(&process).await;
        let due = listed(&process, "DUE").await;
        let error = due["notices"][0]["lastError"].as_str().unwrap();
        assert!(error.contains("not available"), "{error}");
        assert!(error.to_lowercase().contains(said), "{said}: {error}");
        assert!(
            !error.contains("wrong") && !error.contains("p/w"),
            "{error}"
        );
        assert_eq!(server.taken_count(), 0);
        shop.clock.advance(Duration::from_mins(2));
    }
    let config = with_login(&server, "me%40shop:p%2Fw", Some(&authority));
    let process = shop.another_process_that_mails(config).await;
    mails(&process).await;
    assert_eq!(server.taken_count(), 1);
    let sent = listed(&process, "SENT").await;
    assert_eq!(sent["notices"][0]["receipt"], "2.0.0 taken");
    assert_eq!(sent["notices"][0]["channel"], "EMAIL");
}

#[tokio::test]
async fn codes_go_before_a_burst_of_confirmations_and_these_before_reminders() {
    let (shop, server, process) = shop().await;
    // More than a round takes of each, older, and about nothing.
    shop.meddle(
        "insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
         select gen_random_uuid(), kind, gen_random_uuid(), kind || n, urgency, '2020-01-01',
            '2020-01-01', '2020-01-01'
         from generate_series(1, 120) n,
            (values ('BOOKING_CONFIRMED', 0), ('SHOW_REMINDER', 2)) k (kind, urgency)",
    )
    .await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let booked = fan.confirm(&hold, &intent).await.json;
    let path = format!("/api/v1/bookings/{}", booked["bookingId"].as_str().unwrap());
    fan.post(&format!("{path}/codes"), &json!({})).await;
    process.booking.collect_notices_once().await.unwrap();
    process.booking.mail_once().await.unwrap();
    let taken = server.taken();
    assert_eq!(taken.len(), 1, "the code alone is in the first round");
    assert!(taken[0].contains("one-time-code"), "{}", taken[0]);
    process.booking.mail_once().await.unwrap();
    process.booking.mail_once().await.unwrap();
    assert_eq!(
        server.taken_count(),
        2,
        "the confirmation is among the first 121"
    );
    let due = listed(&process, "DUE").await["notices"].clone();
    let reminders = due.as_array().unwrap().iter();
    let reminders = reminders.filter(|it| it["kind"] == "SHOW_REMINDER").count();
    assert!(reminders >= 90, "{reminders}");
}
