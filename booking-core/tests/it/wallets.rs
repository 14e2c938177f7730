//! Tickets for wallets, checked by OpenSSL and by Python's reader of archives.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use booking_core::{AppleWallet, GoogleWallet, WalletConfig};
use contract::Clock;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cancel::admin;
use crate::fan::Fan;
use crate::test_shop::{Process, TestShop};

/// Longer links are cut by some browsers; Google advises it.
const LINK_CHARS_MAX: usize = 1800 + "https://pay.google.com/gp/v/save/".len();

fn openssl(directory: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' ').map(|it| it.replace('+', " ")))
        .current_dir(directory)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "openssl {arguments}: {complaint}");
}

/// Keys of Apple's kind and of Google's kind, in files.
fn keys() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    openssl(
        at,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -keyout wwdr.key -out wwdr.pem -subj /CN=Test+WWDR/O=Test",
    );
    openssl(
        at,
        "req -newkey rsa:2048 -nodes -keyout pass.key -out pass.csr -subj /UID=pass.example.tickets/CN=Pass+Type+ID/OU=TEAM123456/O=Seller/C=IN",
    );
    openssl(
        at,
        "x509 -req -in pass.csr -CA wwdr.pem -CAkey wwdr.key -CAcreateserial -days 30 -out pass.pem",
    );
    openssl(at, "genrsa -out google.key 2048");
    openssl(at, "rsa -in google.key -pubout -out google.pub");
    directory
}

fn read(directory: &Path, name: &str) -> Vec<u8> {
    fs::read(directory.join(name)).unwrap()
}

fn chain(directory: &Path) -> Vec<u8> {
    [read(directory, "pass.pem"), read(directory, "wwdr.pem")].concat()
}

fn account(directory: &Path) -> Vec<u8> {
    let key = String::from_utf8(read(directory, "google.key")).unwrap();
    json!({"type": "service_account", "client_email": "shop@project.example", "private_key": key})
        .to_string()
        .into_bytes()
}

fn wallets(directory: &Path) -> WalletConfig {
    let apple = AppleWallet::read(&chain(directory), &read(directory, "pass.key")).unwrap();
    assert_eq!(apple.warning(contract::SystemClock.now()), None);
    WalletConfig {
        apple: Some(apple),
        google: Some(GoogleWallet::read("3388000000012345678", &account(directory)).unwrap()),
    }
}

async fn shop() -> (TestShop, Process, TempDir) {
    let shop = TestShop::with(crate::cancel::with_policy(json!({"freeUntilHours": 0}))).await;
    let keys = keys();
    let process = shop
        .another_process_with_wallets(wallets(keys.path()))
        .await;
    (shop, process, keys)
}

/// The link of the reader, and the path of a ticket below it.
fn paths(booking: &Value, at: usize) -> (String, String) {
    let url = booking["ticketsUrl"].as_str().unwrap();
    let link = url
        .trim_start_matches("http://tickets.test")
        .trim_end_matches("/tickets.pdf");
    let ticket = format!("{link}/tickets/{}", crate::transfers::id(booking, at));
    (link.to_owned(), ticket)
}

