//! Where requests to a room's part of the site go.

use contract::path::PathPrefix;
use contract::upstream::Upstream;
use contract::upstreams::{UpstreamSetting, Upstreams};

use crate::policy::stance::Behind;

/// Where requests to a room's part of the site go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the booking core in this process.
    Embedded,
    /// To somebody's service.
    Remote(Upstreams),
    /// Nowhere: the settings name something that no version of this program accepts.
    Unusable,
}

impl Target {
    /// What the `upstream` of a room's settings means.
    pub fn of(upstream: &UpstreamSetting) -> Self {
        if upstream.is_embedded() {
            return Self::Embedded;
        }
        match upstream.addresses() {
            Ok(upstreams) => Self::Remote(upstreams),
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
            Self::Remote(upstreams) => {
                let servers = upstreams.all().iter().map(Upstream::endpoint);
                (servers.collect(), upstreams.prefix())
            }
            Self::Unusable => (Vec::new(), ""),
        };
        Behind::Remote {
            servers,
            base: base.parse().unwrap_or_else(|_| PathPrefix::root()),
            preserves_host,
        }
    }
}
