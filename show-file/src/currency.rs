//! How amounts are counted. Ours are minor units of ISO 4217; the provider counts some currencies
//! in units of its own.

/// Currencies that ISO 4217 gives no minor unit and the provider counts in hundredths, of which
/// it takes whole units only.
const IN_HUNDREDTHS: &[&str] = &["ISK", "UGX"];
/// Currencies that ISO 4217 counts in hundredths and the provider in whole units.
const IN_WHOLE_UNITS: &[&str] = &["MGA"];
/// Currencies with thousandths, of which the provider takes whole hundredths only.
const WITH_THOUSANDTHS: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];

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
