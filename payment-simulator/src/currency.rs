//! The supported currencies, and amounts formatted for people.

use crate::error::ApiError;

/// ISO 4217 codes in lower case, as Stripe writes them.
const SUPPORTED: &str = "\
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd \
    gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak \
    lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd \
    omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std \
    szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar \
    zmw";

const WITHOUT_MINOR_UNIT: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];

/// Currencies counted in hundredths of which only whole units can be charged.
const WHOLE_UNITS_IN_HUNDREDTHS: &[&str] = &["isk", "ugx"];

/// Smallest charges, in the minor unit of each currency.
const MINIMUMS: &[(&str, u64)] = &[
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1000),
    ("usd", 50),
];

const WITH_THREE_DECIMALS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];

/// The currency of a request, in lower case.
pub(crate) fn parse(text: Option<&str>) -> Result<String, ApiError> {
    let text = text.ok_or_else(|| ApiError::missing("currency"))?;
    let code = text.to_ascii_lowercase();
    if SUPPORTED
        .split_ascii_whitespace()
        .any(|known| known == code)
    {
        Ok(code)
    } else {
        Err(ApiError::invalid(
            "currency_not_supported",
            format!("Invalid currency: {text}."),
            Some("currency"),
        ))
    }
}

/// Refuses amounts that Stripe refuses: fractions that a currency does not allow, and amounts below
/// the smallest charge.
pub(crate) fn demand_chargeable(amount_minor: u64, currency: &str) -> Result<(), ApiError> {
    demand_whole(amount_minor, currency)?;
    let minimum = MINIMUMS.iter().find(|(known, _)| *known == currency);
    match minimum {
        Some((_, minimum)) if amount_minor < *minimum => Err(ApiError::invalid(
            "amount_too_small",
            format!("Amount must be at least {}.", display(*minimum, currency)),
            Some("amount"),
        )),
        _ => Ok(()),
    }
}

/// Refuses fractions of a currency that Stripe does not allow.
pub(crate) fn demand_whole(amount_minor: u64, currency: &str) -> Result<(), ApiError> {
    let step = if WITH_THREE_DECIMALS.contains(&currency) {
        10
    } else if WHOLE_UNITS_IN_HUNDREDTHS.contains(&currency) {
        100
    } else {
        1
    };
    if amount_minor.is_multiple_of(step) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "parameter_invalid_integer",
        format!("Invalid amount for {currency}: it must be divisible by {step}."),
        Some("amount"),
    ))
}

/// An amount for people, such as `INR 1,200.00`.
pub(crate) fn display(amount_minor: u64, currency: &str) -> String {
    let decimals = if WITHOUT_MINOR_UNIT.contains(&currency) {
        0
    } else if WITH_THREE_DECIMALS.contains(&currency) {
        3
    } else {
        2
    };
    let unit = 10_u64.pow(decimals);
    let mut whole = (amount_minor / unit).to_string();
    let mut at = whole.len();
    while at > 3 {
        at -= 3;
        whole.insert(at, ',');
    }
    let code = currency.to_ascii_uppercase();
    if decimals == 0 {
        return format!("{code} {whole}");
    }
    let rest = amount_minor % unit;
    let width = decimals as usize;
    format!("{code} {whole}.{rest:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_currency_s_own_decimals() {
        assert_eq!(display(123_456_705, "inr"), "INR 1,234,567.05");
        assert_eq!(display(99, "usd"), "USD 0.99");
        assert_eq!(display(1200, "jpy"), "JPY 1,200");
        assert_eq!(display(500_000, "isk"), "ISK 5,000.00");
        assert_eq!(display(1234, "kwd"), "KWD 1.234");
    }

    #[test]
    fn amounts_that_stripe_refuses_are_refused() {
        for (amount, currency, chargeable) in [
            (1230, "kwd", true),
            (1234, "kwd", false),
            (500, "ugx", true),
            (550, "ugx", false),
            (500_000, "isk", true),
            (5000, "isk", true),
            (501, "isk", false),
            (10, "usd", false),
            (50, "usd", true),
            (49, "jpy", false),
            (1, "zmw", true),
        ] {
            let refused = demand_chargeable(amount, currency).is_err();
            assert_eq!(!refused, chargeable, "{amount} {currency}");
        }
    }

    #[test]
    fn only_known_currencies_pass() {
        assert_eq!(parse(Some("INR")).unwrap(), "inr");
        for text in [None, Some("xyz"), Some("in"), Some("inr usd"), Some("")] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