#[tokio::test]
async fn a_pass_is_as_apple_wants_it_and_its_signature_is_good() {
    let (shop, process, keys) = shop().await;
    let (fan, booked, _) = shop.bought(&["A1", "A2"]).await;
    let (_, ticket) = paths(&booked, 1);
    let stranger = Fan::new(process.router.clone());
    let pass = stranger.get(&format!("{ticket}/pass.pkpass")).await;
    assert_eq!(pass.status, 200, "{}", pass.text);
    assert_eq!(pass.headers["content-type"], "application/vnd.apple.pkpass");
    assert_eq!(pass.headers["cache-control"], "private, no-store");
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("ticket.pkpass"), &pass.bytes).unwrap();
    let unpacked = Command::new("python3")
        .args(["-m", "zipfile", "-e", "ticket.pkpass", "."])
        .current_dir(at)
        .status();
    assert!(unpacked.unwrap().success());
    fs::copy(keys.path().join("wwdr.pem"), at.join("wwdr.pem")).unwrap();
    let verify = "-verify -binary -inform DER -in signature -content manifest.json -CAfile wwdr.pem -purpose any -out verified";
    openssl(at, &format!("smime {verify}"));
    openssl(at, &format!("cms {verify}"));
    assert_eq!(read(at, "verified"), read(at, "manifest.json"));
    let manifest: Value = serde_json::from_slice(&read(at, "manifest.json")).unwrap();
    let manifest = manifest.as_object().unwrap();
    for name in [
        "pass.json",
        "icon.png",
        "icon@2x.png",
        "icon@3x.png",
        "logo.png",
        "logo@2x.png",
    ] {
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &read(at, name));
        assert_eq!(manifest[name], HEXLOWER.encode(hash.as_ref()), "{name}");
    }
    assert_eq!(manifest.len(), 6);
    let said: Value = serde_json::from_slice(&read(at, "pass.json")).unwrap();
    for (pointer, expected) in [
        ("/formatVersion", json!(1)),
        ("/passTypeIdentifier", json!("pass.example.tickets")),
        ("/teamIdentifier", json!("TEAM123456")),
        ("/organizationName", json!("Tickets")),
        ("/serialNumber", booked["tickets"][1]["ticketId"].clone()),
        ("/barcodes/0/message", booked["tickets"][1]["qr"].clone()),
        ("/barcodes/0/format", json!("PKBarcodeFormatQR")),
        ("/relevantDate", json!("2026-12-24T14:00:00Z")),
        ("/eventTicket/primaryFields/0/value", json!("The Eras Tour")),
        ("/eventTicket/auxiliaryFields/2/value", json!("2")),
    ] {
        assert_eq!(
            said.pointer(pointer),
            Some(&expected),
            "{pointer} of {said}"
        );
    }
    // A change of the description is noticed.
    fs::write(at.join("manifest.json"), b"{}").unwrap();
    let forged = Command::new("openssl")
        .args(["cms"].into_iter().chain(verify.split(' ')))
        .current_dir(at)
        .output();
    assert!(!forged.unwrap().status.success());
    // The API has the same, for the buyer alone.
    let path = format!(
        "/api/v1/bookings/{}/tickets/{}/pass.pkpass",
        booked["bookingId"].as_str().unwrap(),
        crate::transfers::id(&booked, 1)
    );
    assert_eq!(fan.at(process.router.clone()).get(&path).await.status, 200);
    assert_eq!(stranger.get(&path).await.status, 404);
}

#[tokio::test]
async fn the_link_of_google_is_signed_and_short_enough() {
    let (shop, process, keys) = shop().await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    let (_, ticket) = paths(&booked, 0);
    let stranger = Fan::new(process.router.clone());
    let answer = stranger.get(&format!("{ticket}/google-wallet")).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    let link = answer.headers["location"].to_str().unwrap();
    assert!(link.len() <= LINK_CHARS_MAX, "{} characters", link.len());
    let token = link
        .strip_prefix("https://pay.google.com/gp/v/save/")
        .unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
    let at = keys.path();
    fs::write(at.join("signed"), format!("{}.{}", parts[0], parts[1])).unwrap();
    fs::write(at.join("token.sig"), decoded(parts[2])).unwrap();
    openssl(
        at,
        "dgst -sha256 -verify google.pub -signature token.sig signed",
    );
    let head: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
    assert_eq!(head, json!({"alg": "RS256", "typ": "JWT"}));
    let claims: Value = serde_json::from_slice(&decoded(parts[1])).unwrap();
    let class = "3388000000012345678.eras-mumbai-1";
    for (pointer, expected) in [
        ("/iss", json!("shop@project.example")),
        ("/aud", json!("google")),
        ("/typ", json!("savetowallet")),
        ("/payload/eventTicketClasses/0/id", json!(class)),
        (
            "/payload/eventTicketClasses/0/eventName/defaultValue/value",
            json!("The Eras Tour"),
        ),
        ("/payload/eventTicketObjects/0/classId", json!(class)),
        (
            "/payload/eventTicketObjects/0/barcode/type",
            json!("QR_CODE"),
        ),
        (
            "/payload/eventTicketObjects/0/barcode/value",
            booked["tickets"][0]["qr"].clone(),
        ),
    ] {
        assert_eq!(
            claims.pointer(pointer),
            Some(&expected),
            "{pointer} of {claims}"
        );
    }
}

