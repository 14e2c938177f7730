//! PDFs of tickets in a directory and in a bucket.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booking_core::TicketStoreConfig;
use contract::Clock;
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use tempfile::TempDir;

use crate::cancel::admin;
use crate::fan::{Answer, Fan};
use crate::other_readers::PdfReader;
use crate::s3_stand_in::{Mood, S3StandIn};
use crate::test_shop::{Process, TestShop};

/// Longer than the pause of a first failure, and than a show takes to settle.
const A_WHILE: Duration = Duration::from_mins(11);

/// A shop, and a process that keeps PDFs in this directory.
async fn keeping() -> (TestShop, Process, TempDir) {
    let shop = TestShop::with(crate::cancel::with_policy(json!({"freeUntilHours": 0}))).await;
    let directory = tempfile::tempdir().unwrap();
    let store = TicketStoreConfig::Directory(directory.path().to_owned());
    let process = shop.another_process_that_keeps(store).await;
    (shop, process, directory)
}

/// Everything that the worker would do now.
async fn works(shop: &TestShop, process: &Process) {
    shop.settle().await;
    process.booking.refresh_once().await.unwrap();
    while process.booking.ticket_pdfs_once().await.unwrap() > 0 {}
}

fn pdfs_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pdfs_in(&path));
        } else if path.extension().is_some_and(|ending| ending == "pdf") {
            found.push(path);
        }
    }
    found
}

/// The path of the PDF that the booking names.
fn path_of(booking: &Value) -> String {
    let url = booking["ticketsUrl"].as_str().unwrap();
    let path = url.strip_prefix("http://tickets.test").unwrap();
    assert!(
        path.starts_with("/b/") && path.ends_with("/tickets.pdf"),
        "{path}"
    );
    path.to_owned()
}

/// Somebody without cookies asks `process` for it.
async fn got(process: &Process, path: &str) -> Answer {
    let answer = Fan::new(process.router.clone()).get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    answer
}

