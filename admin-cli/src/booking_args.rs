//! Arguments of `ropeline booking` and `ropeline review`.

use clap::{Args, Subcommand};
use contract::{BookingId, SeatId, ShowId, TicketId};

#[derive(Debug, Subcommand)]
pub(crate) enum BookingCommand {
    /// Find bookings by code, address or show
    #[command(after_help = "Examples:\n  ropeline booking find --code K7M2RRX9B\n  \
        ropeline booking find --email fan@example.com --json | jq '.bookings[].bookingId'")]
    Find(FindArgs),
    /// Show a booking with its tickets, money and mail
    #[command(after_help = "Example:\n  \
        ropeline booking show bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Show {
        /// The booking
        booking: BookingId,
    },
    /// Cancel a booking or some of its tickets, and give the money back
    #[command(after_help = "Examples:\n  \
        ropeline booking refund bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --reason goodwill\n  \
        ropeline booking refund bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --by-policy --yes")]
    Refund(BookingRefundArgs),
    /// Give tickets of a show away: they cost nothing, and are mailed
    #[command(
        after_help = "Seats that are held or sold are refused. With a key the same command again \
        gives nothing more.\n\nExamples:\n  \
        ropeline booking comp eras-mumbai-1 --seats A-1,A-2 --email press@example.com \
        --reason press\n  \
        ropeline booking comp eras-mumbai-1 --count 4 --category PREMIUM \
        --email crew@example.com --name 'Crew of the day' --key crew-1"
    )]
    Comp(CompArgs),
    /// Write everything that was sold of a show as comma-separated values, a ticket a line
    #[command(
        after_help = "Amounts are in the smallest unit of the currency. What was paid for a \
        booking, given back and left stands in the row of its first ticket, so that columns can \
        be added up.\n\nExamples:\n  ropeline booking export eras-mumbai-1 > sold.csv\n  \
        ropeline booking export eras-mumbai-1 --json | jq -s 'map(.netMinor) | add'"
    )]
    Export {
        /// The show
        show: ShowId,
    },
    /// Pass tickets on to another person, who gets them by mail
    #[command(after_help = "Example:\n  \
        ropeline booking transfer bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --to friend@example.com")]
    Transfer(BookingTransferArgs),
    /// Give tickets new codes, for example when a copy is in wrong hands
    #[command(after_help = "Examples:\n  \
        ropeline booking reissue bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --reason stolen\n  \
        ropeline booking reissue bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --name Ada")]
    Reissue(BookingReissueArgs),
    /// Mail the link to a booking to its customer again
    #[command(after_help = "Example:\n  \
        ropeline booking resend bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Resend {
        /// The booking
        booking: BookingId,
    },
    /// Revoke the links in earlier mails, for example one that was passed on
    #[command(after_help = "Example:\n  \
        ropeline booking revoke-links bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    RevokeLinks {
        /// The booking
        booking: BookingId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List the purchases that wait, the most urgent first
    #[command(after_help = "Example:\n  ropeline review list --json | jq '.reviews[].bookingId'")]
    List,
    /// Show a purchase, and what made it suspicious
    #[command(after_help = "Example:\n  \
        ropeline review show bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Show {
        /// The booking
        booking: BookingId,
    },
    /// Approve a purchase: its tickets are sent
    #[command(after_help = "Example:\n  \
        ropeline review approve bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --note 'called them'")]
    Approve(ReviewArgs),
    /// Refuse a purchase: it is cancelled and the whole price goes back
    #[command(after_help = "Example:\n  \
        ropeline review refuse bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d --note 'stolen card'")]
    Refuse(ReviewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// The booking
    pub(crate) booking: BookingId,
    /// Why, for the record
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct FindArgs {
    /// The code of the booking
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// The address that it was booked with
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// The show
    #[arg(long)]
    pub(crate) show: Option<ShowId>,
}

#[derive(Debug, Args)]
pub(crate) struct CompArgs {
    /// The show
    pub(crate) show: ShowId,
    /// These seats, at most 20
    #[arg(
        long,
        value_name = "SEAT,…",
        value_delimiter = ',',
        required_unless_present = "count",
        conflicts_with_all = ["count", "category"]
    )]
    pub(crate) seats: Vec<SeatId>,
    /// So many of the best that are free, at most 20
    #[arg(long)]
    pub(crate) count: Option<u32>,
    /// Of this category
    #[arg(long, requires = "count")]
    pub(crate) category: Option<String>,
    /// Where the tickets are mailed
    #[arg(long)]
    pub(crate) email: String,
    /// The name to print on the tickets
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// A key of your choice: the same command with it again gives nothing more
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BookingRefundArgs {
    /// The booking
    pub(crate) booking: BookingId,
    /// Only this ticket; may be given several times
    #[arg(long = "ticket", value_name = "TICKET")]
    pub(crate) tickets: Vec<TicketId>,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only what the refund policy gives goes back, not the whole price
    #[arg(long)]
    pub(crate) by_policy: bool,
    /// Also tickets that were used at the door
    #[arg(long, conflicts_with = "by_policy")]
    pub(crate) even_used: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BookingTransferArgs {
    /// The address of the new holder
    #[arg(long, value_name = "EMAIL")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) reissue: BookingReissueArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BookingReissueArgs {
    /// The booking
    pub(crate) booking: BookingId,
    /// Only this ticket; may be given several times
    #[arg(long = "ticket", value_name = "TICKET")]
    pub(crate) tickets: Vec<TicketId>,
    /// The name to print on the tickets
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Why, for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}
