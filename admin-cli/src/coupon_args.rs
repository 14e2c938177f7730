//! What can be typed after `ropeline coupon`.

use clap::{Args, Subcommand};
use contract::coupon::PaymentKind;
use contract::pricing::Percent;
use contract::{ShowId, Timestamp};

#[derive(Debug, Subcommand)]
pub(crate) enum CouponCommand {
    /// Make a coupon; its code is drawn by lot unless one is given
    #[command(after_help = "Examples:\n  \
        ropeline coupon create EARLY --percent 20 --uses 500 --until 2026-12-01T00:00:00Z\n  \
        ropeline coupon create --amount 50000 --currency INR --minimum 200000 --first-booking\n  \
        ropeline coupon create FRIENDS --percent 100 --show eras-mumbai-1 --category PREMIUM \
        --uses-per-customer 1\n  \
        ropeline coupon create HDFC15 --percent 15 --paid-by card:::HDFC --paid-by netbanking:::HDFC")]
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
    /// Only for payments of this kind, METHOD:NETWORK:FUNDING:ISSUER, such as `card:visa`, `card::debit` or
    /// `card:::HDFC`; may be given several times
    #[arg(long = "paid-by", value_name = "KIND", value_parser = kind)]
    pub(crate) payment_methods: Vec<PaymentKind>,
    /// From when it can be used, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) from: Option<Timestamp>,
    /// Until when it can be used, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
}

fn kind(text: &str) -> Result<PaymentKind, String> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let part = |nth: usize| parts.get(nth).filter(|part| !part.is_empty());
    let method = part(0).filter(|_| parts.len() <= 4);
    Ok(PaymentKind {
        method: (*method.ok_or("must be METHOD:NETWORK:FUNDING:ISSUER, such as card:visa")?)
            .to_owned(),
        network: part(1).map(|part| (*part).to_owned()),
        funding: part(2).map(|part| (*part).to_owned()),
        issuer: part(3).map(|part| (*part).to_owned()),
    })
}

fn percent(text: &str) -> Result<Percent, String> {
    serde_json::from_str(text).map_err(|_| "must be a number such as 20 or 12.5".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-12-01T00:00:00Z".to_owned())
}
