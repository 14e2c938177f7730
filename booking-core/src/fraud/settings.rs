//! The settings against fraud: points, levels and limits.

use std::collections::BTreeMap;
use std::time::Duration;

/// What each signal counts. The names are those of `ROPELINE_FRAUD_POINTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// Each multiple of the high value, up to two.
    pub high_value: u32,
    /// Each declined try beyond two, up to six.
    pub declines: u32,
    /// Each customer who pays with the same card beyond two, up to four.
    pub card_customers: u32,
    /// Each step of the provider's own judgement: elevated, highest.
    pub provider_risk: u32,
    /// A card of a country that is not at home here.
    pub foreign_card: u32,
    /// Seats that are held sooner than a person chooses.
    pub fast_choice: u32,
    /// Each repeat of the same request beyond ten, up to fifteen.
    pub repeated_requests: u32,
}

/// From which score on something follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The client has to solve a challenge.
    pub challenge: u32,
    /// A person looks at the purchase before tickets are sent.
    pub review: u32,
    /// The payment is not started.
    pub refuse: u32,
}

/// Limits that decide alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskLimits {
    /// Declined tries of one hold; then it is released.
    pub declines_per_hold: u32,
    /// Declined tries of one customer within an hour; then no payment is started.
    pub declines_per_customer: u32,
    /// Customers of one show with one card; further ones are reviewed.
    pub customers_per_card: u32,
    /// Tickets of one show with one card; more are reviewed.
    pub tickets_per_card: u32,
    /// A person takes longer to choose seats, in milliseconds.
    pub fast_choice_ms: u32,
    /// The largest number of a proof of work; half of it is tried on average.
    pub challenge_effort: u32,
}

/// Everything that is set against fraud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FraudSettings {
    /// Whether anything is looked at. Reviews that wait are decided in any case.
    pub enabled: bool,
    /// What each signal counts.
    pub points: Points,
    /// From which score on something follows.
    pub levels: Levels,
    /// Limits that decide alone.
    pub limits: RiskLimits,
    /// From which amount on a purchase of a new customer is of high value, minor units by currency.
    pub high_value: BTreeMap<String, i64>,
    /// Countries whose cards are at home here, ISO 3166-1 alpha-2; all, when empty.
    pub home_countries: Vec<String>,
    /// After how long a review is approved by itself; never, when `None`.
    pub approve_after: Option<Duration>,
}

impl Default for FraudSettings {
    fn default() -> Self {
        let high_value = [
            ("AUD", 100_000),
            ("CAD", 100_000),
            ("CHF", 80_000),
            ("EUR", 80_000),
            ("GBP", 70_000),
            ("INR", 5_000_000),
            ("USD", 80_000),
        ];
        Self {
            enabled: true,
            points: Points {
                high_value: 30,
                declines: 10,
                card_customers: 20,
                provider_risk: 30,
                foreign_card: 15,
                fast_choice: 15,
                repeated_requests: 2,
            },
            levels: Levels {
                challenge: 30,
                review: 60,
                refuse: 100,
            },
            limits: RiskLimits {
                declines_per_hold: 10,
                declines_per_customer: 20,
                customers_per_card: 4,
                tickets_per_card: 20,
                fast_choice_ms: 700,
                challenge_effort: 200_000,
            },
            high_value: high_value
                .into_iter()
                .map(|(currency, minor)| (currency.to_owned(), minor))
                .collect(),
            home_countries: Vec::new(),
            approve_after: None,
        }
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFraudSetting {
    /// No list of names and numbers.
    #[error("`{0}` is not a name and a number, such as challenge=30")]
    NoPair(String),
    /// There is no such name.
    #[error("there is no `{0}`")]
    UnknownName(String),
    /// The levels are in the wrong order.
    #[error("levels must grow from challenge to review to refuse, and begin at 1")]
    Levels,
}

/// Largest number in a list, so that no sum overflows.
const NUMBER_MAX: i64 = 1_000_000_000_000;

fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, i64), InvalidFraudSetting>> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(|part| {
        let pair = part.split_once('=');
        let pair = pair.and_then(|(name, number)| {
            let number: i64 = number.trim().parse().ok()?;
            (0..=NUMBER_MAX)
                .contains(&number)
                .then(|| (name.trim(), number))
        });
        pair.ok_or_else(|| InvalidFraudSetting::NoPair(part.to_owned()))
    })
}

