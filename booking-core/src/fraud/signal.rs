//! Signals and their points. Pure.
//!
//! Every signal has an amount. The points of a signal never fall when its amount grows, and the score
//! is the sum of the points, so more of anything never makes a customer less suspicious.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::{FraudSettings, Levels};

/// Something that is seen more often with fraud than without.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignalKind {
    /// A customer without an earlier booking buys for so many times the high value.
    HighValue,
    /// Tries to pay that were declined lately.
    Declines,
    /// Other customers who paid with the same card lately.
    CardCustomers,
    /// The provider's own judgement: 1 elevated, 2 highest.
    ProviderRisk,
    /// The card is of a country that is not at home here.
    ForeignCard,
    /// Seats were held sooner after they were shown than a person chooses.
    FastChoice,
    /// The same request over and over.
    RepeatedRequests,
    /// More tries of one hold or customer were declined than are allowed.
    DeclineLimit,
    /// More customers or tickets of one show with one card than are allowed.
    CardLimit,
}

impl SignalKind {
    /// How much of it counts for nothing, and how much more counts at most.
    const fn range(self) -> (u32, u32) {
        match self {
            Self::HighValue | Self::ProviderRisk => (0, 2),
            Self::Declines => (2, 6),
            // One card in a family or an office is nothing special.
            Self::CardCustomers => (1, 4),
            Self::RepeatedRequests => (10, 15),
            Self::ForeignCard | Self::FastChoice | Self::DeclineLimit | Self::CardLimit => (0, 1),
        }
    }

    fn weight(self, settings: &FraudSettings) -> u32 {
        let points = &settings.points;
        match self {
            Self::HighValue => points.high_value,
            Self::Declines => points.declines,
            Self::CardCustomers => points.card_customers,
            Self::ProviderRisk => points.provider_risk,
            Self::ForeignCard => points.foreign_card,
            Self::FastChoice => points.fast_choice,
            Self::RepeatedRequests => points.repeated_requests,
            // A limit decides alone.
            Self::DeclineLimit => settings.levels.refuse,
            Self::CardLimit => settings.levels.review,
        }
    }

    /// The points of so much of it.
    pub(crate) fn points(self, amount: u32, settings: &FraudSettings) -> u32 {
        let (free, most) = self.range();
        let counted = amount.saturating_sub(free).min(most);
        self.weight(settings).saturating_mul(counted)
    }
}

/// A signal with its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Signal {
    /// What was seen.
    #[serde(rename = "signal")]
    pub(crate) kind: SignalKind,
    /// How much of it.
    pub(crate) amount: u32,
    /// What it counts.
    pub(crate) points: u32,
}

impl Signal {
    pub(crate) fn new(kind: SignalKind, amount: u32, settings: &FraudSettings) -> Self {
        Self {
            kind,
            amount,
            points: kind.points(amount, settings),
        }
    }
}

/// The signals of `seen` that count for something; of each kind the one with the most points.
pub(crate) fn counted(seen: impl IntoIterator<Item = Signal>) -> Vec<Signal> {
    let mut found: Vec<Signal> = Vec::new();
    for signal in seen {
        if signal.points == 0 {
            continue;
        }
        match found.iter_mut().find(|it| it.kind == signal.kind) {
            Some(known) if known.points < signal.points => *known = signal,
            Some(_) => {}
            None => found.push(signal),
        }
    }
    found.sort_by_key(|signal| (std::cmp::Reverse(signal.points), signal.kind));
    found
}

/// The sum of the points.
pub(crate) fn score(signals: &[Signal]) -> u32 {
    signals
        .iter()
        .fold(0, |sum: u32, signal| sum.saturating_add(signal.points))
}

/// What follows from a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing.
    Allow,
    /// The client has to do some work first.
    Challenge,
    /// A person looks at it once it is paid.
    Review,
    /// It may not be paid.
    Refuse,
}

impl Verdict {
    pub(crate) const fn of(score: u32, levels: &Levels) -> Self {
        if score >= levels.refuse {
            Self::Refuse
        } else if score >= levels.review {
            Self::Review
        } else if score >= levels.challenge {
            Self::Challenge
        } else {
            Self::Allow
        }
    }

    /// The label in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Challenge => "challenge",
            Self::Review => "review",
            Self::Refuse => "refuse",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [SignalKind; 9] = [
        SignalKind::HighValue,
        SignalKind::Declines,
        SignalKind::CardCustomers,
        SignalKind::ProviderRisk,
        SignalKind::ForeignCard,
        SignalKind::FastChoice,
        SignalKind::RepeatedRequests,
        SignalKind::DeclineLimit,
        SignalKind::CardLimit,
    ];

