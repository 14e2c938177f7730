//! Paths that every server reads the same way.
//!
//! The gate compares a request's path with the protected prefixes. If the upstream read the same
//! bytes as another path, a fan without a pass could name a protected page in a way that the gate
//! does not recognise. Such paths are refused before anything looks at them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Longest path, in bytes as sent.
pub const PATH_BYTES_MAX: usize = 8 * 1024;

/// A path with one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafePath<'a> {
    decoded: Cow<'a, str>,
    /// `None` for a plain path: its segments are read as they stand.
    folded: Option<Folded>,
}

/// A protected part of a site: a path and everything below it.
///
/// Protection ignores case, path parameters (`;v=1`) and dots and spaces at the end of a segment,
/// because some servers do: a prefix covers rather too much than too little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    text: String,
    folded: Folded,
}

/// Why a path has no single reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousPath {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It is longer than [`PATH_BYTES_MAX`].
    #[error("the path is too long")]
    TooLong,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the path has an incomplete percent-encoding")]
    BrokenEncoding,
    /// Decoding once leaves something that could be decoded again.
    #[error("the path is percent-encoded twice")]
    EncodedTwice,
    /// The decoded bytes are not UTF-8; overlong forms of `/` and `.` are among these.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A control character or backslash, or an encoded slash.
    #[error("the path has a control character, a backslash or an encoded slash")]
    ForbiddenCharacter,
    /// A segment is empty or consists of dots.
    #[error("the path has an empty segment or one of dots only")]
    BadSegment,
}

/// The segments of a path in the form that comparisons use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Folded(Vec<String>);

impl SafePath<'_> {
    /// The path, percent-decoded.
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// The path's segments, in the form in which [`PathPrefix::names`] are compared with them.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let folded = self.folded.as_ref().map_or(&[][..], |folded| &folded.0);
        let plain = self.folded.is_none().then(|| segments_of(&self.decoded).0);
        let plain = plain.into_iter().flatten().map(|segment| {
            let name = name_of(segment);
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(name)
            }
        });
        plain.chain(folded.iter().map(|name| Cow::Borrowed(name.as_str())))
    }

    /// Whether this is the path of `prefix` or one below it.
    pub fn is_within(&self, prefix: &PathPrefix) -> bool {
        if let Some(folded) = &self.folded {
            return folded.0.starts_with(&prefix.folded.0);
        }
        let (mut segments, _) = segments_of(&self.decoded);
        prefix.folded.0.iter().all(|wanted| {
            let name = segments.next().map(name_of);
            name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        })
    }
}

impl PathPrefix {
    /// The prefix of every path.
    pub fn root() -> Self {
        Self {
            text: "/".to_owned(),
            folded: Folded::default(),
        }
    }

    /// The prefix as configured, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The prefix's segments, in the form that comparisons use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.folded.0.iter().map(String::as_str)
    }

    /// Number of segments: of two prefixes that both match, the one with more is nearer.
    pub fn depth(&self) -> usize {
        self.folded.0.len()
    }

    /// Whether both protect the same paths, however they are spelled.
    pub fn is_same(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl<'a> SafePath<'a> {
    /// Reads a path as it was sent.
    pub fn parse(raw: &'a str) -> Result<Self, AmbiguousPath> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(AmbiguousPath::TooLong);
        }
        if !raw.starts_with('/') {
            return Err(AmbiguousPath::NotAbsolute);
        }
        if raw.bytes().all(is_plain) {
            return Self::plain(raw);
        }
        Self::spelled(raw)
    }

    /// Reads a path of plain characters, which is what it says.
    fn plain(raw: &'a str) -> Result<Self, AmbiguousPath> {
        if segments_of(raw)
            .0
            .any(|segment| name_of(segment).is_empty())
        {
            return Err(AmbiguousPath::BadSegment);
        }
        Ok(Self {
            decoded: raw.into(),
            folded: None,
        })
    }

    /// Reads a path whose characters may stand for others.
    fn spelled(raw: &str) -> Result<Self, AmbiguousPath> {
        let (segments, has_final_slash) = segments_of(raw);
        let mut decoded = String::with_capacity(raw.len());
        let mut folded = Vec::new();
        for segment in segments {
            let segment = decode(segment)?;
            folded.push(fold(&segment)?);
            decoded.push('/');
            decoded.push_str(&segment);
        }
        if has_final_slash || decoded.is_empty() {
            decoded.push('/');
        }
        Ok(Self {
            decoded: decoded.into(),
            folded: Some(Folded(folded)),
        })
    }
}

impl FromStr for PathPrefix {
    type Err = AmbiguousPath;