impl FraudSettings {
    /// Changes points, as `high-value=30,declines=10`.
    pub fn set_points(&mut self, text: &str) -> Result<(), InvalidFraudSetting> {
        let points = &mut self.points;
        for pair in pairs(text) {
            let (name, number) = pair?;
            let place = match name {
                "high-value" => &mut points.high_value,
                "declines" => &mut points.declines,
                "card-customers" => &mut points.card_customers,
                "provider-risk" => &mut points.provider_risk,
                "foreign-card" => &mut points.foreign_card,
                "fast-choice" => &mut points.fast_choice,
                "repeated-requests" => &mut points.repeated_requests,
                other => return Err(InvalidFraudSetting::UnknownName(other.to_owned())),
            };
            *place = u32::try_from(number).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Changes levels and limits, as `challenge=30,declines-per-hold=10`.
    pub fn set_limits(&mut self, text: &str) -> Result<(), InvalidFraudSetting> {
        for pair in pairs(text) {
            let (name, number) = pair?;
            let (levels, limits) = (&mut self.levels, &mut self.limits);
            let place = match name {
                "challenge" => &mut levels.challenge,
                "review" => &mut levels.review,
                "refuse" => &mut levels.refuse,
                "declines-per-hold" => &mut limits.declines_per_hold,
                "declines-per-customer" => &mut limits.declines_per_customer,
                "customers-per-card" => &mut limits.customers_per_card,
                "tickets-per-card" => &mut limits.tickets_per_card,
                "fast-choice-ms" => &mut limits.fast_choice_ms,
                "challenge-effort" => &mut limits.challenge_effort,
                other => return Err(InvalidFraudSetting::UnknownName(other.to_owned())),
            };
            *place = u32::try_from(number).unwrap_or(u32::MAX);
        }
        let Levels {
            challenge,
            review,
            refuse,
        } = self.levels;
        if challenge == 0 || review < challenge || refuse < review {
            return Err(InvalidFraudSetting::Levels);
        }
        Ok(())
    }

    /// Changes what is of high value, as `EUR=80000,INR=5000000`. 0 takes a currency out.
    pub fn set_high_value(&mut self, text: &str) -> Result<(), InvalidFraudSetting> {
        for pair in pairs(text) {
            let (currency, minor) = pair?;
            let is_code =
                currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
            if !is_code {
                return Err(InvalidFraudSetting::UnknownName(currency.to_owned()));
            }
            if minor == 0 {
                self.high_value.remove(currency);
            } else {
                self.high_value.insert(currency.to_owned(), minor);
            }
        }
        Ok(())
    }

    /// How many times the high value of its currency an amount is.
    pub(crate) fn high_values_in(&self, amount_minor: i64, currency: &str) -> u32 {
        let high = self.high_value.get(currency).copied().unwrap_or(i64::MAX);
        u32::try_from(amount_minor.max(0) / high.max(1)).unwrap_or(u32::MAX)
    }

    /// Whether a card of `country` is foreign.
    pub(crate) fn is_foreign(&self, country: &str) -> bool {
        let is_home = |home: &String| home.eq_ignore_ascii_case(country);
        !self.home_countries.is_empty() && !self.home_countries.iter().any(is_home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_change_what_they_name() {
        let mut settings = FraudSettings::default();
        settings.set_points("high-value=1, declines=2").unwrap();
        assert_eq!(settings.points.high_value, 1);
        assert_eq!(settings.points.declines, 2);
        assert_eq!(settings.points.card_customers, 20);
        settings
            .set_limits("challenge=5,tickets-per-card=2")
            .unwrap();
        assert_eq!(settings.levels.challenge, 5);
        assert_eq!(settings.limits.tickets_per_card, 2);
        settings.set_high_value("JPY=90000,EUR=0").unwrap();
        assert_eq!(settings.high_values_in(180_000, "JPY"), 2);
        assert_eq!(settings.high_values_in(i64::MAX, "EUR"), 1);
        assert_eq!(settings.high_values_in(4_999_999, "INR"), 0);
        assert_eq!(settings.high_values_in(-1, "INR"), 0);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let mut settings = FraudSettings::default();
        for text in ["declines", "declines=", "declines=-1", "declines=x"] {
            let found = settings.set_points(text);
            assert!(
                matches!(found, Err(InvalidFraudSetting::NoPair(_))),
                "{text}"
            );
        }
        let unknown = settings.set_limits("challenges=3");
        assert!(matches!(unknown, Err(InvalidFraudSetting::UnknownName(_))));
        assert!(settings.set_high_value("euro=3").is_err());
        for text in ["challenge=0", "review=10", "refuse=20"] {
            let mut settings = FraudSettings::default();
            assert_eq!(
                settings.set_limits(text),
                Err(InvalidFraudSetting::Levels),
                "{text}"
            );
        }
    }

    #[test]
    fn every_card_is_at_home_until_countries_are_named() {
        let mut settings = FraudSettings::default();
        assert!(!settings.is_foreign("FR"));
        settings.home_countries = vec!["IN".to_owned()];
        assert!(settings.is_foreign("FR") && !settings.is_foreign("in"));
    }
}
