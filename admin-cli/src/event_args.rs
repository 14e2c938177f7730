//! What can be typed about events, subscriptions and sales.

use clap::{Args, Subcommand};
use contract::{ShowId, SubscriptionId};

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List the newest events
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  ropeline events list\n  \
        ropeline events list --limit 5 --type booking.confirmed --json"
    )]
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        kinds: Kinds,
    },
    /// Write all events after a position, one JSON document a line
    #[command(after_help = "Examples:\n  ropeline events replay > events.jsonl\n  \
        ropeline events replay --after 1200 --type refund.made | jq .data.amountMinor")]
    Replay {
        /// The position
        #[arg(long, default_value_t = 0)]
        after: u64,
        #[command(flatten)]
        kinds: Kinds,
    },
    /// Write events as they happen, one JSON document a line, until Ctrl-C
    #[command(
        after_help = "Example:\n  ropeline events tail --type booking.confirmed | jq .data.code"
    )]
    Tail {
        /// Begin after this position instead of now
        #[arg(long)]
        after: Option<u64>,
        #[command(flatten)]
        kinds: Kinds,
    },
    /// Erase a customer's address from all events, for good; asks first
    ///
    /// Bookings keep it, and so do those who have taken the events.
    #[command(after_help = "Example:\n  ropeline events erase fan@example.com --yes")]
    Erase {
        /// The address
        email: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Kinds {
    /// Only this kind, such as booking.confirmed; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kinds: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubscriptionCommand {
    /// Tell a receiver of events by webhooks; shows the secret once
    #[command(after_help = "Examples:\n  \
        ropeline subscription create https://crm.example/hook --type booking.confirmed\n  \
        ropeline subscription create https://crm.example/hook --after 0")]
    Create {
        /// Where webhooks go
        url: String,
        #[command(flatten)]
        kinds: Kinds,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Begin after this position instead of now; 0 for all that ever happened
        #[arg(long)]
        after: Option<u64>,
    },
    /// List subscriptions
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  ropeline subscription list"
    )]
    List,
    /// Show a subscription
    #[command(after_help = "Example:\n  \
        ropeline subscription show sub_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Show {
        /// The subscription
        subscription: SubscriptionId,
    },
    /// Delete a subscription with its deliveries; asks first
    #[command(after_help = "Example:\n  \
        ropeline subscription delete sub_0198c2e4f7a87c1e9d3b5a6f70812c3d --yes")]
    Delete {
        /// The subscription
        subscription: SubscriptionId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Enable a subscription that was disabled; what happened meanwhile is delivered
    #[command(after_help = "Example:\n  \
        ropeline subscription enable sub_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Enable {
        /// The subscription
        subscription: SubscriptionId,
    },
    /// Disable a subscription; its events wait
    #[command(after_help = "Example:\n  \
        ropeline subscription disable sub_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Disable {
        /// The subscription
        subscription: SubscriptionId,
    },
    /// Exchange the secret; shows the new one once
    #[command(after_help = "Examples:\n  \
        ropeline subscription rotate sub_0198c2e4f7a87c1e9d3b5a6f70812c3d\n  \
        ropeline subscription rotate sub_0198c2e4f7a87c1e9d3b5a6f70812c3d --overlap-seconds 0")]
    Rotate {
        /// The subscription
        subscription: SubscriptionId,
        /// How long the secret before stays good, a day when absent; 0 for one that leaked
        #[arg(long, value_name = "SECONDS")]
        overlap_seconds: Option<u64>,
    },
    /// List deliveries, the newest events first
    #[command(after_help = "Examples:\n  \
        ropeline subscription deliveries sub_0198c2e4f7a87c1e9d3b5a6f70812c3d\n  \
        ropeline subscription deliveries sub_0198c2e4f7a87c1e9d3b5a6f70812c3d --status failed")]
    Deliveries {
        /// The subscription
        subscription: SubscriptionId,
        /// Only those in this state; failed are the dead letters
        #[arg(long, value_enum)]
        status: Option<DeliveryState>,
    },
    /// Send a test event now
    #[command(after_help = "Example:\n  \
        ropeline subscription test sub_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Test {
        /// The subscription
        subscription: SubscriptionId,
    },
    /// Send dead letters again, or everything after a position
    #[command(after_help = "Examples:\n  \
        ropeline subscription replay sub_0198c2e4f7a87c1e9d3b5a6f70812c3d --failed\n  \
        ropeline subscription replay sub_0198c2e4f7a87c1e9d3b5a6f70812c3d --after 1200")]
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The subscription
    pub(crate) subscription: SubscriptionId,
    /// The dead letters
    #[arg(long, required_unless_present = "after", conflicts_with = "after")]
    pub(crate) failed: bool,
    /// All events after this position
    #[arg(long, value_name = "POSITION")]
    pub(crate) after: Option<u64>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DeliveryState {
    /// It waits for its next attempt
    Due,
    /// The receiver has it
    Delivered,
    /// A dead letter
    Failed,
}

#[derive(Debug, Args)]
pub(crate) struct SalesArgs {
    /// Only this show
    pub(crate) show: Option<ShowId>,
    /// Hour by hour, of UTC
    #[arg(long)]
    pub(crate) hourly: bool,
    /// As comma-separated values, by show and category, amounts in minor units
    #[arg(long)]
    pub(crate) csv: bool,
}
