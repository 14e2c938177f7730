//! Where requests to a room's part of the site go.

use contract::path::PathPrefix;
use contract::settings::EMBEDDED;
use contract::upstream::Upstream;

use crate::policy::sites::Behind;

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

    /// What it is for the rooms that stand before it.
    pub fn behind(&self, preserves_host: bool) -> Behind {
        let (servers, base) = match self {
            Self::Embedded => return Behind::Core,
            Self::Remote(upstream) => (vec![upstream.endpoint()], upstream.prefix()),
            Self::Unusable => (Vec::new(), ""),
        };
        Behind::Remote {
            servers,
            base: base.parse().unwrap_or_else(|_| PathPrefix::root()),
            preserves_host,
        }
    }
}