async fn rows(shop: &TestShop) -> i64 {
    let mut database = shop.database.connect().await;
    let row = sqlx::query("select count(*) from ticket_pdfs")
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_pdf_is_kept_and_its_address_is_in_the_booking() {
    let (shop, process, directory) = keeping().await;
    let (fan, booked, _) = shop.bought(&["A1", "A2"]).await;
    assert_eq!(
        pdfs_in(directory.path()).len(),
        0,
        "nothing on the confirm path"
    );
    works(&shop, &process).await;
    let kept = pdfs_in(directory.path());
    assert_eq!(kept.len(), 1, "{kept:?}");
    let served = got(&process, &path_of(&booked)).await;
    assert_eq!(served.headers["content-type"], "application/pdf");
    assert_eq!(served.bytes, fs::read(&kept[0]).unwrap());
    assert_eq!(PdfReader::open(&served.bytes).codes().len(), 2);
    // The same address is read later, and operators do not get it.
    let id = booked["bookingId"].as_str().unwrap();
    let read = fan.get(&format!("/api/v1/bookings/{id}")).await;
    assert_eq!(read.json["ticketsUrl"], booked["ticketsUrl"]);
    let seen = admin(&shop).get(&format!("/admin/v1/bookings/{id}")).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert!(!seen.text.contains("ticketsUrl"), "{}", seen.text);
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_was_passed_on_is_not_served_from_then_on_and_removed() {
    let (shop, process, directory) = keeping().await;
    let (_, booked, _) = shop.bought(&["A1", "A2"]).await;
    works(&shop, &process).await;
    let before = pdfs_in(directory.path());
    let bytes = fs::read(&before[0]).unwrap();
    let order = json!({"ticketIds": [crate::transfers::id(&booked, 0)],
        "email": "friend@example.com"});
    let id = booked["bookingId"].as_str().unwrap();
    let passed_on = admin(&shop)
        .post(&format!("/admin/v1/bookings/{id}/transfer"), &order)
        .await;
    assert_eq!(passed_on.status, 200, "{}", passed_on.text);
    // The object is still there, and not what is served.
    assert_eq!(pdfs_in(directory.path()), before);
    let served = got(&process, &path_of(&booked)).await;
    assert_ne!(served.bytes, bytes);
    assert_eq!(PdfReader::open(&served.bytes).codes().len(), 1);
    works(&shop, &process).await;
    let after = pdfs_in(directory.path());
    assert_eq!(after.len(), 2, "one for the buyer, one for the new holder");
    assert!(!after.contains(&before[0]), "the revoked PDF is gone");
    let codes = |pdf: &PathBuf| PdfReader::open(&fs::read(pdf).unwrap()).codes();
    let mine = PdfReader::open(&served.bytes).codes();
    let (buyers, others): (Vec<_>, Vec<_>) = after.iter().partition(|pdf| codes(pdf) == mine);
    assert_eq!((buyers.len(), others.len()), (1, 1));
    let theirs = codes(others[0]);
    assert_eq!(theirs.len(), 1);

    // New codes of the buyer's ticket replace the buyer's PDF, and no other.
    let anew = admin(&shop)
        .post(
            &format!("/admin/v1/bookings/{id}/reissue"),
            &json!({"ticketIds": [crate::transfers::id(&booked, 1)]}),
        )
        .await;
    assert_eq!(anew.status, 200, "{}", anew.text);
    works(&shop, &process).await;
    let last = pdfs_in(directory.path());
    assert_eq!(last.len(), 2);
    let left: Vec<_> = last.iter().filter(|pdf| after.contains(pdf)).collect();
    assert_eq!(left.len(), 1, "{last:?}");
    assert_eq!(PdfReader::open(&fs::read(left[0]).unwrap()).codes(), theirs);
}

#[tokio::test]
async fn cancelled_tickets_and_those_of_a_show_that_is_over_are_removed() {
    let (shop, process, directory) = keeping().await;
    let (fan, booked, _) = shop.bought(&["A1"]).await;
    shop.bought(&["A2"]).await;
    works(&shop, &process).await;
    assert_eq!(pdfs_in(directory.path()).len(), 2);
    let id = booked["bookingId"].as_str().unwrap();
    let cancelled = fan
        .post(&format!("/api/v1/bookings/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    let read = fan.get(&format!("/api/v1/bookings/{id}")).await;
    assert_eq!(read.json["ticketsUrl"], Value::Null);
    works(&shop, &process).await;
    assert_eq!(pdfs_in(directory.path()).len(), 1);
    let served = got(&process, &path_of(&booked)).await;
    assert_eq!(PdfReader::open(&served.bytes).codes().len(), 0);

    let end = contract::Timestamp::parse("2026-12-25T14:00:00Z").unwrap();
    let until = end.since(shop.clock.now()) + Duration::from_mins(1);
    shop.clock.advance(until);
    works(&shop, &process).await;
    assert_eq!(pdfs_in(directory.path()).len(), 0);
    assert_eq!(rows(&shop).await, 0);
}

#[tokio::test]
async fn a_moved_show_has_its_pdfs_made_anew() {
    let (shop, process, directory) = keeping().await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    works(&shop, &process).await;
    let before = pdfs_in(directory.path());
    let moved = admin(&shop)
        .post(
            "/admin/v1/shows/eras-mumbai-1/move",
            &json!({"startsAt": "2026-12-26T14:00:00Z"}),
        )
        .await;
    assert!(moved.status < 300, "{}", moved.text);
    shop.clock.advance(A_WHILE);
    works(&shop, &process).await;
    let after = pdfs_in(directory.path());
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    let page = PdfReader::open(&fs::read(&after[0]).unwrap())
        .pages()
        .remove(0);
    assert!(page.contains("26 December 2026"), "{page}");
    let served = got(&process, &path_of(&booked)).await;
    assert_eq!(served.bytes, fs::read(&after[0]).unwrap());
}

#[tokio::test]
async fn what_was_changed_in_the_store_is_not_served() {
    let (shop, process, directory) = keeping().await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    works(&shop, &process).await;
    let kept = pdfs_in(directory.path());
    let good = fs::read(&kept[0]).unwrap();
    fs::write(&kept[0], b"%PDF-1.7 of somebody else").unwrap();
    assert_eq!(got(&process, &path_of(&booked)).await.bytes, good);
    works(&shop, &process).await;
    let mended = pdfs_in(directory.path());
    assert_eq!(mended.len(), 1);
    assert_eq!(fs::read(&mended[0]).unwrap(), good);
    // As is what was removed behind our back.
    fs::remove_file(&mended[0]).unwrap();
    assert_eq!(got(&process, &path_of(&booked)).await.bytes, good);
    works(&shop, &process).await;
    assert_eq!(pdfs_in(directory.path()).len(), 1);
}

#[tokio::test]
async fn each_gateway_has_its_own_directory_and_all_serve() {
    let (shop, process, directory) = keeping().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let store = TicketStoreConfig::Directory(elsewhere.path().to_owned());
    let other = shop.another_process_that_keeps(store).await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    works(&shop, &process).await;
    works(&shop, &other).await;
    assert_eq!(pdfs_in(directory.path()).len(), 1);
    assert_eq!(pdfs_in(elsewhere.path()).len(), 0);
    let path = path_of(&booked);
    let (here, there) = (got(&process, &path).await, got(&other, &path).await);
    assert_eq!(here.bytes, there.bytes);
    // Only the gateway that has it removes it.
    shop.meddle("update tickets set token_generation = token_generation + 1")
        .await;
    works(&shop, &other).await;
    assert_eq!(pdfs_in(directory.path()).len(), 1);
    let stale = fs::read(&pdfs_in(directory.path())[0]).unwrap();
    works(&shop, &process).await;
    assert_ne!(fs::read(&pdfs_in(directory.path())[0]).unwrap(), stale);
}

#[tokio::test]
async fn a_bucket_gets_signed_requests_and_serves_what_it_has() {
    let shop = TestShop::new().await;
    let bucket = S3StandIn::start().await;
    let process = shop.another_process_that_keeps(bucket.config()).await;
    let (_, booked, _) = shop.bought(&["A1", "A2"]).await;
    works(&shop, &process).await;
    let objects = bucket.objects();
    assert_eq!(objects.len(), 1);
    assert_eq!(bucket.types(), ["application/pdf"]);
    let (name, pdf) = objects.iter().next().unwrap();
    let id = booked["bookingId"].as_str().unwrap();
    let expected = format!("shop/one/eras-mumbai-1/{id}/");
    assert!(name.starts_with(&expected), "{name}");
    assert_eq!(name.len(), expected.len() + 32 + ".pdf".len());
    let other = shop.another_process_that_keeps(bucket.config()).await;
    assert_eq!(&got(&other, &path_of(&booked)).await.bytes[..], &pdf[..]);
    assert_eq!((bucket.reads(), bucket.refused()), (1, 0));
}

#[tokio::test]
async fn an_outage_of_the_bucket_delays_and_leaves_nothing_behind() {
    let shop = TestShop::new().await;
    let bucket = S3StandIn::start().await;
    let process = shop.another_process_that_keeps(bucket.config()).await;
    // It writes, but its answer is a failure: nobody is sure of that object.
    bucket.mood(Mood::Forgetful);
    let (_, booked, _) = shop.bought(&["A1"]).await;
    works(&shop, &process).await;
    let unsure = bucket.objects();
    assert_eq!(unsure.len(), 1);
    bucket.mood(Mood::Down);
    shop.clock.advance(A_WHILE);
    works(&shop, &process).await;
    assert_eq!(bucket.objects(), unsure);
    let served = got(&process, &path_of(&booked)).await;
    assert_eq!(PdfReader::open(&served.bytes).codes().len(), 1);
    bucket.mood(Mood::Well);
    shop.clock.advance(A_WHILE);
    works(&shop, &process).await;
    let sure = bucket.objects();
    assert_eq!(sure.len(), 1, "the unsure object was removed");
    assert_ne!(sure.keys().next(), unsure.keys().next());
    assert_eq!(bucket.refused(), 0);
}

#[tokio::test]
async fn a_wrong_key_keeps_nothing_and_stops_no_sale() {
    let shop = TestShop::new().await;
    let bucket = S3StandIn::start().await;
    let store = bucket.config_with_a_wrong_secret();
    let process = shop.another_process_that_keeps(store).await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    works(&shop, &process).await;
    assert_eq!(bucket.objects().len(), 0);
    assert!(bucket.refused() > 0);
    got(&process, &path_of(&booked)).await;
    shop.assert_clean().await;
}
