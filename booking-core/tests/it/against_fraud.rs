//! What tests set against fraud.

use booking_core::FraudSettings;

/// Settings under which one seat of the front row is of high value.
pub(crate) fn strict(points: u32) -> FraudSettings {
    let mut settings = FraudSettings::default();
    settings
        .set_high_value("INR=250000")
        .and_then(|()| settings.set_points(&format!("high-value={points}")))
        .and_then(|()| settings.set_limits("challenge-effort=300"))
        .unwrap();
    settings
}

/// Settings under which nothing is looked at, for tests in which one fan does what no fan does.
pub(crate) fn off() -> FraudSettings {
    FraudSettings {
        enabled: false,
        ..FraudSettings::default()
    }
}

/// Settings for tests in which many fans have one address, so that declines would add up.
pub(crate) fn one_address() -> FraudSettings {
    let mut settings = FraudSettings::default();
    settings.set_points("declines=0").unwrap();
    settings
}
