//! Identifiers with the prefixes Stripe uses, drawn from the injected randomness.

use std::fmt;

use rand::RngExt;
use rand::distr::Alphanumeric;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

/// Random characters after a prefix: 24 of 62 letters make 142 bits.
const RANDOM_CHARACTERS: usize = 24;

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(String);

        impl $name {
            /// A new identifier.
            pub(crate) fn draw(rng: &mut ChaCha20Rng) -> Self {
                Self(format!(concat!($prefix, "_{}"), random_text(rng)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            /// Any text is accepted: an unknown id simply finds nothing.
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

prefixed_id!(
    /// A payment intent.
    IntentId,
    "pi"
);
prefixed_id!(
    /// One attempt to take money.
    ChargeId,
    "ch"
);
prefixed_id!(
    /// A refund.
    RefundId,
    "re"
);
prefixed_id!(
    /// A dispute.
    DisputeId,
    "dp"
);
prefixed_id!(
    /// A checkout session.
    SessionId,
    "cs_test"
);
prefixed_id!(
    /// A payment link of Razorpay's.
    LinkId,
    "plink"
);
prefixed_id!(
    /// A webhook event.
    EventId,
    "evt"
);
prefixed_id!(
    /// A queued fault.
    FaultId,
    "flt"
);
prefixed_id!(
    /// One HTTP request, as the `Request-Id` header names it.
    RequestId,
    "req"
);

/// Unguessable letters and digits.
pub(crate) fn random_text(rng: &mut ChaCha20Rng) -> String {
    rng.sample_iter(Alphanumeric)
        .take(RANDOM_CHARACTERS)
        .map(char::from)
        .collect()
}
