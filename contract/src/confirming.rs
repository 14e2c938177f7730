//! Confirming a purchase.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The payment that pays for the hold, as the answer that started it names it.
    pub payment_intent_id: String,
}

/// The answer while a payment's outcome is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Processing {
    /// Always `PROCESSING`.
    pub status: String,
}
