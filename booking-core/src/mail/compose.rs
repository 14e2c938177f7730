//! Messages with their headers. Pure.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, MultiPartKind, SinglePart};
use lettre::{Address, Message};

use super::settings::Sender;
use crate::channels::told::{Attachment, Stamp};

/// Longest subject, in characters.
const SUBJECT_CHARS_MAX: usize = 160;

/// What a fan reads, and the address it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) attachments: Vec<Attachment>,
}

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Composed {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) bytes: Vec<u8>,
}

impl Composed {
    /// Whether the server has to take addresses with letters beyond ASCII. Domains are in ASCII, so
    /// only the part before the `@` can need it.
    pub(crate) fn needs_utf8(&self) -> bool {
        !self.to.user().is_ascii()
    }
}

/// The message with `letter` from `sender`; the same bytes for the same stamp. Fails for an address
/// that cannot be written.
pub(crate) fn compose(
    sender: &Sender,
    letter: &Letter,
    stamp: Stamp<'_>,
) -> Result<Composed, String> {
    let to = address(&letter.to)?;
    let milliseconds = u64::try_from(stamp.at.as_ms()).unwrap_or(0);
    let parts = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        // The id occurs in no text, so neither does the boundary.
        .boundary(format!("=_{}", stamp.notice_id.simple()))
        .singlepart(SinglePart::plain(letter.text.clone()))
        .singlepart(SinglePart::html(letter.html.clone()));
    let parts = enclosed(parts, &letter.attachments, stamp)?;
    let message = Message::builder()
        .from(sender.0.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(one_line(&letter.subject, SUBJECT_CHARS_MAX))
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
        .message_id(Some(format!("<{}>", stamp.message_id)))
        // Nobody's holiday notice is to answer it: RFC 3834.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(parts)
        .map_err(|error| error.to_string())?;
    Ok(Composed {
        from: sender.0.email.clone(),
        to,
        bytes: message.formatted(),
    })
}

/// `text` with the files beside it.
fn enclosed(text: MultiPart, files: &[Attachment], stamp: Stamp<'_>) -> Result<MultiPart, String> {
    if files.is_empty() {
        return Ok(text);
    }
    let mut parts = MultiPart::builder()
        .kind(MultiPartKind::Mixed)
        .boundary(format!("=m_{}", stamp.notice_id.simple()))
        .multipart(text);
    for file in files {
        let media_type = ContentType::parse(file.media_type).map_err(|error| error.to_string())?;
        // Always in base64: lines of a calendar file must keep their ends.
        let body = Body::new_with_encoding(file.bytes.clone(), ContentTransferEncoding::Base64)
            .map_err(|_| format!("{} cannot be encoded", file.name))?;
        let named = lettre::message::Attachment::new(file.name.clone());
        parts = parts.singlepart(named.body(body, media_type));
    }
    Ok(parts)
}

/// `text` as an address whose domain is in ASCII, as the DNS has it, so that servers without
/// SMTPUTF8 take it wherever possible.
fn address(text: &str) -> Result<Address, String> {
    let told = |error: &dyn std::fmt::Display| format!("the address cannot be used: {error}");
    let (user, domain) = text.rsplit_once('@').ok_or_else(|| told(&"no @"))?;
    let domain = idna::domain_to_ascii_strict(domain).map_err(|error| told(&error))?;
    Address::new(user, domain).map_err(|error| told(&error))
}

/// `text` on one line: control characters, line ends and marks that change the direction of
/// writing become spaces. Cut to `chars_max`.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let cleaned: String = text
        .chars()
        .map(|c| if is_bad(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = cleaned.split_whitespace().collect();
    words.join(" ").chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use contract::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn letter(to: &str, subject: &str) -> Letter {
        Letter {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: "Grüße\n".to_owned(),
            attachments: Vec::new(),
            html: "<p>Gr\u{fc}\u{df}e</p>".to_owned(),
        }
    }

    fn composed(to: &str, subject: &str) -> Composed {
        let sender = Sender::read("Ticket Büro <tickets@shop.example>").unwrap();
        let stamp = Stamp {
            notice_id: Uuid::from_u128(7),
            message_id: "booking-confirmed.7@shop.example",
            at: Timestamp::from_ms(1_790_000_000_000),
        };
        compose(&sender, &letter(to, subject), stamp).unwrap()
    }

    fn headers(message: &Composed) -> String {
        let text = String::from_utf8(message.bytes.clone()).unwrap();
        text.split_once("\r\n\r\n").unwrap().0.to_owned()
    }

    #[test]
    fn a_message_is_the_same_at_every_attempt() {
        let message = composed("fan@example.com", "Your tickets");
        assert_eq!(
            message.bytes,
            composed("fan@example.com", "Your tickets").bytes
        );
        let headers = headers(&message);
        for line in [
            "Message-ID: <booking-confirmed.7@shop.example>",
            "Date: Mon, 21 Sep 2026 14:13:20 +0000",
            "To: fan@example.com",
            "Subject: Your tickets",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(headers.lines().any(|it| it == line), "{line}: {headers}");
        }
        assert!(headers.is_ascii(), "{headers}");
    }

    #[test]
    fn no_title_adds_a_header() {
        for subject in [
            "Show\r\nBcc: spy@example.com",
            "Show\nBcc: spy@example.com",
            "Show\rBcc: spy@example.com",
            "Show\u{2028}Bcc: spy@example.com",
            "Sh\u{f6}w\r\n\r\n<script>",
            &format!("{}\r\nBcc: spy@example.com", "x".repeat(70)),
        ] {
            let headers = headers(&composed("fan@example.com", subject));
            let injected = headers.lines().any(|line| line.starts_with("Bcc"));
            assert!(!injected, "{subject:?}: {headers}");
        }
    }

    #[test]
    fn subjects_of_any_script_are_encoded_words() {
        let headers = headers(&composed("fan@example.com", "चाय पे चर्चा – Düsseldorf"));
        assert!(headers.contains("Subject: =?utf-8?"), "{headers}");
        assert!(headers.is_ascii(), "{headers}");
        assert!(headers.lines().all(|line| line.len() <= 100), "{headers}");
    }

    #[test]
    fn an_international_domain_needs_no_smtputf8_and_a_name_does() {
        let domain = composed("fan@m\u{fc}nchen.example", "x");
        assert!(!domain.needs_utf8());
        assert!(headers(&domain).contains("To: fan@xn--mnchen-3ya.example"));
        let name = composed("\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example", "x");
        assert!(name.needs_utf8());
        assert!(headers(&name).contains("To: \u{7528}\u{6237}@xn--fsqu00a.example"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_written() {
        let sender = Sender::read("tickets@shop.example").unwrap();
        let stamp = Stamp {
            notice_id: Uuid::nil(),
            message_id: "a@b",
            at: Timestamp::from_ms(0),
        };
        for to in [
            "fan",
            "fan@",
            "@a.example",
            "a@b.example\r\nBcc: x@y.example",
            "a b@c.example",
        ] {
            assert!(compose(&sender, &letter(to, "x"), stamp).is_err(), "{to:?}");
        }
    }
}
