//! Problem documents (RFC 9457) with the stable codes of the contract.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong, as a word that programs may compare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// A short sentence that is the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    /// The path can be read in more than one way (encoded slashes, dot segments, doubled slashes).
    AmbiguousPath = "ambiguous-path", BAD_REQUEST, "The path can be read in more than one way";
    /// The request cannot be read: malformed JSON, header or query.
    BadRequest = "bad-request", BAD_REQUEST, "The request could not be read";
    /// The booking core has more work than it may queue.
    BookingBusy = "booking-busy", SERVICE_UNAVAILABLE, "Booking is busy";
    /// Some work has to be done before the request is taken.
    ChallengeRequired = "challenge-required", FORBIDDEN, "A challenge has to be solved first";
    /// A one-time code from a mail is needed.
    CodeRequired = "code-required", FORBIDDEN, "A one-time code is needed";
    /// The one-time code is wrong, used, too old or tried too often.
    CodeNotValid = "code-not-valid", FORBIDDEN, "The one-time code is not valid";
    /// The resource changed since it was read, or the change does not fit its state.
    Conflict = "conflict", CONFLICT, "The change does not fit the present state";
    /// The coupon cannot be used, with a `reason`.
    CouponNotValid = "coupon-not-valid", CONFLICT, "The coupon cannot be used";
    /// The database does not answer.
    DatabaseUnavailable = "database-unavailable", SERVICE_UNAVAILABLE, "The database does not answer";
    /// The caller is known but may not do this.
    Forbidden = "forbidden", FORBIDDEN, "This is not allowed";
    /// The request's address and headers are over the limit.
    HeadTooLarge = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too large";
    /// The hold's time is over.
    HoldExpired = "hold-expired", GONE, "The hold has expired";
    /// The same idempotency key came with another body.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request";
    /// Something broke on our side.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    /// The line's store does not answer.
    LineUnavailable = "line-unavailable", SERVICE_UNAVAILABLE, "The line does not answer at the moment";
    /// The path exists, the method does not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    /// It is not the caller's turn.
    NotCalled = "not-called", CONFLICT, "It is not your turn yet";
    /// There is nothing here, or nothing of the caller's.
    NotFound = "not-found", NOT_FOUND, "There is nothing here";
    /// The refund policy gives nothing back.
    NotRefundable = "not-refundable", CONFLICT, "This cannot be returned";
    /// The ticket cannot be passed on or printed anew.
    NotTransferable = "not-transferable", CONFLICT, "This cannot be passed on";
    /// A pass is needed.
    PassRequired = "pass-required", FORBIDDEN, "A pass is required";
    /// The body is over the limit.
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The payment was refused.
    PaymentFailed = "payment-failed", PAYMENT_REQUIRED, "The payment failed";
    /// The payment provider does not answer.
    PaymentUnavailable = "payment-unavailable", SERVICE_UNAVAILABLE, "The payment provider does not answer";
    /// The place can no longer be used.
    PlaceExpired = "place-expired", GONE, "The place has expired";
    /// The place token is forged, damaged or of another room.
    PlaceInvalid = "place-invalid", UNAUTHORIZED, "The place token is not valid";
    /// No place token came with the request.
    PlaceRequired = "place-required", UNAUTHORIZED, "A place token is required";
    /// The stored version is not the one the caller saw.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "It was changed in the meantime";
    /// Too many requests.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests";
    /// A request with the same idempotency key is still running.
    RequestInProgress = "request-in-progress", CONFLICT, "The same request is still running";
    /// The body did not arrive in time.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The request took too long to arrive";
    /// The room takes no one any more.
    RoomClosed = "room-closed", GONE, "The room is closed";
    /// There is no such room.
    RoomNotFound = "room-not-found", NOT_FOUND, "There is no such room";
    /// The sale of this show is not open.
    SaleNotOpen = "sale-not-open", CONFLICT, "The sale is not open";
    /// Some of the seats cannot be had.
    SeatsUnavailable = "seats-unavailable", CONFLICT, "Some of the seats are not available";
    /// One customer wants more tickets than the show allows.
    TicketLimit = "ticket-limit", CONFLICT, "The ticket limit of this show is reached";
    /// No token, or a wrong one, on the operators' listener.
    Unauthorized = "unauthorized", UNAUTHORIZED, "A valid bearer token is required";
    /// The body's media type is not one the endpoint reads.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not supported";
    /// The protocol asked for is not spoken here in that version.
    UpgradeRequired = "upgrade-required", UPGRADE_REQUIRED, "Another protocol or version is needed here";
    /// The upstream could not be reached or broke off.
    UpstreamFailed = "upstream-failed", BAD_GATEWAY, "The service behind the gateway failed";
    /// The upstream took too long.
    UpstreamTimeout = "upstream-timeout", GATEWAY_TIMEOUT, "The service behind the gateway took too long";
    /// The breaker in front of the upstream is open.
    UpstreamUnavailable = "upstream-unavailable", SERVICE_UNAVAILABLE, "The service behind the gateway is resting";
    /// A field is unknown or its value is not acceptable.
    ValidationFailed = "validation-failed", UNPROCESSABLE_ENTITY, "The request has a field that cannot be accepted";
}

/// A problem document.
///
/// `requestId` is filled in by the HTTP edge, which alone knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short sentence, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The stable code.
    pub code: ProblemCode,
    /// The id of the request, as in `X-Request-Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds to wait before the next try; also sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after_seconds: Option<u32>,
    /// Members that only some problems have, such as `seatIds`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
}

/// Default `Retry-After`, in seconds.
pub const RETRY_AFTER_DEFAULT_SECONDS: u32 = 2;

impl Problem {
    /// The problem `code` says. A 429 or 503 starts with the default retry delay.
    pub fn new(code: ProblemCode) -> Self {
        let status = code.status();
        let waits =
            status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            kind: format!("https://ropeline.dev/problems/{}", code.as_str()),
            title: code.title().to_owned(),
            status: status.as_u16(),
            detail: None,
            code,
            request_id: None,
            retry_after_seconds: waits.then_some(RETRY_AFTER_DEFAULT_SECONDS),
            extra: Map::new(),
        }
    }

    /// Adds what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member of this problem's own.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_spelled_the_same_in_json() {
        for code in ProblemCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn unavailable_always_says_when_to_retry() {
        for code in ProblemCode::ALL {
            let waits = matches!(code.status().as_u16(), 429 | 503);
            assert_eq!(
                Problem::new(*code).retry_after_seconds.is_some(),
                waits,
                "{code:?}"
            );
        }
    }

    #[test]
    fn extra_members_stand_beside_the_standard_ones() {
        let problem = Problem::new(ProblemCode::SeatsUnavailable)
            .detail("A10 is taken.")
            .with("seatIds", vec!["A10"]);
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["code"], "seats-unavailable");
        assert_eq!(json["seatIds"][0], "A10");
        assert!(json.get("requestId").is_none());
    }
}
