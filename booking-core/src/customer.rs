//! The customer of a request: the owners that it may act for.

use contract::cookies::{SESSION, SESSION_SECURE};
use contract::principal::{self, Principal};
use contract::{PlaceId, RoomId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, HeaderValue};
use pages::letters::{DEFAULT_LANGUAGE, language_of};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::links::Link;
use crate::store::idempotency::KeyUse;

/// Domain separation of sessions that are derived from a key.
const SESSION_OF_KEY: &[u8] = b"ropeline session of a key v1\0";
/// Lifetime of the session cookie, so that a fan can find the booking on the day of the show.
const COOKIE_MAX_AGE_SECONDS: u32 = 400 * 24 * 3600;

/// A browser's session: 128 random bits that only the browser knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session([u8; 16]);

impl Session {
    /// The session with these bits.
    pub const fn new(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// The session derived from the use of a key with a secret of the installation.
    pub(crate) fn of_key(secret: &[u8; 32], key_use: &KeyUse) -> Self {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac.update(SESSION_OF_KEY);
        for part in [&key_use.principal, &key_use.key] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(&key_use.fingerprint);
        let mut bits = [0; 16];
        bits.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Self(bits)
    }

    /// The form in the database. It cannot be turned back into the session, so reading the database
    /// is not enough to act as the customer.
    pub fn digest(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.0)[..18])
    }

    /// The principal of the session's idempotency keys.
    pub(crate) fn principal(&self) -> String {
        format!("session:{}", self.digest())
    }

    /// The header that sets the session cookie.
    pub fn set_cookie(&self, secure: bool) -> HeaderValue {
        let (name, tail) = if secure {
            (SESSION_SECURE, "; Secure")
        } else {
            (SESSION, "")
        };
        let value = BASE64URL_NOPAD.encode(&self.0);
        let text = format!(
            "{name}={value}; Path=/; Max-Age={COOKIE_MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax{tail}"
        );
        // Base64url and the attribute names are valid in a header.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The owners of a request: the place of every pass, and the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    principals: Vec<Principal>,
    session: Option<Session>,
    /// The booking that a link opens.
    link: Option<Link>,
    /// The session of an app.
    app: Option<Uuid>,
    /// The language of the browser, of those that letters are written in; `None` for English.
    language: Option<&'static str>,
}

impl Customer {
    /// Reads the customer from `headers`. The gateway guarantees that the pass headers are genuine.
    pub fn read(headers: &HeaderMap, secure: bool) -> Self {
        Self::of(principal::read(headers), headers, secure)
    }

    /// The customer with these passes and the session of `headers`.
    pub(crate) fn of(principals: Vec<Principal>, headers: &HeaderMap, secure: bool) -> Self {
        Self {
            principals,
            session: session_cookie(headers, secure),
            link: None,
            app: None,
            language: language_in(headers),
        }
    }

    /// Whether nothing can belong to this customer, who has neither session nor pass.
    pub(crate) fn is_unknown(&self) -> bool {
        self.principals.is_empty()
            && self.session.is_none()
            && self.link.is_none()
            && self.app.is_none()
    }

