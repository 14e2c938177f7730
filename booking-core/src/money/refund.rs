//! The states of refunds, and the ids of their ledger movements.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The state of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RefundStatus {
    /// It may not have reached the provider.
    Requested,
    /// The provider has accepted it.
    Submitted,
    /// The money was given back.
    Succeeded,
    /// The provider refused; it will be tried again.
    Failed,
    /// Refused too often: a person has to look.
    NeedsOps,
}

impl RefundStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Submitted => "SUBMITTED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::NeedsOps => "NEEDS_OPS",
        }
    }
}

/// The id of a refund's movement in the ledger: the same movement always has the same id, and a
/// movement after a further refusal has another.
pub(crate) fn movement_id(refund_id: Uuid, refusal_count: i32, gives: bool) -> Uuid {
    if refusal_count == 0 && gives {
        return refund_id;
    }
    let what = if gives { "gives" } else { "returns" };
    derived_id(&[&refund_id.to_string(), &refusal_count.to_string(), what])
}

/// An id derived from `parts`, so that equal parts give equal ids in every process.
pub(crate) fn derived_id(parts: &[&str]) -> Uuid {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(parts.join(":"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_movement_of_money_has_a_name_of_its_own() {
        let id = Uuid::from_u128(7);
        assert_eq!(movement_id(id, 0, true), id);
        let names: std::collections::BTreeSet<Uuid> = (0..3)
            .flat_map(|count| [true, false].map(|gives| movement_id(id, count, gives)))
            .collect();
        assert_eq!(names.len(), 6);
        assert_eq!(movement_id(id, 2, false), movement_id(id, 2, false));
    }
}
