//! Links to bookings, and one-time codes. Pure but for the key.
//!
//! Both are computed from ids with keys of the installation, so that the database holds neither: who
//! reads it can neither open a booking nor cancel one. A link carries the booking, the number of its
//! generation, the transfer by which its reader got tickets (nothing for the buyer) and a MAC;
//! raising the generation revokes all earlier links.

use std::time::Duration;

use contract::{BookingId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::config::TicketKeys;

/// Domain separation of the keys.
const LINKS: &[u8] = b"ropeline booking link v1\0";
const ACCESS: &[u8] = b"ropeline app access v1\0";
const CODES: &[u8] = b"ropeline one-time code v1\0";
/// How long after the end of the show a link opens its booking: for receipts and questions.
pub(crate) const LINK_GRACE: Duration = Duration::from_hours(30 * 24);
/// Bytes of the MAC in a link.
const MAC_BYTES: usize = 16;
/// Booking and generation. The transfer follows in links of holders who are not the buyer.
const CLAIMS_BYTES: usize = 16 + 4;
/// The same with the transfer.
const HOLDER_CLAIMS_BYTES: usize = CLAIMS_BYTES + 16;
/// There are so many codes.
const CODE_COUNT: u64 = 1_000_000;
/// There are so many codes of apps. Whoever guesses these needs no link, and may try many addresses.
const APP_CODE_COUNT: u64 = 100_000_000;

/// What a link opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) booking_id: Uuid,
    pub(crate) generation: i32,
    /// The transfer by which its reader got tickets; `None` for the buyer.
    pub(crate) holder: Option<Uuid>,
}

/// The keys of links and codes.
#[derive(Clone)]
pub(crate) struct LinkKeys {
    links: [u8; 32],
    codes: [u8; 32],
    access: [u8; 32],
}

impl LinkKeys {
    /// The keys of the installation whose tickets are signed with `keys`.
    pub(crate) fn new(keys: &TicketKeys) -> Self {
        Self {
            links: mac(&keys.seed, &[LINKS]),
            codes: mac(&keys.seed, &[CODES]),
            access: mac(&keys.seed, &[ACCESS]),
        }
    }

    /// The token of a link.
    pub(crate) fn token(&self, link: Link) -> String {
        let mut bytes = Vec::with_capacity(HOLDER_CLAIMS_BYTES + MAC_BYTES);
        bytes.extend_from_slice(link.booking_id.as_bytes());
        bytes.extend_from_slice(&link.generation.to_be_bytes());
        if let Some(holder) = link.holder {
            bytes.extend_from_slice(holder.as_bytes());
        }
        let mac = mac(&self.links, &[&bytes]);
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The link with this token, if it is one of ours. Whether it was revoked or has ended, the
    /// booking tells.
    pub(crate) fn read(&self, token: &str) -> Option<Link> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (claims, tag) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        if ![CLAIMS_BYTES, HOLDER_CLAIMS_BYTES].contains(&claims.len()) {
            return None;
        }
        let mut expected = keyed(&self.links);
        expected.update(claims);
        expected.verify_truncated_left(tag).ok()?;
        Some(Link {
            booking_id: Uuid::from_slice(claims.get(..16)?).ok()?,
            generation: i32::from_be_bytes(claims.get(16..20)?.try_into().ok()?),
            holder: match claims.get(CLAIMS_BYTES..)? {
                [] => None,
                holder => Some(Uuid::from_slice(holder).ok()?),
            },
        })
    }

    /// The access token of an app's session, good until `ends_at`.
    pub(crate) fn access_token(&self, session_id: Uuid, ends_at: Timestamp) -> String {
        let mut bytes = session_id.as_bytes().to_vec();
        bytes.extend_from_slice(&ends_at.as_ms().to_be_bytes());
        let mac = mac(&self.access, &[&bytes]);
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The session of an access token that is one of ours and still good. Whether the session was
    /// revoked, the database tells.
    pub(crate) fn read_access(&self, token: &str, now: Timestamp) -> Option<Uuid> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (claims, tag) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let (session, ends_at) = claims.split_at_checked(16)?;
        let mut expected = keyed(&self.access);
        expected.update(claims);
        expected.verify_truncated_left(tag).ok()?;
        let ends_at = Timestamp::from_ms(i64::from_be_bytes(ends_at.try_into().ok()?));
        (now < ends_at)
            .then(|| Uuid::from_slice(session).ok())
            .flatten()
    }

    /// The six digits of the code with this id.
    pub(crate) fn code(&self, code_id: Uuid) -> String {
        format!("{:06}", self.number(code_id) % CODE_COUNT)
    }

    /// The eight digits of the code of an app with this id.
    pub(crate) fn app_code(&self, code_id: Uuid) -> String {
        format!("{:08}", self.number(code_id) % APP_CODE_COUNT)
    }

    /// The modulo of it favours no code by more than one in 10^11.
    fn number(&self, code_id: Uuid) -> u64 {
        let mac = mac(&self.codes, &[code_id.as_bytes()]);
        let mut number = [0; 8];
        number.copy_from_slice(&mac[..8]);
        u64::from_be_bytes(number)
    }

