//! Amounts of money, for people.

use crate::console::grouped;

/// An amount with its currency, such as `INR 15,000.00`.
pub(crate) fn money_text(minor: i64, currency: &str) -> String {
    let decimals: u32 = match currency {
        "CLP" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" | "XAF" | "XOF" | "XPF" | "ISK" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(decimals);
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    let whole = grouped(whole);
    match usize::try_from(decimals) {
        Ok(width) if width > 0 => format!("{currency} {sign}{whole}.{rest:0width$}"),
        _ => format!("{currency} {sign}{whole}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_currencys_decimals() {
        for (minor, currency, text) in [
            (1_500_000, "INR", "INR 15,000.00"),
            (5, "USD", "USD 0.05"),
            (5000, "JPY", "JPY 5,000"),
            (1234, "KWD", "KWD 1.234"),
            (-250, "EUR", "EUR -2.50"),
        ] {
            assert_eq!(money_text(minor, currency), text);
        }
    }
}