    /// The language in which the customer is told things, unless it is English.
    pub(crate) fn language(&self) -> Option<&'static str> {
        self.language
    }

    /// This customer with `session`.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// This customer with a link whose signature is good.
    #[must_use]
    pub(crate) fn with_link(mut self, link: Option<Link>) -> Self {
        self.link = link;
        self
    }

    /// This customer with the session of an app whose access token is good.
    #[must_use]
    pub(crate) fn with_app(mut self, app: Option<Uuid>) -> Self {
        self.app = app;
        self
    }

    /// The session of the customer's app.
    pub(crate) fn app(&self) -> Option<Uuid> {
        self.app
    }

    /// The link to this booking that the customer has. Whether it was revoked, the booking tells.
    pub(crate) fn link_to(&self, booking_id: Uuid) -> Option<Link> {
        self.link.filter(|link| link.booking_id == booking_id)
    }

    /// The session, if the browser has one.
    pub fn session(&self) -> Option<Session> {
        self.session
    }

    /// The place of the fan inside `room`. A pass whose session has ended admits to nothing, but
    /// still owns its holds and bookings: see [`Customer::owns`].
    pub fn subject_in(&self, room: &RoomId) -> Option<PlaceId> {
        self.principals
            .iter()
            .find(|principal| principal.is_live && principal.room == *room)
            .map(|principal| principal.subject)
    }

    /// When the session in `room` ends; `None` without a live session.
    pub fn session_end(&self, room: &RoomId) -> Option<Timestamp> {
        self.principals
            .iter()
            .find(|principal| principal.is_live && principal.room == *room)
            .map(|principal| principal.expires_at)
    }

    /// The subjects of every pass, in the form of the database.
    pub fn subjects(&self) -> Vec<String> {
        self.principals
            .iter()
            .map(|principal| principal.subject.to_string())
            .collect()
    }

    /// The owners whose ticket limits count this customer's holds.
    pub(crate) fn limit_owners(&self) -> Vec<String> {
        let subjects = self
            .subjects()
            .into_iter()
            .map(|it| limit_owner_of_place(&it));
        let session = self.session_digest();
        subjects
            .chain(session.map(|it| limit_owner_of_session(&it)))
            .collect()
    }

    /// What this customer is known by within one process: a place, else the session.
    pub(crate) fn name(&self) -> Option<String> {
        let place = self.subjects().into_iter().next();
        place.or_else(|| self.session_digest())
    }

    /// The digest of the session, in the form of the database.
    pub fn session_digest(&self) -> Option<String> {
        self.session.as_ref().map(Session::digest)
    }

    /// Whether a hold or booking of `subject` or `session` is this customer's.
    pub(crate) fn owns(&self, subject: Option<&str>, session: Option<&str>) -> bool {
        let by_subject = subject.is_some_and(|subject| {
            self.principals
                .iter()
                .any(|principal| principal.subject.to_string() == subject)
        });
        by_subject || (session.is_some() && self.session_digest().as_deref() == session)
    }

    /// The principals of this customer's idempotency keys, at least one: the session, and the place
    /// of a pass. A customer with neither is identified by address and browser, which others may
    /// share.
    pub(crate) fn key_principals(&self, headers: &HeaderMap) -> Vec<String> {
        let session = self.session.as_ref().map(Session::principal);
        // The smallest, so that the order in which passes are presented does not matter.
        let subject = self.subjects().into_iter().min();
        let mut names: Vec<String> = session
            .into_iter()
            .chain(subject.map(|subject| format!("subject:{subject}")))
            .collect();
        if names.is_empty() {
            let mut hash = Sha256::new();
            for name in ["x-forwarded-for", "user-agent"] {
                for value in headers.get_all(name) {
                    hash.update(value.as_bytes());
                }
                hash.update([0]);
            }
            let digest = BASE64URL_NOPAD.encode(&hash.finalize()[..18]);
            names.push(format!("address:{digest}"));
        }
        names
    }
}

/// The limit owner of holds that were made with a pass for the place `subject`.
pub(crate) fn limit_owner_of_place(subject: &str) -> String {
    format!("place:{subject}")
}

/// The limit owner of holds that were made with a session and without a pass.
pub(crate) fn limit_owner_of_session(digest: &str) -> String {
    format!("session:{digest}")
}

/// The language of a browser, unless it is English.
pub(crate) fn language_in(headers: &HeaderMap) -> Option<&'static str> {
    let accepted = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
    let language = language_of(accepted);
    (language != DEFAULT_LANGUAGE).then_some(language)
}

fn session_cookie(headers: &HeaderMap, secure: bool) -> Option<Session> {
    let wanted = if secure { SESSION_SECURE } else { SESSION };
    web::cookie::cookies(headers)
        .filter(|(name, _)| *name == wanted)
        .find_map(|(_, value)| {
            BASE64URL_NOPAD
                .decode(value.as_bytes())
                .ok()?
                .try_into()
                .ok()
        })
        .map(Session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    #[test]
    fn a_session_reads_back_from_its_cookie() {
        let session = Session::new([9; 16]);
        for secure in [false, true] {
            let set = session.set_cookie(secure);
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, format!("theme=dark; {pair}").parse().unwrap());
            assert_eq!(Customer::read(&headers, secure).session(), Some(session));
            assert_eq!(Customer::read(&headers, !secure).session(), None);
        }
    }

    #[test]
    fn an_odd_cookie_hides_no_session() {
        let session = Session::new([9; 16]);
        let set = session.set_cookie(false);
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        let header = [b"name=Zo\xeb; ", pair.as_bytes()].concat();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(&header).unwrap());
        assert_eq!(Customer::read(&headers, false).session(), Some(session));
    }

    #[test]
    fn only_an_owner_owns() {
        let mine = Session::new([1; 16]);
        let customer = Customer::default().with_session(mine);
        assert!(customer.owns(None, Some(&mine.digest())));
        assert!(!customer.owns(None, Some(&Session::new([2; 16]).digest())));
        assert!(!customer.owns(Some("AAAAAAAAAAAAAAAAAAAAAA"), None));
        assert!(!Customer::default().owns(None, None));
    }
}
