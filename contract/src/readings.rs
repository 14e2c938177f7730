//! Paths that servers read in more than one way.
//!
//! [`SafePath`](crate::path::SafePath) refuses them. A service may still have such paths: names with an
//! encoded slash, in Latin-1, with doubled slashes. They can be passed on where each reading belongs to
//! the same room, so this module says what a segment may be read as. Readings that go up, that are
//! decoded twice, or that may be anything are refused here too.

use crate::path::{AmbiguousPath, PATH_BYTES_MAX, decode_bytes, encodes_a_byte, fold};

/// What servers may read a segment as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// This name, in the form that comparisons use.
    Name(String),
    /// Nothing: some servers leave the segment out, and others do not.
    Nothing,
    /// A name like this, and possibly further segments below it.
    Like(Pattern),
}

/// A name in which some characters are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The known parts in lower case; anything may be between them.
    parts: Vec<String>,
}

impl Pattern {
    fn of(bytes: &[u8]) -> Self {
        let parts = bytes.split(|byte| !byte.is_ascii());
        let text = |part: &[u8]| String::from_utf8_lossy(part).to_ascii_lowercase();
        Self {
            parts: parts.map(text).collect(),
        }
    }

    /// Whether some server may read this as `name`, which is in the form that comparisons use.
    pub fn may_be(&self, name: &str) -> bool {
        let [first, rest @ ..] = self.parts.as_slice() else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return first == name;
        };
        let Some(mut left) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in middle {
            let Some(at) = left.find(part.as_str()) else {
                return false;
            };
            left = &left[at + part.len()..];
        }
        left.ends_with(last.as_str())
    }
}

/// What servers may read each segment of `raw` as.
pub fn readings(raw: &str) -> Result<Vec<Reading>, AmbiguousPath> {
    if raw.len() > PATH_BYTES_MAX {
        return Err(AmbiguousPath::TooLong);
    }
    let rest = raw.strip_prefix('/').ok_or(AmbiguousPath::NotAbsolute)?;
    // A service may take what follows for the name of a host.
    if rest.starts_with(['/', '\\']) {
        return Err(AmbiguousPath::BadSegment);
    }
    rest.split('/').map(reading).collect()
}

fn reading(segment: &str) -> Result<Reading, AmbiguousPath> {
    let bytes = decode_bytes(segment)?;
    if encodes_a_byte(&bytes) {
        return Err(AmbiguousPath::EncodedTwice);
    }
    if bytes.iter().any(u8::is_ascii_control) || has_overlong(&bytes) {
        return Err(AmbiguousPath::ForbiddenCharacter);
    }
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let parts: Vec<&[u8]> = bytes.split(is_separator).collect();
    if parts.iter().any(|part| may_go_up(part)) {
        return Err(AmbiguousPath::BadSegment);
    }
    match (parts.as_slice(), std::str::from_utf8(&bytes)) {
        ([b"" | b"."], _) => Ok(Reading::Nothing),
        ([_], Ok(text)) => fold(text).map(Reading::Name),
        ([only], Err(_)) => Ok(Reading::Like(Pattern::of(named(only)))),
        // Nobody can say where it leads when the first of several is left out.
        ([b"" | b".", ..] | [], _) => Err(AmbiguousPath::BadSegment),
        ([first, ..], _) => Ok(Reading::Like(Pattern::of(named(first)))),
    }
}

/// A segment without parameters, and without the dots and spaces at its end.
fn named(segment: &[u8]) -> &[u8] {
    let name = segment.split(|byte| *byte == b';').next();
    let name = name.unwrap_or_default();
    let end = name.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
    &name[..end.map_or(0, |end| end + 1)]
}

/// Whether a server may read a segment as one that leads up: nothing is left of it but dots, when
/// parameters and what is not ASCII are dropped.
fn may_go_up(segment: &[u8]) -> bool {
    if matches!(segment, b"" | b".") {
        return false;
    }
    let name = segment.split(|byte| *byte == b';').next();
    let mut known = name
        .unwrap_or_default()
        .iter()
        .filter(|byte| byte.is_ascii());
    let is_bare = name.unwrap_or_default().is_ascii();
    let only_dots = known.clone().all(|byte| matches!(byte, b'.' | b' '));
    only_dots && (is_bare || known.any(|byte| *byte == b'.'))
}

/// Whether some decoder reads an ASCII character, such as a slash, from bytes beyond ASCII: longer
/// forms than UTF-8 allows.
fn has_overlong(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| {
        matches!(
            pair,
            [0xC0 | 0xC1 | 0xF8..=0xFF, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Reading {
        Reading::Name(text.to_owned())
    }

    fn like(bytes: &[u8]) -> Reading {
        Reading::Like(Pattern::of(bytes))
    }

    #[test]
    fn a_segment_is_read_as_a_name_as_nothing_or_as_something_like_one() {
        for (raw, expected) in [
            ("/artists/AC%2FDC", vec![name("artists"), like(b"AC")]),
            ("/caf%E9", vec![like(b"caf\xE9")]),
            (
                "/img//logo.png",
                vec![name("img"), Reading::Nothing, name("logo.png")],
            ),
            ("/a/./b", vec![name("a"), Reading::Nothing, name("b")]),
            ("/x%5Cy", vec![like(b"x")]),
            ("/a/", vec![name("a"), Reading::Nothing]),
            ("/", vec![Reading::Nothing]),
        ] {
            assert_eq!(readings(raw).unwrap(), expected, "{raw}");
        }
    }

    #[test]
    fn what_may_lead_anywhere_is_refused() {
        for raw in [
            "//evil.test/a",
            "/%2Fevil.test/a",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/..;x/b",
            "/a/x%2F..%2Fb",
            "/a/x%5C..%5Cb",
            "/a/%E9../b",
            "/a/.%E9./b",
            "/a/%20/b",
            "/a/;x/b",
            "/a%252Fb",
            "/a%00b",
            "/a%0ab",
            "/%c0%ae%c0%ae/b",
            "/%c0%af/b",
            "/%e0%80%ae/b",
            "/%f0%80%80%af/b",
            "/a%",
            "a",
        ] {
            assert!(readings(raw).is_err(), "{raw}: {:?}", readings(raw));
        }
    }

    #[test]
    fn what_is_not_known_of_a_name_may_be_anything() {
        for (pattern, name, expected) in [
            (&b"caf\xE9"[..], "checkout", false),
            (b"caf\xE9", "café", true),
            (b"caf\xE9", "caf", true),
            (b"check\xE9out", "checkout", true),
            (b"CHECK\xE9\xE8out", "check-it-out", true),
            (b"\xE9", "checkout", true),
            (b"a\xE9b\xE9c", "a1b2c", true),
            (b"a\xE9b\xE9c", "abc", true),
            (b"a\xE9b\xE9c", "acb", false),
            (b"ab\xE9ba", "aba", false),
            (b"AC", "ac", true),
            (b"AC", "acdc", false),
        ] {
            assert_eq!(
                Pattern::of(pattern).may_be(name),
                expected,
                "{pattern:?} {name}"
            );
        }
    }
}
