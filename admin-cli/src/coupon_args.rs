//! What can be typed after `ropeline coupon`.

use clap::{Args, Subcommand};
use contract::pricing::Percent;
use contract::{ShowId, Timestamp};

#[derive(Debug, Subcommand)]
pub(crate) enum CouponCommand {
    /// Make a coupon; its code is drawn by lot unless one is given
    #[command(after_help = "Examples:\n  \
        ropeline coupon create EARLY --percent 20 --uses 500 --until 2026-12-01T00:00:00Z\n  \
        ropeline coupon create --amount 50000 --currency INR --minimum 200000 --first-booking\n  \
        ropeline coupon create FRIENDS --percent 100 --show eras-mumbai-1 --category PREMIUM \
        --uses-per-customer 1")]
    Create(Box<CouponTermsArgs>),
    /// List the coupons
    #[command(visible_alias = "ls", after_help = "Example:\n  ropeline coupon list")]
    List,
    /// Show a coupon with its uses
    #[command(after_help = "Example:\n  ropeline coupon show EARLY")]
    Show {
        /// Its code, in any case
        code: String,
    },
    /// Disable a coupon for good; holds that have it keep their price
    #[command(after_help = "Example:\n  ropeline coupon disable EARLY")]
    Disable {
        /// Its code, in any case
        code: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CouponTermsArgs {
    /// What fans type: 4 to 32 letters, digits and hyphens
    pub(crate) code: Option<String>,
    /// Takes off a share of prices and fees, such as 20 or 12.5
    #[arg(long, value_name = "PERCENT", value_parser = percent,
        required_unless_present = "amount", conflicts_with = "amount")]
    pub(crate) percent: Option<Percent>,
    /// Takes off an amount instead, minor units
    #[arg(long, value_name = "MINOR", requires = "currency")]
    pub(crate) amount: Option<i64>,
    /// Currency of amounts, such as INR
    #[arg(long)]
    pub(crate) currency: Option<String>,
    /// Only for this show
    #[arg(long)]
    pub(crate) show: Option<ShowId>,
    /// Only for this category; may be given several times
    #[arg(long = "category", value_name = "CATEGORY")]
    pub(crate) categories: Vec<String>,
    /// Only for orders that cost at least this, minor units
    #[arg(long, value_name = "MINOR", requires = "currency")]
    pub(crate) minimum: Option<i64>,
    /// Only for addresses that never booked
    #[arg(long)]
    pub(crate) first_booking: bool,
    /// How often it can be used in all
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u32>,
    /// How often one address can use it
    #[arg(long, value_name = "N")]
    pub(crate) uses_per_customer: Option<u32>,
    /// From when it can be used, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Option<Timestamp>,
    /// Until when it can be used, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
}

fn percent(text: &str) -> Result<Percent, String> {
    serde_json::from_str(text).map_err(|_| "must be a number such as 20 or 12.5".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-12-01T00:00:00Z".to_owned())
}
