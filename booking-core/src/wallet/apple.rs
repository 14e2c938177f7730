//! Apple's passes: a ZIP archive of a description, pictures, their hashes and a signature. Pure but
//! for the key.

use std::io::{Cursor, Write};

use contract::Timestamp;
use contract::booking::Ticket;
use data_encoding::HEXLOWER;
use pages::map::map_url;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::cms::{CmsError, detached};
use super::settings::AppleWallet;
use crate::ticket_files::BookedShow;
use crate::tickets::valid_until;

/// The pictures of a pass.
const PICTURES: [(&str, &[u8]); 5] = [
    ("icon.png", include_bytes!("images/icon.png")),
    ("icon@2x.png", include_bytes!("images/icon@2x.png")),
    ("icon@3x.png", include_bytes!("images/icon@3x.png")),
    ("logo.png", include_bytes!("images/icon.png")),
    ("logo@2x.png", include_bytes!("images/icon@2x.png")),
];

/// Why there is no pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error(transparent)]
    Signature(#[from] CmsError),
    #[error("the archive cannot be written: {0}")]
    Archive(#[from] zip::result::ZipError),
    #[error("the archive cannot be written: {0}")]
    Written(#[from] std::io::Error),
}

/// The pass of `ticket`, whose code says `qr`.
pub(super) fn pass(
    wallet: &AppleWallet,
    seller: &str,
    booked: &BookedShow,
    ticket: &Ticket,
    qr: &str,
) -> Result<Vec<u8>, PassError> {
    let description = description(wallet, seller, booked, ticket, qr).to_string();
    let mut files = vec![("pass.json", description.as_bytes())];
    files.extend(PICTURES);
    let hashes = files.iter().map(|(name, content)| {
        // Apple's format wants SHA-1 here; the signature over it is by SHA-256.
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, content);
        ((*name).to_owned(), json!(HEXLOWER.encode(hash.as_ref())))
    });
    let manifest = Value::Object(hashes.collect::<Map<_, _>>()).to_string();
    let (certificates, key) = (&wallet.certificates, &wallet.key);
    let signature = detached(manifest.as_bytes(), certificates, key, booked.now)?;
    files.push(("manifest.json", manifest.as_bytes()));
    files.push(("signature", &signature));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in files {
        archive.start_file(name, stored)?;
        archive.write_all(content)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn description(
    wallet: &AppleWallet,
    seller: &str,
    booked: &BookedShow,
    ticket: &Ticket,
    qr: &str,
) -> Value {
    let (show, booking) = (&booked.show, &booked.booking);
    let field =
        |key: &str, label: &str, value: &str| json!({"key": key, "label": label, "value": value});
    let seat = match &ticket.seat {
        Some(seat) => vec![
            field("section", "Section", &seat.section),
            field("row", "Row", &seat.row),
            field("seat", "Seat", &seat.number.to_string()),
        ],
        None => vec![field("seat", "Seat", ticket.seat_id.as_str())],
    };
    let mut back = vec![
        field("code", "Booking code", &booking.code),
        field("address", "Address", &show.venue.address),
        field("map", "Map", &map_url(&show.venue)),
        field("ticket", "Ticket", &ticket.ticket_id.to_string()),
    ];
    if let Some(name) = &ticket.holder_name {
        back.insert(0, field("name", "Name", name));
    }
    let barcode = json!({
        "format": "PKBarcodeFormatQR",
        "message": qr,
        "messageEncoding": "iso-8859-1",
    });
    let mut pass = json!({
        "formatVersion": 1,
        "passTypeIdentifier": wallet.pass_type,
        "teamIdentifier": wallet.team,
        "organizationName": seller,
        // The pass of the same ticket with a new code takes the place of the earlier one.
        "serialNumber": ticket.ticket_id,
        "groupingIdentifier": booking.booking_id,
        "description": format!("Ticket: {}", show.title),
        "logoText": seller,
        "relevantDate": w3c(show.starts_at),
        "expirationDate": w3c(valid_until(show.ends_at)),
        "backgroundColor": "rgb(143,29,51)",
        "foregroundColor": "rgb(255,255,255)",
        "labelColor": "rgb(246,239,226)",
        "sharingProhibited": true,
        "barcodes": [barcode],
        "eventTicket": {
            "primaryFields": [field("title", "", &show.title)],
            "secondaryFields": [
                field("starts", "Begins", &booked.starts()),
                field("venue", "Venue", &show.venue.name),
            ],
            "auxiliaryFields": seat,
            "backFields": back,
        },
    });
    if let (Some(latitude), Some(longitude)) = (show.venue.latitude, show.venue.longitude) {
        pass["locations"] = json!([{"latitude": latitude, "longitude": longitude}]);
    }
    pass
}

/// A time to the second, as Apple's format has it.
fn w3c(at: Timestamp) -> String {
    let whole = Timestamp::from_ms(at.as_unix_seconds() * 1000);
    OffsetDateTime::from(whole)
        .format(&Rfc3339)
        .unwrap_or_default()
}
