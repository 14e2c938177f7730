//! Access codes as people type them: read out, on a phone, with another keyboard.

use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;

/// Whether `given` is one of `codes`, however it is spelled: spaces around it, the case of letters,
/// their width, and whether an accent is a character of its own make no difference.
///
/// All codes are compared, each in constant time, so that the time tells nothing.
pub fn is_one_of(given: &str, codes: &[String]) -> bool {
    let given = spelling(given);
    let known = codes.iter().fold(false, |known, code| {
        known | bool::from(spelling(code).as_bytes().ct_eq(given.as_bytes()))
    });
    // A code of nothing but what is not seen would be everyone's.
    known && !given.is_empty()
}

/// The one spelling of a code. Upper case first, because some letters have one only there (`ß`).
fn spelling(code: &str) -> String {
    let seen = code.nfkc().filter(|char| !is_unseen(*char));
    let folded: String = seen
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect();
    folded.trim().to_owned()
}

/// Characters that are copied along and never seen: soft hyphen, zero-width ones, byte order mark.
const fn is_unseen(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets_in(code: &str, given: &str) -> bool {
        is_one_of(given, &["other".to_owned(), code.to_owned()])
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        for (code, given) in [
            ("summer24", "summer24"),
            ("summer24", "SUMMER24"),
            ("summer24", "summer24 "),
            ("summer24", "\u{3000}Ｓｕｍｍｅｒ２４"),
            ("summer24", "summer24\u{200b}"),
            ("caf\u{65}\u{301}", "CAF\u{e9}"),
            ("Straße", "STRASSE"),
        ] {
            assert!(lets_in(code, given), "{given:?} for {code:?}");
        }
    }

    #[test]
    fn another_code_is_not() {
        for given in ["", " ", "\u{200b}", "summer", "summer 24", "summer245"] {
            assert!(!lets_in("summer24", given), "{given:?}");
        }
        assert!(!lets_in("\u{200b}", "\u{200b}"));
        assert!(!is_one_of("summer24", &[]));
    }
}
