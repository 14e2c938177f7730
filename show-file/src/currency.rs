//! How amounts are counted. Ours are minor units of ISO 4217; the provider counts some currencies
//! in units of its own.

/// Currencies of ISO 4217 that the provider charges in, by code: its published list without codes
/// that the standard has withdrawn. Codes of precious metals, funds and tests are none of them.
/// A currency may need an agreement with the provider all the same.
#[rustfmt::skip]
pub(crate) const CHARGED: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BHD",
    "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP",
    "CNY", "COP", "CRC", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "FJD",
    "FKP", "GBP", "GEL", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR",
    "ILS", "INR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KRW", "KWD", "KYD",
    "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP",
    "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR",
    "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR",
    "SBD", "SCR", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SZL", "THB", "TJS", "TND", "TOP",
    "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VND", "VUV", "WST", "XAF",
    "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW",
];
/// The least that the provider charges, as it counts, where it publishes one. It is for accounts
/// that are paid out in that currency; others have to reach the minimum of their own after
/// conversion, which nobody here can know.
const LEAST: &[(i64, &[&str])] = &[
    (30, &["GBP"]),
    (
        50,
        &[
            "ARS", "AUD", "BRL", "CAD", "CHF", "COP", "EUR", "IDR", "ILS", "INR", "JPY", "KRW",
            "NZD", "PHP", "RUB", "SGD", "USD", "ZAR",
        ],
    ),
    (200, &["AED", "MYR", "PLN", "RON"]),
    (250, &["DKK"]),
    (300, &["NOK", "SEK"]),
    (400, &["HKD"]),
    (1000, &["MXN", "THB"]),
    (1500, &["CZK"]),
    (17_500, &["HUF"]),
];
/// The most that every way to pay takes, as the provider counts: so many digits.
const MOST: i64 = 99_999_999;
/// Currencies in which it takes more digits.
const MOST_BUT: &[(&str, i64)] = &[
    ("COP", 9_999_999_999),
    ("IDR", 999_999_999_999),
    ("INR", 999_999_999),
];
/// Currencies that ISO 4217 gives no minor unit and the provider counts in hundredths, of which
/// it takes whole units only.
const IN_HUNDREDTHS: &[&str] = &["ISK", "UGX"];
/// Currencies that ISO 4217 counts in hundredths and the provider in whole units.
const IN_WHOLE_UNITS: &[&str] = &["MGA"];
/// Currencies with thousandths, of which the provider takes whole hundredths only.
const WITH_THOUSANDTHS: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];

/// Whether amounts in `currency` can be charged.
pub fn is_charged(currency: &str) -> bool {
    CHARGED.binary_search(&currency).is_ok()
}

/// The least and the most that can be charged at once, in our minor units.
pub fn limits(currency: &str) -> (i64, i64) {
    let least = LEAST.iter().find(|(_, of)| of.contains(&currency));
    let most = MOST_BUT.iter().find(|(code, _)| *code == currency);
    (
        from_provider(least.map_or(1, |(least, _)| *least), currency).max(1),
        from_provider(most.map_or(MOST, |(_, most)| *most), currency),
    )
}

/// The smallest amount that can be charged or given back, in our minor units.
pub fn finest(currency: &str) -> i64 {
    let counts = |amount: &i64| to_provider(*amount, currency).is_some();
    [1, 10, 100].into_iter().find(counts).unwrap_or(1)
}

/// The provider's count of `amount_minor`; `None` if it has none, because it does not take so
/// small a part of the currency, or so much.
pub fn to_provider(amount_minor: i64, currency: &str) -> Option<i64> {
    if IN_HUNDREDTHS.contains(&currency) {
        amount_minor.checked_mul(100)
    } else if IN_WHOLE_UNITS.contains(&currency) {
        (amount_minor % 100 == 0).then_some(amount_minor / 100)
    } else if WITH_THOUSANDTHS.contains(&currency) {
        (amount_minor % 10 == 0).then_some(amount_minor)
    } else {
        Some(amount_minor)
    }
}

/// The minor units of an `amount` as the provider counts it. Parts that ISO 4217 does not know
/// are dropped: the provider takes none.
pub fn from_provider(amount: i64, currency: &str) -> i64 {
    if IN_HUNDREDTHS.contains(&currency) {
        amount / 100
    } else if IN_WHOLE_UNITS.contains(&currency) {
        amount.saturating_mul(100)
    } else {
        amount
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_that_nobody_is_charged_in_are_none() {
        assert!(CHARGED.is_sorted(), "the list is searched");
        for code in ["USD", "INR", "KWD", "UGX", "XOF", "XCG"] {
            assert!(is_charged(code), "{code}");
        }
        for code in ["QQQ", "XXX", "XTS", "XAU", "usd", "BGN", "ANG", ""] {
            assert!(!is_charged(code), "{code}");
        }
    }

    #[test]
    fn limits_are_counted_as_we_do() {
        for (currency, least, most) in [
            ("USD", 50, 99_999_999),
            ("JPY", 50, 99_999_999),
            ("HUF", 17_500, 99_999_999),
            ("INR", 50, 999_999_999),
            ("IDR", 50, 999_999_999_999),
            ("ISK", 1, 999_999),
            ("MGA", 100, 9_999_999_900),
            ("KWD", 1, 99_999_999),
        ] {
            assert_eq!(limits(currency), (least, most), "{currency}");
        }
    }

    #[test]
    fn amounts_are_counted_as_the_provider_does() {
        for (minor, currency, provider) in [
            (5000, "ISK", Some(500_000)),
            (5000, "UGX", Some(500_000)),
            (1200, "JPY", Some(1200)),
            (1050, "EUR", Some(1050)),
            (120_000, "MGA", Some(1200)),
            (120_050, "MGA", None),
            (1230, "KWD", Some(1230)),
            (1234, "KWD", None),
            (i64::MAX, "ISK", None),
        ] {
            let counted = to_provider(minor, currency);
            assert_eq!(counted, provider, "{minor} {currency}");
            if let Some(amount) = counted {
                assert_eq!(from_provider(amount, currency), minor, "{currency}");
            }
        }
    }
}
