//! Where a room stands, as the lookup of rooms needs it.

use contract::host::AnsweredHost;
use contract::path::PathPrefix;

/// What a room says of where it stands.
#[derive(Clone, Debug)]
pub struct Stance {
    /// The hosts that it answers for; any, when empty.
    pub hosts: Vec<AnsweredHost>,
    /// The prefixes that it protects.
    pub prefixes: Vec<PathPrefix>,
    /// What is behind it.
    pub behind: Behind,
}

/// What is behind a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The booking core in this process.
    Core,
    /// Somebody's service.
    Remote {
        /// Its addresses, in a form in which the same server reads the same; none, when the settings
        /// cannot be read.
        servers: Vec<String>,
        /// The path of its servers that all of it is below.
        base: PathPrefix,
        /// It is told which host was asked for, so that it can tell the hosts of rooms apart.
        preserves_host: bool,
    },
}
