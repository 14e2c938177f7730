//! Why a room lets visitors through without a limit of the line.

use contract::room::{QueueingMethod, RoomSettings};

/// What makes a room idle, or lets visitors past its line. Who passes for one of these is counted and
/// written to the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassesBy {
    /// Its schedule has not come to queueing yet.
    Idle,
    /// Its queueing method.
    Passthrough,
    /// It is out of use.
    Suspended,
    /// The line cannot be used, and the room is set to be open then.
    FailOpen,
}

impl PassesBy {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Idle,
        Self::Passthrough,
        Self::Suspended,
        Self::FailOpen,
    ];

    /// Why a room with `settings` is idle, if it is.
    pub fn of(settings: &RoomSettings) -> Self {
        if settings.suspended {
            Self::Suspended
        } else if settings.queueing_method == QueueingMethod::Passthrough {
            Self::Passthrough
        } else {
            Self::Idle
        }
    }

    /// The word in metrics and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Passthrough => "passthrough",
            Self::Suspended => "suspended",
            Self::FailOpen => "fail-open",
        }
    }
}