    fn from_str(text: &str) -> Result<Self, AmbiguousPath> {
        if !text.starts_with('/') {
            return Err(AmbiguousPath::NotAbsolute);
        }
        if text.len() > PATH_BYTES_MAX {
            return Err(AmbiguousPath::TooLong);
        }
        let path = SafePath::spelled(text)?;
        let trimmed = match path.decoded.trim_end_matches('/') {
            "" => "/",
            trimmed => trimmed,
        };
        Ok(Self {
            text: trimmed.to_owned(),
            folded: path.folded.unwrap_or_default(),
        })
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Letters, digits and marks that no server takes for anything else.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'~' | b'.' | b'-')
}

/// The segments of a path that begins with a slash, and whether it ends with one more: a slash at
/// the end does not make a segment.
fn segments_of(path: &str) -> (impl Iterator<Item = &str>, bool) {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let shorter = rest.strip_suffix('/');
    let has_segments = !rest.is_empty();
    let segments = shorter.unwrap_or(rest).split('/');
    (segments.filter(move |_| has_segments), shorter.is_some())
}

/// A segment without the dots and spaces at its end, which some servers ignore.
fn name_of(segment: &str) -> &str {
    segment.trim_end_matches(['.', ' '])
}

/// Percent-decodes one segment, once.
fn decode(segment: &str) -> Result<String, AmbiguousPath> {
    let bytes = decode_bytes(segment)?;
    if encodes_a_byte(&bytes) {
        return Err(AmbiguousPath::EncodedTwice);
    }
    let text = String::from_utf8(bytes).map_err(|_| AmbiguousPath::NotUtf8)?;
    if text.contains(|c: char| c.is_control() || c == '/' || c == '\\') {
        return Err(AmbiguousPath::ForbiddenCharacter);
    }
    Ok(text)
}

/// Whether `bytes` could be percent-decoded.
pub(crate) fn encodes_a_byte(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| encoded_byte(&bytes[at..]).is_some())
}

/// Percent-decodes one segment, once, whatever its bytes stand for.
pub(crate) fn decode_bytes(segment: &str) -> Result<Vec<u8>, AmbiguousPath> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let byte = encoded_byte(rest).ok_or(AmbiguousPath::BrokenEncoding)?;
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Ok(bytes)
}

