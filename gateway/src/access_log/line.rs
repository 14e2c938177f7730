//! A line of the access log, in the forms that it may have.
//!
//! A line is ASCII, whatever a client sent, and ends with the only line feed in it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use contract::Timestamp;

/// The form of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Combined Log Format, as Apache and nginx write it.
    #[default]
    Combined,
    /// One JSON document a line.
    Json,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was handed to the client's connection as a whole.
    Complete,
    /// The client left before.
    ClientGone,
    /// It broke off where it comes from.
    Broke,
}

/// What is written of a request. Bytes are as the client sent them.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// When it came.
    pub(super) at: Timestamp,
    pub(super) client: IpAddr,
    pub(super) method: &'a [u8],
    /// Without the query.
    pub(super) path: &'a [u8],
    pub(super) protocol: &'a str,
    pub(super) host: Option<&'a [u8]>,
    pub(super) referer: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) is_encrypted: bool,
    pub(super) status: u16,
    /// Of the answer's body.
    pub(super) bytes: u64,
    /// Until the end of the answer.
    pub(super) took: Duration,
    /// Until the upstream had answered.
    pub(super) upstream: Option<Duration>,
    pub(super) room: Option<&'a str>,
    pub(super) decision: Option<&'a str>,
    pub(super) request_id: &'a str,
    pub(super) end: End,
}

/// Most characters of a method.
const METHOD_MAX: usize = 32;
/// Most characters of a path.
pub(super) const PATH_MAX: usize = 2048;
/// Most characters of any other text of a client.
pub(super) const TEXT_MAX: usize = 512;
/// Follows what was cut off.
const CUT: &str = "...";

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client-gone",
            Self::Broke => "broke",
        }
    }
}

impl Line<'_> {
    /// The line in this form, with its line feed.
    pub(super) fn written(&self, form: Form) -> Vec<u8> {
        let mut text = String::with_capacity(512);
        match form {
            Form::Combined => self.combined(&mut text),
            Form::Json => self.json(&mut text),
        }
        text.push('\n');
        text.into_bytes()
    }

    fn combined(&self, text: &mut String) {
        // Writing into a string cannot fail, here and below.
        let _ = write!(text, "{} - - [{}] \"", self.client, common_time(self.at));
        quoted(text, self.method, METHOD_MAX);
        text.push(' ');
        quoted(text, self.path, PATH_MAX);
        let _ = write!(
            text,
            " {}\" {} {} \"",
            self.protocol, self.status, self.bytes
        );
        quoted(text, or_none(self.referer), TEXT_MAX);
        text.push_str("\" \"");
        quoted(text, or_none(self.user_agent), TEXT_MAX);
        text.push('"');
    }

    fn json(&self, text: &mut String) {
        let _ = write!(
            text,
            "{{\"time\":\"{}\",\"client\":\"{}\"",
            self.at, self.client
        );
        member(text, "method", Some(self.method), METHOD_MAX);
        member(text, "host", self.host, TEXT_MAX);
        member(text, "path", Some(self.path), PATH_MAX);
        let _ = write!(
            text,
            ",\"protocol\":\"{}\",\"tls\":{},\"status\":{},\"bytes\":{},\"seconds\":{:.6}",
            self.protocol,
            self.is_encrypted,
            self.status,
            self.bytes,
            self.took.as_secs_f64()
        );
        if let Some(upstream) = self.upstream {
            let _ = write!(text, ",\"upstreamSeconds\":{:.6}", upstream.as_secs_f64());
        }
        member(text, "room", self.room.map(str::as_bytes), TEXT_MAX);
        member(text, "decision", self.decision.map(str::as_bytes), TEXT_MAX);
        let id = self.request_id.as_bytes();
        member(text, "requestId", Some(id), TEXT_MAX);
        member(text, "referer", self.referer, TEXT_MAX);
        member(text, "userAgent", self.user_agent, TEXT_MAX);
        let _ = write!(text, ",\"end\":\"{}\"}}", self.end.as_str());
    }
}

/// What says nothing is a hyphen in the combined form.
fn or_none(text: Option<&[u8]>) -> &[u8] {
    text.filter(|text| !text.is_empty()).unwrap_or(b"-")
}

/// A time as the Common Log Format has it, such as `01/Dec/2026:10:57:06 +0000`.
fn common_time(at: Timestamp) -> String {
    let form = time::macros::format_description!(
        "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000"
    );
    // Every time between the years 0 and 9999 can be written so.
    time::OffsetDateTime::from(at)
        .format(form)
        .unwrap_or_default()
}

