//! Telephone numbers. Pure.

/// The number that `text` writes with its country, in the form of E.164: `+` and 7 to 15 digits.
/// Spaces, dots, dashes and brackets are left out, and `00` may stand for `+`. A number without its
/// country is refused: nobody knows which country is meant.
pub(crate) fn read(text: &str) -> Option<String> {
    let mut digits = String::from("+");
    let mut letters = text.trim().chars();
    let is_international = match letters.next()? {
        '+' => true,
        '0' => letters.next()? == '0',
        _ => false,
    };
    if !is_international {
        return None;
    }
    for letter in letters {
        match letter {
            '0'..='9' => digits.push(letter),
            ' ' | '\u{a0}' | '.' | '-' | '(' | ')' | '/' => {}
            _ => return None,
        }
    }
    let is_number = (8..=16).contains(&digits.len()) && !digits.starts_with("+0");
    is_number.then_some(digits)
}

/// A number of which only the country and the last two digits are seen.
pub(crate) fn hidden(phone: &str) -> String {
    let (head, tail) = phone.split_at(phone.len().min(3));
    let end = tail.get(tail.len().saturating_sub(2)..).unwrap_or_default();
    format!("{head}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_their_country_are_read_as_people_write_them() {
        for (text, number) in [
            ("+49 151 1234567", "+491511234567"),
            ("0091 98765-43210", "+919876543210"),
            (" +1 (415) 555.0100 ", "+14155550100"),
        ] {
            assert_eq!(read(text).as_deref(), Some(number), "{text}");
        }
        for text in [
            "",
            "+",
            "0151 1234567",
            "4915112345678",
            "+0151123456",
            "+49 151 CALLME",
            "+1234567890123456",
            "+123456",
            "+49151\u{202e}1234567",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn little_of_a_number_is_told() {
        assert_eq!(hidden("+4915112345678"), "+49…78");
        assert_eq!(hidden("+1"), "+1…");
    }
}
