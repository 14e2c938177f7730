//! The signed text of a ticket's QR code, and its verification without a database.
//!
//! 36 bytes of claims and a 64-byte Ed25519 signature, in base45, which a QR code packs as
//! alphanumeric text.

use std::ops::Range;

use contract::{TicketId, Timestamp};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use qrcode::QrCode;
use qrcode::types::QrError;
use uuid::Uuid;

use crate::config::TicketKeys;

const VERSION: u8 = 1;
/// The offset of the key id in a token.
const KEY_ID_AT: usize = 1;
const CLAIMS_BYTES: usize = 36;
/// Domain separation: a ticket's signature is valid for nothing else that the key may sign.
const CONTEXT: &[u8] = b"ropeline ticket v1\0";
/// How long before the show a ticket is valid, in seconds.
const VALID_BEFORE_SECONDS: i64 = 12 * 3600;
/// How long after the end of the show a ticket is valid, in seconds.
const VALID_AFTER_SECONDS: i64 = 12 * 3600;

/// The claims of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketClaims {
    /// The show's number.
    pub show_no: u32,
    /// The ticket.
    pub ticket_id: TicketId,
    /// Incremented when the ticket is reissued; older tokens are then void.
    pub token_generation: u16,
    /// The seat's number within the show.
    pub seat_no: u32,
    /// Start of validity.
    pub valid_from: Timestamp,
    /// End of validity.
    pub valid_to: Timestamp,
}

/// Why a QR code is not a valid ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTicket {
    /// The text is not a ticket's.
    #[error("this is not a ticket")]
    Unreadable,
    /// The signature does not match the key.
    #[error("the signature is not valid")]
    Forged,
    /// The format or key is newer than the scanner.
    #[error("this ticket needs a newer scanner")]
    Unknown,
    /// The time is outside the ticket's validity.
    #[error("the ticket is not valid at this time")]
    OutOfTime,
}

/// Signs tickets.
#[derive(Clone)]
pub(crate) struct TicketSigner {
    key_id: u8,
    key: SigningKey,
}

/// Verifies tickets of the current and all earlier keys.
#[derive(Clone, Debug)]
pub struct TicketVerifier(Vec<(u8, VerifyingKey)>);

impl TicketVerifier {
    pub(crate) fn new(keys: &TicketKeys) -> Self {
        let signing = SigningKey::from_bytes(&keys.seed).verifying_key();
        let all = keys.earlier.iter().copied().chain([(keys.id, signing)]);
        Self(all.collect())
    }

    /// The public halves, by the numbers that tickets carry.
    pub(crate) fn public_keys(&self) -> impl Iterator<Item = (u8, [u8; 32])> {
        self.0.iter().map(|(id, key)| (*id, key.to_bytes()))
    }

    fn key(&self, id: u8) -> Option<&VerifyingKey> {
        self.0
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, key)| key)
    }
}

impl TicketSigner {
    pub(crate) fn new(keys: &TicketKeys) -> Self {
        Self {
            key_id: keys.id,
            key: SigningKey::from_bytes(&keys.seed),
        }
    }

    /// The text of the QR code.
    pub(crate) fn sign(&self, claims: &TicketClaims) -> String {
        let mut token = claims.pack(self.key_id).to_vec();
        let signature = self.key.sign(&[CONTEXT, &token].concat());
        token.extend_from_slice(&signature.to_bytes());
        base45_encode(&token)
    }
}

/// The last instant at which tickets of a show that ends at `ends_at` are valid.
pub(crate) fn valid_until(ends_at: Timestamp) -> Timestamp {
    seconds_from(ends_at, VALID_AFTER_SECONDS)
}

fn seconds_from(instant: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_ms(instant.as_unix_seconds().saturating_add(seconds) * 1000)
}

/// Verifies the text of a QR code: signature first, then validity. Needs only the keys.
pub fn verify_ticket(
    text: &str,
    verifier: &TicketVerifier,
    now: Timestamp,
) -> Result<TicketClaims, InvalidTicket> {
    let claims = read_ticket(text, verifier)?;
    if now < claims.valid_from || now > claims.valid_to {
        return Err(InvalidTicket::OutOfTime);
    }
    Ok(claims)
}

