//! Which provider is asked for a payment, and what a failed request means for the attempt. Pure.
//!
//! Providers are asked in the order of preference. An attempt moves on to the next provider only
//! when it is certain that the one before has made nothing. While that is unknown, the attempt
//! stays where it is and is asked about there: a customer could pay at both otherwise.

use super::provider::ProviderError;
use crate::money::FailureReason;

/// How a provider does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It may be asked.
    Ready,
    /// It has asked for fewer requests. It is asked when no other is ready.
    Resting,
    /// Its breaker is open.
    Open,
}

/// The provider of a new attempt, of those in `order` that are not in `tried`: the first that is
/// ready, else the first that rests. `None` if there is no other.
pub(crate) fn choose<'a>(order: &[(&'a str, Standing)], tried: &[String]) -> Option<&'a str> {
    order
        .iter()
        .filter(|(name, standing)| {
            *standing != Standing::Open && !tried.iter().any(|tried| tried == name)
        })
        .min_by_key(|(_, standing)| *standing)
        .map(|(name, _)| *name)
}

/// What becomes of an attempt whose intent could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Nothing was made: another provider may be asked, and until then this one again.
    MoveOn,
    /// This provider refuses for good, and another may not.
    MoveOnOrFail(FailureReason),
    /// No provider would do it.
    Fail(FailureReason),
    /// Something may have been made: this provider is asked again, under the same key.
    Stay,
}

/// What `error`, the answer to a request to create an intent, means for the attempt.
pub(crate) fn after(error: &ProviderError) -> AfterFailure {
    match error {
        ProviderError::NotSent(_)
        | ProviderError::NotConfigured(_)
        | ProviderError::RateLimited { .. } => AfterFailure::MoveOn,
        // The other provider may charge in this currency, or so small an amount.
        ProviderError::Refused { reason, .. }
            if matches!(
                reason,
                FailureReason::CurrencyConversion | FailureReason::AmountMismatch
            ) =>
        {
            AfterFailure::MoveOnOrFail(*reason)
        }
        ProviderError::Refused { reason, .. } => AfterFailure::Fail(*reason),
        ProviderError::Unavailable(_) | ProviderError::Busy | ProviderError::Unreadable(_) => {
            AfterFailure::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_that_is_ready_is_asked() {
        use Standing::{Open, Ready, Resting};
        for (stripe, razorpay, tried, chosen) in [
            (Ready, Ready, None, Some("stripe")),
            (Open, Ready, None, Some("razorpay")),
            (Resting, Ready, None, Some("razorpay")),
            (Resting, Open, None, Some("stripe")),
            (Resting, Resting, None, Some("stripe")),
            (Open, Open, None, None),
            (Ready, Ready, Some("stripe"), Some("razorpay")),
            (Ready, Open, Some("stripe"), None),
        ] {
            let order = [("stripe", stripe), ("razorpay", razorpay)];
            let tried: Vec<_> = tried.into_iter().map(str::to_owned).collect();
            assert_eq!(choose(&order, &tried), chosen, "{order:?} {tried:?}");
        }
    }

    #[test]
    fn only_certainty_moves_on() {
        let text = String::new;
        let refused = |reason| ProviderError::Refused {
            reason,
            message: text(),
        };
        let retry_after = Duration::from_secs(1);
        for (error, means) in [
            (ProviderError::NotSent(text()), AfterFailure::MoveOn),
            (
                ProviderError::RateLimited { retry_after },
                AfterFailure::MoveOn,
            ),
            (ProviderError::Unavailable(text()), AfterFailure::Stay),
            (ProviderError::Unreadable(text()), AfterFailure::Stay),
            (ProviderError::Busy, AfterFailure::Stay),
            (
                refused(FailureReason::CurrencyConversion),
                AfterFailure::MoveOnOrFail(FailureReason::CurrencyConversion),
            ),
            // A server error that the provider keeps under the key: something may have been made.
            (
                refused(FailureReason::GatewayDown),
                AfterFailure::Fail(FailureReason::GatewayDown),
            ),
        ] {
            assert_eq!(after(&error), means, "{error}");
            if means == AfterFailure::MoveOn {
                assert!(error.had_no_effect(), "{error}");
            }
            if error.had_no_effect() {
                assert_eq!(means, AfterFailure::MoveOn, "{error}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_provider_that_was_tried_or_is_open_is_never_chosen(
            standings in proptest::collection::vec(0u8..3, 1..6), tried in 0usize..6
        ) {
            let names: Vec<String> = (0..standings.len()).map(|n| n.to_string()).collect();
            let standing = |n: u8| [Standing::Ready, Standing::Resting, Standing::Open][usize::from(n)];
            let order: Vec<_> = names.iter().zip(&standings)
                .map(|(name, n)| (name.as_str(), standing(*n))).collect();
            let tried: Vec<String> = names.iter().take(tried).cloned().collect();
            let chosen = choose(&order, &tried);
            let may: Vec<_> = order.iter()
                .filter(|(name, s)| *s != Standing::Open && !tried.iter().any(|t| t == name))
                .collect();
            prop_assert_eq!(chosen.is_some(), !may.is_empty());
            if let Some(chosen) = chosen {
                prop_assert!(may.iter().any(|(name, _)| *name == chosen));
            }
        }
    }
}
