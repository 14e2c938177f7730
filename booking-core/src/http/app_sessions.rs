//! Sessions of apps: codes, tokens, and their end.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::app_session::{AppCodeRequest, SessionEnd, TokenAnswer, TokenRequest};
use contract::refund::Found;
use contract::{Problem, ProblemCode};
use http::StatusCode;
use web::{ApiJson, ApiResult};

use super::problems::invalid;
use crate::app_sessions::Begun;
use crate::email;
use crate::handle::Booking;

/// What whoever asks for a code reads.
const SENT: &str = "If there is a booking with this address, a mail with a code is on its way.";

/// Mails a code for an app. The answer is the same whether the address has a booking or not.
#[utoipa::path(
    post, path = "/me/codes", request_body = AppCodeRequest, operation_id = "app_code_ask",
    responses(
        (status = 202, body = Found),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "booking-busy")
    )
)]
pub(super) async fn code_ask(
    State(booking): State<Booking>,
    ApiJson(request): ApiJson<AppCodeRequest>,
) -> ApiResult<Response> {
    let Some(email) = email::read(&request.email) else {
        return Err(invalid(
            "email",
            "write the e-mail address that you booked with",
        ));
    };
    if !booking.app_code_ask(email) {
        return Err(ProblemCode::BookingBusy.into());
    }
    let sent = Found {
        detail: SENT.to_owned(),
    };
    Ok((StatusCode::ACCEPTED, ApiJson(sent)).into_response())
}

/// Gets tokens for a code from a mail, or for a refresh token. A refresh token can be used once, and
/// for half a minute again if its answer was lost; used later or after that answer, its session ends.
#[utoipa::path(
    post, path = "/me/token", request_body = TokenRequest, operation_id = "app_token",
    responses(
        (status = 200, body = TokenAnswer),
        (status = 401, body = Problem, description = "unauthorized: the refresh token is not good"),
        (status = 403, body = Problem, description = "code-not-valid"),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description =
            "database-unavailable; booking-busy: too many codes were wrong in this minute")
    )
)]
pub(super) async fn token(
    State(booking): State<Booking>,
    ApiJson(request): ApiJson<TokenRequest>,
) -> ApiResult<ApiJson<TokenAnswer>> {
    match (request.email, request.code, request.refresh_token) {
        (None, None, Some(token)) => {
            let answer = booking.app_session_refresh(token).await?;
            answer
                .map(ApiJson)
                .ok_or_else(|| ProblemCode::Unauthorized.into())
        }
        (Some(email), Some(code), None) => {
            let Some(email) = email::read(&email) else {
                return Err(invalid(
                    "email",
                    "write the address that the code was sent to",
                ));
            };
            match booking.app_session_begin(email, code).await? {
                Begun::With(tokens) => Ok(ApiJson(tokens)),
                Begun::NotValid => Err(ProblemCode::CodeNotValid.into()),
                Begun::Busy => Err(ProblemCode::BookingBusy.into()),
            }
        }
        _ => Err(invalid(
            "refreshToken",
            "send email and code, or a refreshToken",
        )),
    }
}

/// Ends a session. The answer is the same whether the token was good or not.
#[utoipa::path(
    post, path = "/me/token/revoke", request_body = SessionEnd, operation_id = "app_session_end",
    responses(
        (status = 204, description = "The session is over"),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "database-unavailable")
    )
)]
pub(super) async fn session_end(
    State(booking): State<Booking>,
    ApiJson(request): ApiJson<SessionEnd>,
) -> ApiResult<StatusCode> {
    booking.app_session_end(request.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}