/// Verifies the signature of a QR code's text, whatever the time.
pub(crate) fn read_ticket(
    text: &str,
    verifier: &TicketVerifier,
) -> Result<TicketClaims, InvalidTicket> {
    let token = base45_decode(text).ok_or(InvalidTicket::Unreadable)?;
    let (claims, signature) = token
        .split_at_checked(CLAIMS_BYTES)
        .ok_or(InvalidTicket::Unreadable)?;
    let signature = Signature::from_slice(signature).map_err(|_| InvalidTicket::Unreadable)?;
    let key = verifier
        .key(claims[KEY_ID_AT])
        .ok_or(InvalidTicket::Unknown)?;
    key.verify(&[CONTEXT, claims].concat(), &signature)
        .map_err(|_| InvalidTicket::Forged)?;
    TicketClaims::unpack(claims)
}

impl TicketClaims {
    /// The claims of a ticket for a show that takes place during `lasts`.
    pub(crate) fn new(
        show_no: i32,
        ticket_id: Uuid,
        token_generation: i32,
        seat_no: i32,
        lasts: Range<Timestamp>,
    ) -> Self {
        Self {
            show_no: u32::try_from(show_no).unwrap_or(0),
            ticket_id: TicketId::new(ticket_id),
            token_generation: u16::try_from(token_generation).unwrap_or(u16::MAX),
            seat_no: u32::try_from(seat_no).unwrap_or(0),
            valid_from: seconds_from(lasts.start, -VALID_BEFORE_SECONDS),
            valid_to: valid_until(lasts.end),
        }
    }

    fn pack(&self, key_id: u8) -> [u8; CLAIMS_BYTES] {
        let seconds = |at: Timestamp| u32::try_from(at.as_unix_seconds()).unwrap_or(u32::MAX);
        let mut packed = [0; CLAIMS_BYTES];
        packed[0] = VERSION;
        packed[KEY_ID_AT] = key_id;
        packed[2..6].copy_from_slice(&self.show_no.to_be_bytes());
        packed[6..22].copy_from_slice(self.ticket_id.uuid().as_bytes());
        packed[22..24].copy_from_slice(&self.token_generation.to_be_bytes());
        packed[24..28].copy_from_slice(&self.seat_no.to_be_bytes());
        packed[28..32].copy_from_slice(&seconds(self.valid_from).to_be_bytes());
        packed[32..36].copy_from_slice(&seconds(self.valid_to).to_be_bytes());
        packed
    }

    fn unpack(packed: &[u8]) -> Result<Self, InvalidTicket> {
        let packed: &[u8; CLAIMS_BYTES] =
            packed.try_into().map_err(|_| InvalidTicket::Unreadable)?;
        if packed[0] != VERSION {
            return Err(InvalidTicket::Unknown);
        }
        let number = |at: usize| {
            u32::from_be_bytes([packed[at], packed[at + 1], packed[at + 2], packed[at + 3]])
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&packed[6..22]);
        Ok(Self {
            show_no: number(2),
            ticket_id: TicketId::new(Uuid::from_bytes(uuid)),
            token_generation: u16::from_be_bytes([packed[22], packed[23]]),
            seat_no: number(24),
            valid_from: Timestamp::from_ms(i64::from(number(28)) * 1000),
            valid_to: Timestamp::from_ms(i64::from(number(32)) * 1000),
        })
    }
}

/// The alphabet of base45 (RFC 9285), which is that of a QR code's alphanumeric mode.
const BASE45: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

fn base45_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(2) * 3);
    let mut push = |digit: u16| text.push(char::from(BASE45[usize::from(digit)]));
    for pair in bytes.chunks(2) {
        match *pair {
            [high, low] => {
                let value = u16::from_be_bytes([high, low]);
                push(value % 45);
                push(value / 45 % 45);
                push(value / 2025);
            }
            [last] => {
                push(u16::from(last) % 45);
                push(u16::from(last) / 45);
            }
            _ => {}
        }
    }
    text
}

fn base45_decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        let at = BASE45.iter().position(|letter| *letter == byte)?;
        u32::try_from(at).ok()
    };
    let mut bytes = Vec::with_capacity(text.len() / 3 * 2);
    for group in text.as_bytes().chunks(3) {
        match *group {
            [a, b, c] => {
                let value = digit(a)? + digit(b)? * 45 + digit(c)? * 2025;
                bytes.extend_from_slice(&u16::try_from(value).ok()?.to_be_bytes());
            }
            [a, b] => bytes.push(u8::try_from(digit(a)? + digit(b)? * 45).ok()?),
            _ => return None,
        }
    }
    Some(bytes)
}

