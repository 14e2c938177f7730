//! What is set against fraud in the shop. The booking core reads the lists.

use super::settings::{Settings, given};

/// Longest time after which a review is approved by itself.
const APPROVE_HOURS_MAX: u64 = 24 * 365;

/// The settings against fraud, as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FraudTexts {
    /// Whether fraud is looked for.
    pub enabled: bool,
    /// What signals count.
    pub points: String,
    /// Levels and limits.
    pub limits: String,
    /// What is of high value.
    pub high_value: String,
    /// Countries whose cards are at home here.
    pub home_countries: Vec<String>,
    /// After how many hours a review is approved by itself.
    pub approve_hours: Option<u64>,
}

/// Reads the settings; what cannot be used is noted.
pub(super) fn fraud_texts(settings: &Settings, note: &mut impl FnMut(String)) -> FraudTexts {
    let text = |text: &Option<String>| given(text.clone()).unwrap_or_default();
    let enabled = match text(&settings.fraud).trim() {
        "" | "on" => true,
        "off" => false,
        other => {
            note(format!("ROPELINE_FRAUD: `{other}` is neither on nor off"));
            true
        }
    };
    let countries = text(&settings.fraud_home_countries).to_ascii_uppercase();
    let countries = countries.split(',').map(str::trim);
    let countries: Vec<String> = countries
        .filter(|country| !country.is_empty())
        .map(str::to_owned)
        .collect();
    for country in &countries {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            note(format!(
                "ROPELINE_FRAUD_HOME_COUNTRIES: `{country}` is no country, such as IN"
            ));
        }
    }
    let hours = given(settings.review_approve_hours.clone());
    let approve_hours = hours.and_then(|text| {
        let hours = text.trim().parse().ok();
        let hours = hours.filter(|hours| (1..=APPROVE_HOURS_MAX).contains(hours));
        if hours.is_none() {
            note(format!(
                "ROPELINE_REVIEW_APPROVE_HOURS: `{text}` is no number from 1 to {APPROVE_HOURS_MAX}"
            ));
        }
        hours
    });
    FraudTexts {
        enabled,
        points: text(&settings.fraud_points),
        limits: text(&settings.fraud_limits),
        high_value: text(&settings.fraud_high_value),
        home_countries: countries,
        approve_hours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_against_fraud_are_read_or_told() {
        let mut notes = Vec::new();
        let settings = Settings {
            fraud: Some("off".to_owned()),
            fraud_home_countries: Some("in, np".to_owned()),
            review_approve_hours: Some("12".to_owned()),
            ..Settings::default()
        };
        let texts = fraud_texts(&settings, &mut |note| notes.push(note));
        assert!(!texts.enabled && notes.is_empty(), "{notes:?}");
        assert_eq!(texts.home_countries, ["IN", "NP"]);
        assert_eq!(texts.approve_hours, Some(12));
        let wrong = Settings {
            fraud: Some("maybe".to_owned()),
            fraud_home_countries: Some("India".to_owned()),
            review_approve_hours: Some("0".to_owned()),
            ..Settings::default()
        };
        fraud_texts(&wrong, &mut |note| notes.push(note));
        assert_eq!(notes.len(), 3, "{notes:?}");
    }
}
