//! Outages of a whole provider's API, which last until they are told to end. Not kept over a restart.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Whose API fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProviderName {
    Stripe,
    Razorpay,
}

/// How an API answers. To refuse connections, stop the simulator: two of them, one for each
/// provider, fail apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// As it should.
    #[default]
    Up,
    /// 503 without effect.
    Down,
    /// 429 without effect.
    RateLimited,
    /// 500, and the call has taken effect.
    LosesAnswers,
    /// The call takes effect, and the answer comes after this long.
    Slow {
        /// Milliseconds.
        delay_ms: u64,
    },
}

/// How each API answers.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<(Mode, Mode)>);

impl Outages {
    /// How the API of `provider` answers.
    pub(crate) fn of(&self, provider: ProviderName) -> Mode {
        let modes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match provider {
            ProviderName::Stripe => modes.0,
            ProviderName::Razorpay => modes.1,
        }
    }

    /// Lets the API of `provider` answer so.
    pub(crate) fn set(&self, provider: ProviderName, mode: Mode) {
        let mut modes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match provider {
            ProviderName::Stripe => modes.0 = mode,
            ProviderName::Razorpay => modes.1 = mode,
        }
    }
}
