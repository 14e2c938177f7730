//! How upstreams do, for the calls of the line: what answers say, and the policy that judges them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::Timestamp;
use http::{Method, StatusCode};
use line::policy::care::{Answer, Care, RateShare};

/// How one upstream does.
#[derive(Debug, Default)]
pub struct UpstreamCare(Mutex<Care>);

impl UpstreamCare {
    /// Takes in what became of a request of the visitor with this hash.
    pub(super) fn note(&self, answer: Answer, visitor_hash: u64, now: Timestamp) {
        self.lock().note(answer, visitor_hash, now);
    }

    /// Stops the calls for a while, because the breaker has opened.
    pub(super) fn stop(&self, now: Timestamp) {
        self.lock().stop(now);
    }

    /// The share of its rate that a room with this upstream may call at.
    pub fn rate_share(&self, now: Timestamp) -> RateShare {
        self.lock().rate_share(now)
    }

    /// The policy has no state that a panic elsewhere could leave half changed.
    fn lock(&self) -> MutexGuard<'_, Care> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a remote upstream's answer says about it. 429 is a failure here, though not for the
/// breaker: the upstream has had enough, and is not down.
pub(super) fn of_remote(status: StatusCode, took: Duration) -> Answer {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Failed,
        status if status.is_server_error() => Answer::Untimed,
        _ => Answer::Answered(took),
    }
}

/// What the embedded booking core's answer says about it; `None` for nothing. Reads come from
/// memory, whatever the database does, and there are so many that they would hide what the rest
/// says. A 429 is about the visitor: it is the core's own limit by customer and address.
pub(super) fn of_embedded(method: &Method, status: StatusCode, took: Duration) -> Option<Answer> {
    if method.is_safe() {
        return None;
    }
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some(Answer::Failed)
        }
        StatusCode::CONFLICT | StatusCode::PAYMENT_REQUIRED | StatusCode::GONE => {
            Some(Answer::Answered(took))
        }
        status if status.is_success() || status.is_redirection() => Some(Answer::Answered(took)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(7);

    #[test]
    fn a_remote_upstream_that_has_had_enough_has_failed() {
        for (status, answer) in [
            (200, Answer::Answered(TOOK)),
            (404, Answer::Answered(TOOK)),
            (429, Answer::Failed),
            (500, Answer::Untimed),
            (502, Answer::Failed),
            (503, Answer::Failed),
            (504, Answer::Failed),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_remote(status, TOOK), answer, "{status}");
        }
    }

    #[test]
    fn of_the_embedded_core_what_changes_something_is_judged() {
        let answered = Some(Answer::Answered(TOOK));
        for (method, status, answer) in [
            (Method::GET, 200, None),
            (Method::GET, 503, None),
            (Method::POST, 201, answered),
            (Method::POST, 303, answered),
            (Method::POST, 409, answered),
            (Method::POST, 402, answered),
            (Method::DELETE, 204, answered),
            (Method::POST, 422, None),
            (Method::POST, 429, None),
            (Method::POST, 500, None),
            (Method::POST, 503, Some(Answer::Failed)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                of_embedded(&method, status, TOOK),
                answer,
                "{method} {status}"
            );
        }
    }
}
