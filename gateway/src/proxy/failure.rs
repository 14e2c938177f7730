//! Why an upstream gave no response, and what the client is told.

use std::error::Error as StdError;
use std::io;

use contract::{Problem, ProblemCode};
use web::ApiError;

use super::connection::{HeadSize, NotAnswered};
use super::idle::BoxError;
use super::request_body::{Progress, Sending};
use breaker::Outcome;

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection could be made.
    Unreachable,
    /// Connecting, sending or waiting for the answer took too long.
    TimedOut,
    /// The connection closed before the first byte of a response.
    BrokeBeforeAnswer,
    /// The head of the response has too many headers or bytes for a connection that takes heads of
    /// this size.
    HeadTooLarge(HeadSize),
    /// The data received is not HTTP, or is a response without a request.
    Garbled,
    /// The client stopped sending its body.
    ClientStalled,
    /// The client disconnected while sending its body.
    ClientBroke,
}

/// `Retry-After` of a single upstream failure, in seconds.
const RETRY_AFTER_FAILURE_SECONDS: u32 = 2;

impl Failure {
    /// Classifies an error of connecting.
    pub(super) fn to_connect(error: &BoxError) -> Self {
        let io_kind = find::<io::Error>(&**error).map(io::Error::kind);
        if io_kind == Some(io::ErrorKind::TimedOut) {
            Self::TimedOut
        } else {
            Self::Unreachable
        }
    }

    /// Classifies a request that got no response, when its body had got as far as `progress`, on a
    /// connection that takes heads of this size.
    pub(super) fn of(reason: &NotAnswered, progress: &Progress, taken: HeadSize) -> Self {
        match progress.get() {
            Sending::ClientStalled => return Self::ClientStalled,
            Sending::ClientBroke => return Self::ClientBroke,
            Sending::Underway | Sending::Sent => {}
        }
        let NotAnswered::Broken { error, .. } = reason else {
            return Self::TimedOut;
        };
        let io_kind = find::<io::Error>(error).map(io::Error::kind);
        if io_kind == Some(io::ErrorKind::TimedOut) {
            return Self::TimedOut;
        }
        if error.is_parse_too_large() {
            Self::HeadTooLarge(taken)
        } else if error.is_parse() {
            Self::Garbled
        } else {
            Self::BrokeBeforeAnswer
        }
    }

    /// Whether not a byte of a response came.
    pub(super) fn received_nothing(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::TimedOut | Self::BrokeBeforeAnswer
        )
    }

    /// The label in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::BrokeBeforeAnswer => "broke",
            Self::HeadTooLarge(_) => "head-too-large",
            Self::Garbled => "garbled",
            Self::ClientStalled => "client-stalled",
            Self::ClientBroke => "client-gone",
        }
    }

    /// What the failure says about the upstream's health.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::ClientStalled | Self::ClientBroke => Outcome::Abandoned,
            // It has answered.
            Self::HeadTooLarge(_) => Outcome::Success,
            Self::Unreachable | Self::TimedOut | Self::BrokeBeforeAnswer | Self::Garbled => {
                Outcome::Failure
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let (code, detail) = match failure {
            Failure::Unreachable => (
                ProblemCode::UpstreamFailed,
                "The service could not be reached.",
            ),
            Failure::BrokeBeforeAnswer => (
                ProblemCode::UpstreamFailed,
                "The service closed the connection without an answer.",
            ),
            Failure::HeadTooLarge(_) => (
                ProblemCode::UpstreamFailed,
                "The service gave an answer with too many or too large headers.",
            ),
            Failure::Garbled => (
                ProblemCode::UpstreamFailed,
                "The service gave an answer that could not be read.",
            ),
            Failure::TimedOut => (
                ProblemCode::UpstreamTimeout,
                "The service did not answer in time.",
            ),
            Failure::ClientStalled => {
                return Problem::new(ProblemCode::RequestTimeout)
                    .detail("The body stopped arriving.")
                    .into();
            }
            Failure::ClientBroke => {
                return Problem::new(ProblemCode::BadRequest)
                    .detail("The body could not be read.")
                    .into();
            }
        };
        Problem::new(code)
            .detail(detail)
            .retry_after(RETRY_AFTER_FAILURE_SECONDS)
            .into()
    }
}

/// The first error of type `E` in a chain of causes.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
