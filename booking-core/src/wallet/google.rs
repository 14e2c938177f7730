//! Google's links to save a ticket: a signed description of show and ticket. Pure but for the key.

use contract::booking::Ticket;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::settings::GoogleWallet;
use crate::ticket_files::BookedShow;

/// What the token follows.
const SAVE: &str = "https://pay.google.com/gp/v/save/";
/// Longest token, in characters: longer links are cut by some browsers, as Google warns.
const TOKEN_CHARS_MAX: usize = 1800;
/// Longest texts of a show that are sent along, in characters, from the first choice to the last.
const TEXT_CHARS_MAX: [usize; 3] = [80, 40, 20];

/// The link that saves `ticket`, whose code says `qr`.
pub(super) fn save_link(
    wallet: &GoogleWallet,
    seller: &str,
    booked: &BookedShow,
    ticket: &Ticket,
    qr: &str,
) -> Result<String, ring::error::Unspecified> {
    let head = json!({"alg": "RS256", "typ": "JWT"});
    let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let mut token = String::new();
    for longest in TEXT_CHARS_MAX {
        let claims = claims(wallet, seller, booked, ticket, (qr, longest));
        let signed = format!("{}.{}", part(&head), part(&claims));
        let signature = wallet.key.sign(signed.as_bytes())?;
        token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        if token.len() <= TOKEN_CHARS_MAX {
            break;
        }
    }
    Ok(format!("{SAVE}{token}"))
}

/// What the token says, with texts of at most `longest` characters.
fn claims(
    wallet: &GoogleWallet,
    seller: &str,
    booked: &BookedShow,
    ticket: &Ticket,
    (qr, longest): (&str, usize),
) -> Value {
    let (show, booking) = (&booked.show, &booked.booking);
    let said = |text: &str| {
        let short: String = text.chars().take(longest).collect();
        json!({"defaultValue": {"language": "en", "value": short}})
    };
    let issuer = &wallet.issuer;
    let class = format!("{issuer}.{}", show.show_id);
    // A ticket with a new code is another object: a link changes none that is saved.
    let code = HEXLOWER.encode(&Sha256::digest(qr)[..4]);
    let object = format!("{issuer}.{}.{code}", ticket.ticket_id);
    let address = if show.venue.address.is_empty() {
        &show.venue.name
    } else {
        &show.venue.address
    };
    let seat = match &ticket.seat {
        Some(seat) => json!({
            "section": said(&seat.section),
            "row": said(&seat.row),
            "seat": said(&seat.number.to_string()),
        }),
        None => json!({"seat": said(ticket.seat_id.as_str())}),
    };
    let mut object = json!({
        "id": object,
        "classId": class,
        "state": "ACTIVE",
        "barcode": {"type": "QR_CODE", "value": qr},
        "reservationInfo": {"confirmationCode": booking.code},
        "seatInfo": seat,
    });
    if let Some(name) = &ticket.holder_name {
        object["ticketHolderName"] = json!(name);
    }
    json!({
        "iss": wallet.email,
        "aud": "google",
        "typ": "savetowallet",
        "iat": booked.now.as_unix_seconds(),
        "payload": {
            "eventTicketClasses": [{
                "id": class,
                "issuerName": seller,
                "reviewStatus": "UNDER_REVIEW",
                "eventName": said(&show.title),
                "venue": {"name": said(&show.venue.name), "address": said(address)},
                "dateTime": {"start": show.starts_at},
            }],
            "eventTicketObjects": [object],
        },
    })
}
