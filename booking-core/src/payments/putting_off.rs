//! What becomes of a comparison with a provider's books when something fails: what is one thing's
//! failure is put off, and what is the provider's stops a listing.

use uuid::Uuid;

use super::provider::ProviderError;
use super::reconcile_report::{ReconcileError, ReconcileReport};
use crate::database::StoreError;
use crate::store::reconciliation::Listing;
use crate::telemetry;

/// How often a part of a listing fails before single things of it are put off.
pub(super) const PASSES_BEFORE_PUT_OFF: i32 = 3;

/// False, logged and counted, if the provider did not tell everything.
pub(super) fn told_unless_stopped(
    provider: &str,
    listing: Option<Listing>,
    compared: Result<(), ReconcileError>,
) -> Result<bool, StoreError> {
    match compared {
        Ok(()) => Ok(true),
        Err(ReconcileError::Store(error)) => Err(error),
        Err(ReconcileError::Provider(error)) => {
            count("stopped", 1);
            tracing::warn!(
                %error,
                provider,
                ?listing,
                "the provider's books could not be compared with ours"
            );
            Ok(false)
        }
    }
}

/// `None`, logged and counted, for a single thing that cannot be worked on, once the same part of a
/// listing failed several times: the others are not kept waiting, and a round comes by again.
pub(super) fn unless_put_off<T>(
    report: &mut ReconcileReport,
    id: &str,
    looked: Result<T, ReconcileError>,
) -> Result<Option<T>, ReconcileError> {
    let failure = match looked {
        Ok(done) => return Ok(Some(done)),
        Err(ReconcileError::Provider(error)) if report.passes_over && is_of_one(&error) => {
            error.to_string()
        }
        Err(ReconcileError::Store(error)) if error.is_of_the_data() => error.to_string(),
        Err(error) => return Err(error),
    };
    count("put-off", 1);
    tracing::error!(
        id,
        failure,
        "one thing that the provider listed keeps failing: it is looked at again later"
    );
    report.put_off.push(id.to_owned());
    Ok(None)
}

/// Whether a failure may be of one thing alone. The others stop everything: the provider was not
/// asked, or wants to be left alone.
fn is_of_one(error: &ProviderError) -> bool {
    match error {
        ProviderError::Unavailable(_)
        | ProviderError::Busy
        | ProviderError::Refused { .. }
        | ProviderError::Unreadable(_) => true,
        ProviderError::NotSent(_)
        | ProviderError::NotConfigured(_)
        | ProviderError::RateLimited { .. } => false,
    }
}

/// Logs a row that cannot be processed; the comparison of the others goes on.
pub(super) fn is_broken(error: &StoreError, id: Uuid) {
    count("broken", 1);
    tracing::error!(
        error = error as &dyn std::error::Error,
        id = %id,
        "a late payment or refund cannot be worked on: a person has to look"
    );
}

/// `None`, logged and counted, for something that the provider refuses to tell of: it would refuse
/// again, and the comparison of the others goes on.
pub(super) fn unless_refused<T>(
    told: Result<T, ProviderError>,
    id: impl std::fmt::Display,
) -> Result<Option<T>, ProviderError> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(ProviderError::Refused { message, .. }) => {
            count("left", 1);
            tracing::error!(%id, message, "the provider refuses to tell of something that it listed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn count(outcome: &'static str, times: u64) {
    if times > 0 {
        metrics::counter!(telemetry::RECONCILED, "outcome" => outcome).increment(times);
    }
}
