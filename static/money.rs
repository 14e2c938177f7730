//! Amounts of money, formatted for people.

/// Currencies of ISO 4217 without minor units.
const NO_MINOR_UNIT: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];
/// Currencies with three decimal places.
const THOUSANDTHS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
/// Symbols that stand for one currency only. Other currencies are written by their code.
const SIGNS: &[(&str, &str)] = &[
    ("EUR", "€"),
    ("GBP", "£"),
    ("INR", "₹"),
    ("JPY", "¥"),
    ("KRW", "₩"),
    ("USD", "$"),
];

/// Decimal places of the minor unit of `currency`.
pub fn minor_digits(currency: &str) -> u32 {
    if NO_MINOR_UNIT.contains(&currency) {
        0
    } else if THOUSANDTHS.contains(&currency) {
        3
    } else {
        2
    }
}

/// `amount_minor` with its currency, such as `₹2,499` or `€12.50`.
///
/// Whole amounts have no decimals; Indian rupees are grouped in lakhs and crores.
pub fn money(amount_minor: i64, currency: &str) -> String {
    let unit = 10_u64.pow(minor_digits(currency));
    let amount = amount_minor.unsigned_abs();
    let (whole, part) = (amount / unit, amount % unit);
    let sign = if amount_minor < 0 { "−" } else { "" };
    let mut text = group(whole, if currency == "INR" { 2 } else { 3 });
    if part > 0 {
        let digits = minor_digits(currency) as usize;
        text = format!("{text}.{part:0digits$}");
    }
    match SIGNS.iter().find(|(code, _)| *code == currency) {
        Some((_, symbol)) => format!("{sign}{symbol}{text}"),
        None => format!("{sign}{currency}\u{a0}{text}"),
    }
}

/// `amount_minor` for programs: `2499.00`, `123456`.
pub fn decimal(amount_minor: i64, currency: &str) -> String {
    let digits = minor_digits(currency) as usize;
    let unit = 10_u64.pow(minor_digits(currency));
    let amount = amount_minor.unsigned_abs();
    let sign = if amount_minor < 0 { "-" } else { "" };
    match digits {
        0 => format!("{sign}{amount}"),
        _ => format!("{sign}{}.{:0digits$}", amount / unit, amount % unit),
    }
}

/// Digits with commas: the last three together, those before in groups of `size`.
fn group(number: u64, size: usize) -> String {
    let digits = number.to_string();
    let (head, tail) = digits.split_at(digits.len().saturating_sub(3));
    let mut parts = vec![tail];
    let mut head = head;
    while !head.is_empty() {
        let (rest, part) = head.split_at(head.len().saturating_sub(size));
        parts.push(part);
        head = rest;
    }
    parts.reverse();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        for (minor, currency, text) in [
            (249_900, "INR", "₹2,499"),
            (1_234_567_800, "INR", "₹1,23,45,678"),
            (1_250, "EUR", "€12.50"),
            (5, "USD", "$0.05"),
            (-100, "GBP", "−£1"),
            (123_456, "JPY", "¥123,456"),
            (1_234, "KWD", "KWD\u{a0}1.234"),
            (123_456_700, "CHF", "CHF\u{a0}1,234,567"),
            (0, "INR", "₹0"),
        ] {
            assert_eq!(money(minor, currency), text);
        }
        assert_eq!(decimal(249_905, "INR"), "2499.05");
        assert_eq!(decimal(123_456, "JPY"), "123456");
        assert_eq!(decimal(5, "KWD"), "0.005");
    }
}
