//! Stops suspicious requests: with a challenge, or with a refusal that says nothing.

use contract::booking::HoldRequest;
use contract::{HoldId, Problem, ProblemCode, ShowId};
use sha2::{Digest, Sha256};
use web::challenge::Issued;
use web::{ApiError, ApiResult};

use super::problems::payment_failed;
use crate::customer::Customer;
use crate::handle::Booking;
use crate::money::FailureReason;
use crate::vetting::paying::Gate;

/// Lets a request to hold seats pass, or says what has to be done first.
pub(crate) async fn before_hold(
    booking: &Booking,
    customer: &Customer,
    show: &ShowId,
    request: &HoldRequest,
    proof: Option<String>,
) -> ApiResult<()> {
    // Serialisation cannot fail: a request contains only strings and numbers.
    let asked = serde_json::to_vec(request).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(show.as_str());
    hash.update([0]);
    hash.update(asked);
    let digest = hash.finalize().into();
    let gate = booking.hold_gate(customer, show, digest, proof).await?;
    passed(gate)
}

/// Lets the start of a payment pass, or says what has to be done first.
pub(crate) async fn before_payment(
    booking: &Booking,
    customer: &Customer,
    hold_id: HoldId,
    email: &str,
    proof: Option<String>,
) -> ApiResult<()> {
    let gate = booking.payment_gate(customer, hold_id, email, proof);
    passed(gate.await?)
}

fn passed(gate: Gate) -> ApiResult<()> {
    match gate {
        Gate::Open => Ok(()),
        Gate::Challenge(issued) => Err(challenge_required(*issued)),
        Gate::Refused => Err(payment_failed(FailureReason::Fraud)),
    }
}

fn challenge_required(issued: Issued) -> ApiError {
    Problem::new(ProblemCode::ChallengeRequired)
        .detail(
            "Solve the challenge and send the request again with the solution in `proof`. \
             Shop pages do so by themselves.",
        )
        .with("challengeType", issued.kind)
        .with("challenge", issued.parameters)
        .into()
}
