//! E-mail addresses.

use email_address::{EmailAddress, Options};

/// Longest address that mail servers accept, in bytes.
const LENGTH_MAX: usize = 254;

/// The address in `text`, if a mail server might accept it: one mailbox of RFC 5321, or of RFC 6531
/// with letters of any script. Surrounding space and invisible characters that come with copied
/// text are removed.
pub(crate) fn read(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim();
    let options = Options::default()
        .with_required_tld()
        .without_domain_literal()
        .without_display_text();
    let address = EmailAddress::parse_with_options(text, options).ok()?;
    let local = address.local_part();
    let printable = !local.chars().any(|c| c.is_whitespace() || c.is_control());
    // A domain with non-ASCII letters must have a valid form for the DNS.
    let known_to_dns = idna::domain_to_ascii_strict(address.domain()).is_ok();
    (text.len() <= LENGTH_MAX && printable && known_to_dns).then(|| text.to_owned())
}

/// Zero-width and direction marks, and soft hyphens. Joiners are kept, because some scripts need
/// them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_passes() {
        for text in [
            "fan@example.com",
            "  fan+tag@mail.example  ",
            "o'neil+vip@example.co.uk",
            "fan@m\u{fc}nchen.example",
            "\u{7528}\u{6237}@\u{4f8b}\u{5b50}.example",
            "first.last@sub.domain.example",
            "fan@xn--mnchen-3ya.example",
        ] {
            assert_eq!(read(text).as_deref(), Some(text.trim()), "{text:?}");
        }
    }

    #[test]
    fn what_no_mail_server_takes_is_refused() {
        let long = format!("{}@a.example", "x".repeat(260));
        for text in [
            "",
            "fan",
            "@example.com",
            "fan@",
            "fan@example",
            "fan@exa mple.com",
            "f an@example.com",
            "fan@@example.com",
            "a@b@example.com",
            "a@example.com,b@example.com",
            "a,b@example.com",
            "a@example.com;b@example.com",
            "fan@example..com",
            "fan..two@example.com",
            ".fan@example.com",
            "fan@.example.com",
            "fan@example.com.",
            "\"fan\"<fan@example.com>",
            "Fan <fan@example.com>",
            "<fan@example.com>",
            "fan\n@example.com",
            "fan@example.com\r\nbcc: x@example.com",
            "a\0@example.com",
            "fan@-example.com",
            "fan@[127.0.0.1]",
            &long,
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_left_out() {
        for text in [
            "fan@example.com\u{200b}",
            "\u{feff}fan@example.com",
            "fan\u{ad}@example.com",
        ] {
            assert_eq!(read(text).as_deref(), Some("fan@example.com"), "{text:?}");
        }
    }
}