    /// Whether `text` is the code with this id, in a time that does not tell how much of it is. People
    /// write spaces into codes.
    pub(crate) fn is_code(&self, code_id: Uuid, text: &str) -> bool {
        is_same(text, &self.code(code_id))
    }

    /// The same of the code of an app.
    pub(crate) fn is_app_code(&self, code_id: Uuid, text: &str) -> bool {
        is_same(text, &self.app_code(code_id))
    }

    /// A digest of an address, so that mails to it can be counted without storing it once more.
    pub(crate) fn address(&self, email: &str) -> Vec<u8> {
        mac(
            &self.codes,
            &[b"address\0", email.to_lowercase().as_bytes()],
        )
        .to_vec()
    }
}

fn is_same(text: &str, expected: &str) -> bool {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let differs = |(a, b): (u8, u8)| a ^ b;
    text.len() == expected.len()
        && text
            .bytes()
            .zip(expected.bytes())
            .map(differs)
            .fold(0, |all, one| all | one)
            == 0
}

/// The last instant at which a link to a booking of a show opens it.
pub(crate) fn link_ends_at(show_ends_at: Timestamp) -> Timestamp {
    show_ends_at.plus(LINK_GRACE)
}

/// The path of a booking's page for whoever has the link.
pub(crate) fn link_path(token: &str) -> String {
    format!("/b/{token}")
}

/// An address of which only the first letter and the domain are seen.
pub(crate) fn hidden(email: &str) -> String {
    let (user, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = user.chars().take(1).collect();
    format!("{first}…@{domain}")
}

/// A booking's code, as people write it: in any case, with spaces and dashes.
pub(crate) fn booking_code(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .take(32)
        .collect()
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The booking of a link, for logs, which must not have its token.
impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        BookingId::new(self.booking_id).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seed: u8) -> LinkKeys {
        LinkKeys::new(&TicketKeys::new(1, [seed; 32]))
    }

    #[test]
    fn a_link_opens_its_booking_and_no_other() {
        let buyers = Link {
            booking_id: Uuid::from_u128(7),
            generation: 3,
            holder: None,
        };
        opens_only(buyers);
        let holder = Some(Uuid::from_u128(9));
        opens_only(Link { holder, ..buyers });
    }

    fn opens_only(link: Link) {
        let token = keys(1).token(link);
        assert_eq!(keys(1).read(&token), Some(link));
        assert_eq!(keys(2).read(&token), None);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                keys(1).read(&String::from_utf8(forged).unwrap()),
                None,
                "{at}"
            );
        }
        for text in ["", "a", &token[1..], &format!("{token}A"), "ä"] {
            assert_eq!(keys(1).read(text), None, "{text}");
        }
    }

    #[test]
    fn an_access_token_is_good_for_its_session_and_time() {
        let (session, ends_at) = (Uuid::from_u128(7), Timestamp::from_ms(1_000));
        let token = keys(1).access_token(session, ends_at);
        let at = |ms| keys(1).read_access(&token, Timestamp::from_ms(ms));
        assert_eq!((at(999), at(1_000)), (Some(session), None));
        assert_eq!(keys(2).read_access(&token, Timestamp::from_ms(0)), None);
        // A link is no access token, and an access token no link.
        let link = Link {
            booking_id: session,
            generation: 0,
            holder: None,
        };
        let link = keys(1).token(link);
        assert_eq!(keys(1).read_access(&link, Timestamp::from_ms(0)), None);
        assert_eq!(keys(1).read(&token), None);
        for cut in ["", "a", &token[1..]] {
            assert_eq!(
                keys(1).read_access(cut, Timestamp::from_ms(0)),
                None,
                "{cut}"
            );
        }
    }

    #[test]
    fn codes_are_six_digits_that_only_the_installation_knows() {
        let id = Uuid::from_u128(7);
        let code = keys(1).code(id);
        assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()));
        assert!(keys(1).is_code(id, &format!(" {} {} ", &code[..3], &code[3..])));
        assert!(!keys(1).is_code(id, ""));
        assert!(!keys(1).is_code(id, &code[1..]));
        assert!(!keys(2).is_code(id, &code));
        assert!(!keys(1).is_code(Uuid::from_u128(8), &code));
        let codes: std::collections::BTreeSet<String> = (0..1000)
            .map(|id| keys(1).code(Uuid::from_u128(id)))
            .collect();
        assert!(codes.len() > 980, "{}", codes.len());
    }

    #[test]
    fn little_of_an_address_is_told() {
        assert_eq!(hidden("fan@example.com"), "f…@example.com");
        assert_eq!(hidden("ö@x.example"), "ö…@x.example");
        let keys = keys(1);
        assert_eq!(
            keys.address("Fan@Example.com"),
            keys.address("fan@example.com")
        );
        assert_ne!(
            keys.address("fan@example.com"),
            keys.address("fan@example.org")
        );
    }

    #[test]
    fn codes_of_bookings_are_read_as_people_write_them() {
        assert_eq!(booking_code(" bcd-fgh 23x "), "BCDFGH23X");
    }
}