/// The QR code of `text`.
pub(crate) fn qr_code(text: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(text, qrcode::EcLevel::M)
}

/// The QR code of `text` as SVG.
pub(crate) fn qr_svg(text: &str) -> Result<String, QrError> {
    Ok(qr_code(text)?
        .render::<qrcode::render::svg::Color<'_>>()
        .min_dimensions(240, 240)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STARTS_AT: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    /// Two days after the start.
    const ENDS_AT: Timestamp = Timestamp::from_ms(1_790_172_800_000);

    fn claims() -> TicketClaims {
        TicketClaims::new(7, Uuid::from_u128(99), 1, 1234, STARTS_AT..ENDS_AT)
    }

    const KEYS: TicketKeys = TicketKeys::new(1, [5; 32]);

    fn signer() -> TicketSigner {
        TicketSigner::new(&KEYS)
    }

    fn verifier() -> TicketVerifier {
        TicketVerifier::new(&KEYS)
    }

    #[test]
    fn a_ticket_reads_back_and_fits_a_small_code() {
        let text = signer().sign(&claims());
        assert_eq!(text.len(), 150);
        let key = verifier();
        assert_eq!(verify_ticket(&text, &key, STARTS_AT), Ok(claims()));
        assert!(qr_svg(&text).unwrap().contains("<svg"));
    }

    #[test]
    fn a_forged_ticket_is_not_a_ticket() {
        let key = verifier();
        let good = base45_decode(&signer().sign(&claims())).unwrap();
        // Changing any byte of claims or signature invalidates the ticket.
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            let refused = verify_ticket(&base45_encode(&forged), &key, STARTS_AT);
            let expected = match at {
                KEY_ID_AT => InvalidTicket::Unknown,
                _ => InvalidTicket::Forged,
            };
            assert_eq!(refused, Err(expected), "byte {at}");
        }
        let other = TicketSigner::new(&TicketKeys::new(1, [6; 32])).sign(&claims());
        assert_eq!(
            verify_ticket(&other, &key, STARTS_AT),
            Err(InvalidTicket::Forged)
        );
        let unsigned = base45_encode(&claims().pack(1));
        assert_eq!(
            verify_ticket(&unsigned, &key, STARTS_AT),
            Err(InvalidTicket::Unreadable)
        );
        for text in ["", "A", "not a ticket", ":::", "{\"ticket\": 1}"] {
            assert_eq!(
                verify_ticket(text, &key, STARTS_AT),
                Err(InvalidTicket::Unreadable)
            );
        }
    }

    #[test]
    fn tickets_of_earlier_keys_stay_good_and_later_ones_are_said_to_be_new() {
        let sold = signer().sign(&claims());
        let earlier = signer().key.verifying_key().to_bytes();
        let keys = TicketKeys::new(2, [8; 32]);
        let new = TicketSigner::new(&keys).sign(&claims());
        let both = TicketVerifier::new(&keys.with_earlier(1, &earlier).unwrap());
        for text in [&sold, &new] {
            assert_eq!(verify_ticket(text, &both, STARTS_AT), Ok(claims()));
        }
        let old_scanner = verify_ticket(&new, &verifier(), STARTS_AT);
        assert_eq!(old_scanner, Err(InvalidTicket::Unknown));
    }

    #[test]
    fn a_ticket_is_only_good_around_its_show() {
        let text = signer().sign(&claims());
        let key = verifier();
        let hours = |n: u64| std::time::Duration::from_secs(n * 3600);
        for (now, valid) in [
            (STARTS_AT.minus(hours(13)), false),
            (STARTS_AT.minus(hours(11)), true),
            (STARTS_AT.plus(hours(30)), true),
            (ENDS_AT.plus(hours(11)), true),
            (ENDS_AT.plus(hours(13)), false),
        ] {
            assert_eq!(verify_ticket(&text, &key, now).is_ok(), valid, "{now}");
        }
    }

    #[test]
    fn base45_is_that_of_rfc_9285() {
        assert_eq!(base45_encode(b"AB"), "BB8");
        assert_eq!(base45_encode(b"Hello!!"), "%69 VD92EX0");
        assert_eq!(base45_decode("QED8WEX0").unwrap(), b"ietf!");
        assert_eq!(base45_decode("GGX"), None);
    }

    proptest! {
        #[test]
        fn base45_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(base45_decode(&base45_encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,200}") {
            let key = verifier();
            prop_assert!(verify_ticket(&text, &key, STARTS_AT).is_err());
        }
    }
}