/// Adds `bytes` to a text in quotes: what is no visible ASCII, a quote or a backslash is written as
/// `\xHH`, as nginx does. At most `max` characters.
fn quoted(text: &mut String, bytes: &[u8], max: usize) {
    let end = text.len() + max;
    for &byte in bytes {
        let is_plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if text.len() + if is_plain { 1 } else { 4 } > end {
            text.push_str(CUT);
            return;
        }
        if is_plain {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
}

/// Adds a member to a JSON object, if there is a value: what is no UTF-8 is replaced, and what is no
/// visible ASCII is escaped. At most `max` characters.
fn member(text: &mut String, name: &str, bytes: Option<&[u8]>, max: usize) {
    let Some(bytes) = bytes else { return };
    let _ = write!(text, ",\"{name}\":\"");
    let end = text.len() + max;
    for c in String::from_utf8_lossy(bytes).chars() {
        let mut units = [0; 2];
        let is_plain = (' '..='~').contains(&c) && c != '"' && c != '\\';
        let length = if is_plain { 1 } else { 6 * c.len_utf16() };
        if text.len() + length > end {
            text.push_str(CUT);
            break;
        }
        if is_plain {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn line<'a>(path: &'a [u8], agent: Option<&'a [u8]>) -> Line<'a> {
        Line {
            at: Timestamp::from_ms(1_796_122_626_789),
            client: "192.0.2.1".parse().unwrap(),
            method: b"GET",
            path,
            protocol: "HTTP/1.1",
            host: Some(b"shop.test"),
            referer: None,
            user_agent: agent,
            is_encrypted: true,
            status: 200,
            bytes: 5,
            took: Duration::from_micros(1500),
            upstream: Some(Duration::from_micros(900)),
            room: Some("eras"),
            decision: Some("let-through"),
            request_id: "ab-1",
            end: End::Complete,
        }
    }

    fn text(line: &Line<'_>, form: Form) -> String {
        String::from_utf8(line.written(form)).unwrap()
    }

    /// The fields of a line in the combined form, read as strictly as can be: one line of visible
    /// ASCII with nine fields, the last two and the request in quotes with no quote inside.
    fn read(text: &str) -> Vec<&str> {
        let line = text.strip_suffix('\n').unwrap();
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text}"
        );
        let (client, rest) = line.split_once(" - - [").unwrap();
        assert!(client.parse::<IpAddr>().is_ok(), "{text}");
        let (time, rest) = rest.split_once("] \"").unwrap();
        assert!(time.ends_with(" +0000") && time.len() == 26, "{text}");
        let parts: Vec<&str> = rest.split('"').collect();
        assert_eq!(parts.len(), 6, "{text}");
        assert_eq!((parts[3], parts[5]), (" ", ""), "{text}");
        let (status, bytes) = parts[1].trim().split_once(' ').unwrap();
        assert!(status.parse::<u16>().is_ok() && bytes.parse::<u64>().is_ok());
        vec![client, time, parts[0], status, bytes, parts[2], parts[4]]
    }

    #[test]
    fn a_line_is_what_readers_of_the_combined_form_expect() {
        assert_eq!(
            text(&line(b"/a", Some(b"curl/8")), Form::Combined),
            "192.0.2.1 - - [01/Dec/2026:10:57:06 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl/8\"\n"
        );
        assert_eq!(
            text(&line(b"/a", None), Form::Json),
            "{\"time\":\"2026-12-01T10:57:06.789Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\",\
             \"host\":\"shop.test\",\"path\":\"/a\",\"protocol\":\"HTTP/1.1\",\"tls\":true,\
             \"status\":200,\"bytes\":5,\"seconds\":0.001500,\"upstreamSeconds\":0.000900,\
             \"room\":\"eras\",\"decision\":\"let-through\",\"requestId\":\"ab-1\",\
             \"end\":\"complete\"}\n"
        );
    }

    #[test]
    fn hostile_bytes_forge_no_line_and_no_field() {
        let forged = b"x\" 200 1 \"-\" \"-\"\n192.0.2.9 - - [\\\x1b[31m\x7f\xff\xc3\xa9\r\0";
        let line = line(b"/a\"b\n", Some(forged));
        let combined = text(&line, Form::Combined);
        assert_eq!(read(&combined)[2], "GET /a\\x22b\\x0A HTTP/1.1");
        assert_eq!(
            read(&combined)[6],
            "x\\x22 200 1 \\x22-\\x22 \\x22-\\x22\\x0A192.0.2.9 - - [\\x5C\\x1B[31m\\x7F\\xFF\\xC3\
             \\xA9\\x0D\\x00"
        );
        let json = text(&line, Form::Json);
        assert_eq!(json.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["path"], "/a\"b\n");
        assert_eq!(read["userAgent"], *String::from_utf8_lossy(forged));
        assert_eq!(read["status"], 200);
    }

    #[test]
    fn what_is_long_is_cut_off() {
        let path = vec![b'\xff'; 60_000];
        let line = line(&path, Some(&path));
        for form in [Form::Combined, Form::Json] {
            let text = text(&line, form);
            assert!(text.len() < PATH_MAX + 3 * TEXT_MAX, "{}", text.len());
            assert!(text.contains(CUT), "{text}");
        }
        serde_json::from_str::<Value>(&text(&line, Form::Json)).unwrap();
        read(&text(&line, Form::Combined));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_one_line(
            path in prop::collection::vec(any::<u8>(), 0..80),
            agent in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let line = line(&path, Some(&agent));
            read(&text(&line, Form::Combined));
            let json = text(&line, Form::Json);
            prop_assert!(json[..json.len() - 1].bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&read["path"], &*String::from_utf8_lossy(&path));
            prop_assert_eq!(&read["userAgent"], &*String::from_utf8_lossy(&agent));
        }
    }
}
