//! Arguments of `ropeline invoice`.

use clap::{Args, Subcommand, ValueEnum};
use contract::BookingId;

#[derive(Debug, Subcommand)]
pub(crate) enum InvoiceCommand {
    /// List invoices and credit notes, in the order in which they were made
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  \
        ropeline invoice list --year 2026\n  \
        ropeline invoice list --booking bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d"
    )]
    List(InvoiceFilter),
    /// Show an invoice or credit note with its lines
    #[command(after_help = "Example:\n  ropeline invoice show 2026-000017")]
    Show {
        /// Its number
        number: String,
    },
    /// Write them as comma-separated values, a document a line
    #[command(
        after_help = "Amounts are in the smallest unit of the currency; those of credit \
        notes are negative, so that columns can be added up.\n\nExample:\n  \
        ropeline invoice export --year 2026 > invoices.csv"
    )]
    Export(InvoiceFilter),
}

#[derive(Debug, Args)]
pub(crate) struct InvoiceFilter {
    /// Only those of this year
    #[arg(long)]
    pub(crate) year: Option<u16>,
    /// Only invoices, or only credit notes
    #[arg(long)]
    pub(crate) kind: Option<KindArg>,
    /// Only those of this booking
    #[arg(long)]
    pub(crate) booking: Option<BookingId>,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// For bookings that were paid
    Invoice,
    /// For money that went back
    CreditNote,
}
