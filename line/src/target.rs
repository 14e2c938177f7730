//! Where requests to a room's part of the site go.

use contract::settings::EMBEDDED;
use contract::upstream::Upstream;

/// Where requests to a room's part of the site go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the booking core in this process.
    Embedded,
    /// To somebody's service.
    Remote(Upstream),
    /// Nowhere: the settings name something that no version of this program accepts.
    Unusable,
}

impl Target {
    /// What the `upstream` of a room's settings means.
    pub fn of(upstream: &str) -> Self {
        if upstream == EMBEDDED {
            return Self::Embedded;
        }
        match upstream.parse() {
            Ok(upstream) => Self::Remote(upstream),
            Err(error) => {
                tracing::error!(%error, "a room's upstream cannot be used");
                Self::Unusable
            }
        }
    }
}
