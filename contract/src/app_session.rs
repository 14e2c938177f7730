//! JSON of sessions of apps: a code from a mail, short access, and refresh tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The header that carries the access token of an app. `Authorization` is the pass's.
pub const ACCESS_HEADER: &str = "booking-access";

/// The body that asks for a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppCodeRequest {
    /// The address that bookings were made with.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    pub email: String,
}

/// The body that asks for tokens: `email` and `code` for a new session, or `refreshToken`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    /// The address that the code was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The code from the mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The refresh token of the last answer, or for half a minute the one before, if that answer was
    /// lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// Tokens of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenAnswer {
    /// Sent as `Booking-Access`.
    pub access_token: String,
    /// How long it is good, seconds.
    pub expires_in: u64,
    /// Gets the next tokens, once. A copy of it ends the session.
    pub refresh_token: String,
}

/// The body that ends a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionEnd {
    /// A refresh token of the session.
    pub refresh_token: String,
}