#[tokio::test]
async fn tickets_that_open_no_door_are_in_no_wallet() {
    let (shop, process, _keys) = shop().await;
    let (fan, booked, _) = shop.bought(&["A1", "A2"]).await;
    let stranger = Fan::new(process.router.clone());
    let got = async |path: &str| {
        let pass = stranger.get(&format!("{path}/pass.pkpass")).await.status;
        (
            pass,
            stranger.get(&format!("{path}/google-wallet")).await.status,
        )
    };
    let ((_, first), (_, second)) = (paths(&booked, 0), paths(&booked, 1));
    assert_eq!(
        (got(&first).await, got(&second).await),
        ((200, 303), (200, 303))
    );
    let id = booked["bookingId"].as_str().unwrap();
    let order = json!({"ticketIds": [crate::transfers::id(&booked, 0)],
        "email": "friend@example.com"});
    let desk = admin(&shop);
    let done = desk
        .post(&format!("/admin/v1/bookings/{id}/transfer"), &order)
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(
        (got(&first).await, got(&second).await),
        ((404, 404), (200, 303))
    );
    let cancelled = fan
        .post(
            &format!("/api/v1/bookings/{id}/cancel"),
            &json!({"ticketIds": [crate::transfers::id(&booked, 1)]}),
        )
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(got(&second).await, (404, 404));
    // Without the settings there is nothing.
    let (_, other, _) = shop.bought(&["A3"]).await;
    let (_, ticket) = paths(&other, 0);
    assert_eq!(got(&ticket).await, (200, 303));
    let off = shop.fan().get(&format!("{ticket}/pass.pkpass")).await;
    assert_eq!(off.status, 404);
    shop.clock.advance(Duration::from_hours(24 * 100));
    assert_eq!(got(&ticket).await, (404, 404), "the show is over");
}

#[tokio::test]
async fn pages_and_mails_offer_wallets_only_where_there_are_some() {
    let (shop, process, _keys) = shop().await;
    let (_, booked, _) = shop.bought(&["A1"]).await;
    let (link, ticket) = paths(&booked, 0);
    let html = Fan::new(process.router.clone()).get(&link).await.text;
    for kind in ["pass.pkpass", "google-wallet"] {
        assert!(html.contains(&format!("{ticket}/{kind}")), "{html}");
    }
    let off = shop.fan().get(&link).await.text;
    assert!(!off.contains("Wallet"), "{off}");
    while process.booking.collect_notices_once().await.unwrap() > 0 {}
    while process.booking.mail_once().await.unwrap() > 0 {}
    let mails = crate::guests::mails(&shop, "booking-confirmed").await;
    for kind in ["pass.pkpass", "google-wallet"] {
        assert!(
            mails[0].contains(&format!("{ticket}/{kind}")),
            "{}",
            mails[0]
        );
    }
}

#[test]
fn keys_that_do_not_fit_are_explained() {
    let keys = keys();
    let at = keys.path();
    let (chain, key) = (chain(at), read(at, "pass.key"));
    for (certificates, key, why) in [
        (&read(at, "pass.pem"), &key, "intermediate certificate"),
        (&b"nothing".to_vec(), &key, "no certificate in it"),
        (&chain, &read(at, "google.key"), "not that of the first"),
        (&chain, &b"nothing".to_vec(), "no private key in it"),
        (
            &[read(at, "wwdr.pem"), read(at, "pass.pem")].concat(),
            &key,
            "none for passes",
        ),
    ] {
        let refused = AppleWallet::read(certificates, key).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let later = contract::Timestamp::parse("2050-01-01T00:00:00Z").unwrap();
    let wallet = AppleWallet::read(&chain, &key).unwrap();
    assert!(wallet.warning(later).unwrap().contains("has ended"));
    for (issuer, account, why) in [
        ("my issuer", account(at), "no issuer id"),
        ("1", b"{}".to_vec(), "no file of a service account"),
        (
            "1",
            br#"{"client_email": "a@b", "private_key": "x"}"#.to_vec(),
            "no private key in it",
        ),
    ] {
        let refused = GoogleWallet::read(issuer, &account).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}
