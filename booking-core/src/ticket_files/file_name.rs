//! File names in `Content-Disposition` (RFC 6266), with letters of any script (RFC 8187).

use data_encoding::HEXUPPER;
use http::HeaderValue;

/// Longest part of a name that is taken from a title, in characters: file systems allow 255 bytes,
/// and a character has up to 4.
const TITLE_CHARS_MAX: usize = 50;
/// Characters that some file system or shell gives a meaning.
const RESERVED: &[char] = &['/', '\\', ':', '*', '?', '"', '<', '>', '|', '%', '~'];

/// What a browser does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Shows it, if it can.
    Inline,
    /// Saves it or hands it to another program.
    Attachment,
}

/// The header for the file of a booking of `title` with this code.
///
/// Clients that do not know `filename*` use the plain name, which has ASCII characters only.
pub(crate) fn content_disposition(
    disposition: Disposition,
    title: &str,
    code: &str,
    ending: &str,
) -> HeaderValue {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let full = clean(title);
    let ascii = |letter: char| if letter.is_ascii() { letter } else { ' ' };
    let plain = named(
        &clean(&full.chars().map(ascii).collect::<String>()),
        code,
        ending,
    );
    let full = named(&full, code, ending);
    let text = format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{}",
        encoded(&full)
    );
    // Both names are free of control characters and quotes, and ASCII.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// The name of the file of a booking of `title` with this code.
pub(crate) fn file_name(title: &str, code: &str, ending: &str) -> String {
    named(&clean(title), code, ending)
}

fn named(title: &str, code: &str, ending: &str) -> String {
    match title {
        "" => format!("{code}.{ending}"),
        title => format!("{title} {code}.{ending}"),
    }
}

/// `title` without characters that do not belong into a file name: reserved ones, control
/// characters, and those that change the direction of text and so could hide the ending.
fn clean(title: &str) -> String {
    let allowed = |letter: char| {
        if letter.is_control() || letter.is_whitespace() || RESERVED.contains(&letter) {
            ' '
        } else {
            letter
        }
    };
    let readable = title.chars().filter(|letter| !is_invisible(*letter));
    let spaced: String = readable.map(allowed).collect();
    let joined = spaced.split(' ').filter(|word| !word.is_empty());
    let joined = joined.collect::<Vec<_>>().join(" ");
    let short: String = joined.chars().take(TITLE_CHARS_MAX).collect();
    // Files whose names begin with a dot are hidden.
    short.trim_start_matches(['.', ' ']).trim_end().to_owned()
}

/// Direction marks, embeddings, overrides and isolates, and characters without a shape.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
    )
}

/// `name` as the value of an extended parameter.
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(["%", &HEXUPPER.encode(&[byte])]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(title: &str) -> String {
        let value = content_disposition(Disposition::Inline, title, "QX7-4KD", "pdf");
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_plain_title_is_the_name() {
        assert_eq!(
            header("The Eras Tour"),
            "inline; filename=\"The Eras Tour QX7-4KD.pdf\"; \
             filename*=UTF-8''The%20Eras%20Tour%20QX7-4KD.pdf"
        );
        let saved = content_disposition(Disposition::Attachment, "Eras", "QX7-4KD", "ics");
        assert!(saved.to_str().unwrap().starts_with("attachment; "));
    }

    #[test]
    fn letters_of_any_script_are_in_the_extended_name() {
        assert_eq!(
            header("東京 Live"),
            "inline; filename=\"Live QX7-4KD.pdf\"; \
             filename*=UTF-8''%E6%9D%B1%E4%BA%AC%20Live%20QX7-4KD.pdf"
        );
        assert!(header("कार्यक्रम").starts_with("inline; filename=\"QX7-4KD.pdf\"; "));
    }

    #[test]
    fn nothing_in_a_title_can_hide_the_ending_or_leave_the_directory() {
        for (title, plain) in [
            ("../../etc/passwd", "etc passwd"),
            ("a\"; filename=\"b.exe", "a ; filename= b.exe"),
            ("line\r\nbreak: x", "line break x"),
            ("tour\u{202e}fdp.exe", "tourfdp.exe"),
            (".hidden", "hidden"),
        ] {
            let expected = format!("filename=\"{plain} QX7-4KD.pdf\"");
            assert!(header(title).contains(&expected), "{}", header(title));
        }
    }

    proptest! {
        #[test]
        fn any_title_makes_a_header_of_bounded_length(title in ".{0,300}") {
            let value = header(&title);
            prop_assert!(value.len() < 1000);
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(value.ends_with("QX7-4KD.pdf"));
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
        }
    }
}