/// The byte that `%XX` at the beginning of `bytes` stands for.
fn encoded_byte(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// The form of a segment in which all its spellings are the same.
pub(crate) fn fold(segment: &str) -> Result<String, AmbiguousPath> {
    let without_parameters = segment.split(';').next().unwrap_or_default();
    let name = name_of(without_parameters);
    if name.is_empty() {
        return Err(AmbiguousPath::BadSegment);
    }
    // Upper-casing first also folds letters such as the long s, which have no lower case of
    // their own but become an ordinary letter in between.
    Ok(name
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(raw: &str) -> Result<SafePath<'_>, AmbiguousPath> {
        SafePath::parse(raw)
    }

    #[test]
    fn ordinary_paths_are_decoded() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/shows/a", "/shows/a"),
            ("/shows/", "/shows/"),
            ("/caf%C3%A9/a%20b", "/café/a b"),
            ("/100%25", "/100%"),
            ("/.well-known/x..y", "/.well-known/x..y"),
            ("/a;v=1/b", "/a;v=1/b"),
        ] {
            assert_eq!(path(raw).unwrap().as_str(), decoded);
        }
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        use AmbiguousPath as Why;
        for (raw, why) in [
            ("", Why::NotAbsolute),
            ("*", Why::NotAbsolute),
            ("//", Why::BadSegment),
            ("//evil", Why::BadSegment),
            ("/a//b", Why::BadSegment),
            ("/a//", Why::BadSegment),
            ("/.", Why::BadSegment),
            ("/a/./b", Why::BadSegment),
            ("/a/../b", Why::BadSegment),
            ("/a/..", Why::BadSegment),
            ("/a/%2e%2E/b", Why::BadSegment),
            ("/a/.%2e/b", Why::BadSegment),
            ("/a/..;/b", Why::BadSegment),
            ("/a/..%3bx/b", Why::BadSegment),
            ("/;x/b", Why::BadSegment),
            ("/a/%20/b", Why::BadSegment),
            ("/a%2fb", Why::ForbiddenCharacter),
            ("/a%2Fb", Why::ForbiddenCharacter),
            ("/a%5cb", Why::ForbiddenCharacter),
            ("/a\\b", Why::ForbiddenCharacter),
            ("/a%00", Why::ForbiddenCharacter),
            ("/a%0d%0ab", Why::ForbiddenCharacter),
            ("/a%7f", Why::ForbiddenCharacter),
            ("/a%252fb", Why::EncodedTwice),
            ("/%252e%252e/b", Why::EncodedTwice),
            ("/%2561dmin", Why::EncodedTwice),
            ("/a%", Why::BrokenEncoding),
            ("/a%2", Why::BrokenEncoding),
            ("/a%zz", Why::BrokenEncoding),
            ("/%c0%ae%c0%ae/b", Why::NotUtf8),
            ("/%ff", Why::NotUtf8),
        ] {
            assert_eq!(path(raw), Err(why), "{raw}");
        }
        assert_eq!(
            path(&format!("/{}", "a".repeat(PATH_BYTES_MAX))),
            Err(Why::TooLong)
        );
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let prefix: PathPrefix = "/shows/a/".parse().unwrap();
        assert_eq!(prefix.as_str(), "/shows/a");
        for (raw, expected) in [
            ("/shows/a", true),
            ("/shows/a/", true),
            ("/shows/a/b", true),
            ("/shows/ab", false),
            ("/shows", false),
            ("/", false),
        ] {
            assert_eq!(path(raw).unwrap().is_within(&prefix), expected, "{raw}");
        }
        let all: PathPrefix = "/".parse().unwrap();
        assert!(path("/").unwrap().is_within(&all));
        assert!(path("/anything").unwrap().is_within(&all));
    }

    #[test]
    fn no_spelling_that_a_server_may_fold_gets_around_a_prefix() {
        let prefix: PathPrefix = "/Shows/Café".parse().unwrap();
        for raw in [
            "/SHOWS/caf%C3%A9",
            "/%73hows/CAF%C3%89",
            "/shows;v=1/caf%C3%A9;x/b",
            "/shows./caf%C3%A9%20",
            "/%C5%BFhows/caf%C3%A9",
        ] {
            assert!(path(raw).unwrap().is_within(&prefix), "{raw}");
        }
    }

    fn percent(text: &str, upper: bool) -> String {
        let encode = |byte: &u8| {
            if upper {
                format!("%{byte:02X}")
            } else {
                format!("%{byte:02x}")
            }
        };
        text.as_bytes().iter().map(encode).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_panic(raw in ".{0,64}") {
            if let Ok(safe) = path(&raw) {
                let has_dots = safe.as_str().split('/').any(|part| part == "." || part == "..");
                prop_assert!(!has_dots);
                prop_assert!(!safe.as_str().contains("//"));
                prop_assert!(!safe.as_str().contains(['\\', '\0', '\r', '\n']));
            }
        }

        #[test]
        fn plain_paths_are_read_as_all_others_are(
            raw in "(/[a-cA-C_~.-]{0,3}){0,4}/{0,2}",
            depth in 0usize..4,
        ) {
            let raw = format!("/{}", raw.strip_prefix('/').unwrap_or(&raw));
            let (plain, spelled) = (SafePath::plain(&raw), SafePath::spelled(&raw));
            prop_assert_eq!(plain.as_ref().err(), spelled.as_ref().err());
            if let (Ok(plain), Ok(spelled)) = (plain, spelled) {
                prop_assert_eq!(plain.as_str(), spelled.as_str());
                let above: Vec<_> = raw.split('/').take(depth + 1).map(name_of).collect();
                let prefix: PathPrefix = format!("/{}", above.join("/").trim_matches('/'))
                    .to_uppercase()
                    .parse()
                    .unwrap();
                prop_assert!(plain.is_within(&prefix) && spelled.is_within(&prefix));
                let beside: PathPrefix = format!("{raw}x").parse().unwrap();
                prop_assert_eq!(plain.is_within(&beside), spelled.is_within(&beside));
            }
        }

        #[test]
        fn encoding_letters_does_not_get_around_a_prefix(
            segments in proptest::collection::vec("[a-z]{1,6}", 1..4),
            encoded in proptest::collection::vec(any::<bool>(), 4),
            upper in any::<bool>(),
        ) {
            let prefix: PathPrefix = format!("/{}", segments.join("/")).parse().unwrap();
            let spelled: String = segments
                .iter()
                .zip(&encoded)
                .map(|(segment, encoded)| {
                    let segment =
                        if upper { segment.to_uppercase() } else { segment.clone() };
                    if *encoded { format!("/{}", percent(&segment, upper)) } else { format!("/{segment}") }
                })
                .collect();
            prop_assert!(path(&spelled).unwrap().is_within(&prefix));
            let below = format!("{spelled}/below");
            prop_assert!(path(&below).unwrap().is_within(&prefix));
            let beside = format!("{spelled}x");
            prop_assert!(!path(&beside).unwrap().is_within(&prefix));
        }

        #[test]
        fn a_detour_is_refused_wherever_it_stands(
            before in "(/[a-z]{1,5}){0,3}",
            detour in prop_oneof!["/\\.\\.", "/%2e\\.", "/%252e%252e", "/%2f", "/\\.\\.;a", "/"],
            after in "(/[a-z]{1,5}){1,3}",
        ) {
            let raw = format!("{before}{detour}{after}");
            prop_assert!(path(&raw).is_err(), "{raw}");
        }
    }
}