    fn judged(amounts: &[u32], settings: &FraudSettings) -> (u32, Verdict) {
        let seen = ALL.iter().zip(amounts);
        let seen = seen.map(|(kind, amount)| Signal::new(*kind, *amount, settings));
        let score = score(&counted(seen));
        (score, Verdict::of(score, &settings.levels))
    }

    #[test]
    fn what_counts_for_nothing_and_what_counts_no_more() {
        let settings = FraudSettings::default();
        for kind in ALL {
            let (free, most) = kind.range();
            let points = |amount| kind.points(amount, &settings);
            assert_eq!(points(free), 0, "{kind:?}");
            assert_eq!(points(free + 1), kind.weight(&settings), "{kind:?}");
            assert_eq!(
                points(free + most),
                kind.weight(&settings) * most,
                "{kind:?}"
            );
            assert_eq!(points(free + most + 1), points(free + most), "{kind:?}");
            assert_eq!(points(u32::MAX), points(free + most), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn more_of_a_signal_never_makes_a_customer_less_suspicious(
            amounts in proptest::collection::vec(0u32..40, ALL.len()),
            which in 0..ALL.len(), more in 1u32..1000,
            weights in proptest::collection::vec(0u32..200, 7),
            (challenge, review, refuse) in (1u32..100, 0u32..100, 0u32..100)
        ) {
            let mut settings = FraudSettings::default();
            settings.points.high_value = weights[0];
            settings.points.declines = weights[1];
            settings.points.card_customers = weights[2];
            settings.points.provider_risk = weights[3];
            settings.points.foreign_card = weights[4];
            settings.points.fast_choice = weights[5];
            settings.points.repeated_requests = weights[6];
            settings.levels = Levels {
                challenge, review: challenge + review, refuse: challenge + review + refuse,
            };
            let before = judged(&amounts, &settings);
            let mut grown = amounts;
            grown[which] = grown[which].saturating_add(more);
            let after = judged(&grown, &settings);
            prop_assert!(after.0 >= before.0 && after.1 >= before.1, "{before:?} {after:?}");
        }

        #[test]
        fn a_kind_counts_once(amount in 0u32..100, again in 0u32..100) {
            let settings = FraudSettings::default();
            let of = |amount| Signal::new(SignalKind::Declines, amount, &settings);
            let both = score(&counted([of(amount), of(again)]));
            prop_assert_eq!(both, score(&counted([of(amount.max(again))])));
        }
    }

    #[test]
    fn ordinary_fans_are_left_alone_and_the_rest_is_graded() {
        use SignalKind::{
            CardCustomers, CardLimit, DeclineLimit, Declines, FastChoice, ForeignCard, HighValue,
            ProviderRisk, RepeatedRequests,
        };
        for (seen, verdict) in [
            (vec![], Verdict::Allow),
            // Autofill, two typing errors, the card of the family.
            (
                vec![(FastChoice, 1), (Declines, 2), (CardCustomers, 1)],
                Verdict::Allow,
            ),
            (vec![(Declines, 4)], Verdict::Allow),
            (vec![(RepeatedRequests, 10)], Verdict::Allow),
            (vec![(HighValue, 1)], Verdict::Challenge),
            (vec![(Declines, 5)], Verdict::Challenge),
            (vec![(RepeatedRequests, 25)], Verdict::Challenge),
            (vec![(FastChoice, 1), (ForeignCard, 1)], Verdict::Challenge),
            (vec![(HighValue, 2)], Verdict::Review),
            (vec![(CardCustomers, 4)], Verdict::Review),
            (vec![(ProviderRisk, 2)], Verdict::Review),
            (vec![(CardLimit, 1)], Verdict::Review),
            (vec![(HighValue, 2), (ProviderRisk, 2)], Verdict::Refuse),
            (vec![(DeclineLimit, 1)], Verdict::Refuse),
        ] {
            let settings = FraudSettings::default();
            let signals = seen
                .iter()
                .map(|(kind, amount)| Signal::new(*kind, *amount, &settings));
            let score = score(&counted(signals));
            let found = Verdict::of(score, &settings.levels);
            assert_eq!(found, verdict, "{seen:?} {score}");
        }
    }

    #[test]
    fn a_signal_reads_back_from_the_database() {
        let settings = FraudSettings::default();
        for kind in ALL {
            let signal = Signal::new(kind, 3, &settings);
            let stored = serde_json::to_value(signal).unwrap();
            assert_eq!(serde_json::from_value::<Signal>(stored).unwrap(), signal);
        }
    }
}
