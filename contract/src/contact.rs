//! JSON of how fans want to be told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A way to a fan that a customer can prefer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PreferredChannel {
    /// Mail to the address that the booking was made with.
    #[default]
    Email,
    /// Text messages.
    Sms,
    /// Push messages to browsers that were subscribed.
    Push,
}

/// How the customer of a booking is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// What is tried first where both mail and something faster would do.
    pub preferred: PreferredChannel,
    /// The telephone number, of which only the country and the last two digits are told.
    pub phone: Option<String>,
    /// Browsers that take push messages.
    pub push_count: u32,
    /// Whether text messages can be sent.
    pub sms_offered: bool,
    /// What a browser subscribes to: `applicationServerKey`, base64url.
    pub push_key: String,
}

/// How the customer wants to be told. It replaces what was said before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactRequest {
    /// What is tried first.
    #[serde(default)]
    pub preferred: PreferredChannel,
    /// A telephone number with its country, such as `+49 151 1234567`; none is kept when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub phone: Option<String>,
    /// A one-time code, as for cancelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub code: Option<String>,
}

/// A browser that takes push messages, as `PushSubscription.toJSON()` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSubscription {
    /// Where its push service takes messages.
    #[schema(max_length = 1000)]
    pub endpoint: String,
    /// What messages are encrypted with.
    pub keys: PushKeys,
}

/// The keys of a browser for push messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushKeys {
    /// Its public key, base64url.
    #[schema(max_length = 100)]
    pub p256dh: String,
    /// Its secret, base64url.
    #[schema(max_length = 40)]
    pub auth: String,
}

/// A fan in a waiting room who wants to be told of the call. One of the two has to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnRequest {
    /// An e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// A browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushSubscription>,
}
