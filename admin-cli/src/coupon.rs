//! `ropeline coupon …`: making, reading and disabling coupons.

use comfy_table::Cell;
use contract::coupon::{Coupon, CouponList, CouponTerms, PaymentKind};
use reqwest::Method;

use crate::amount::money_text;
use crate::client::AdminClient;
use crate::console::{Console, counted, table_of};
use crate::coupon_args::{CouponCommand, CouponTermsArgs};
use crate::failure::{Exit, Failure};

/// Runs the command.
pub(crate) async fn run(
    command: CouponCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        CouponCommand::Create(args) => {
            let made: Coupon = client.write(Method::POST, "coupons", &terms(*args)).await?;
            one(&made, console)?;
        }
        CouponCommand::List => list(client, console).await?,
        CouponCommand::Show { code } => {
            let found: Coupon = client.get(&path(&code)).await?;
            one(&found, console)?;
        }
        CouponCommand::Disable { code } => {
            let disabled: Coupon = client.post(&format!("{}/disable", path(&code))).await?;
            one(&disabled, console)?;
        }
    }
    Ok(Exit::Fine)
}

/// The path of a coupon. What can be no part of a code is no part of the path either.
fn path(code: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let code: String = code.trim().chars().filter(fits).collect();
    format!("coupons/{code}")
}

fn terms(args: CouponTermsArgs) -> CouponTerms {
    CouponTerms {
        code: args.code,
        percent: args.percent,
        amount_minor: args.amount,
        currency: args.currency,
        show_id: args.show,
        categories: args.categories,
        minimum_minor: args.minimum,
        first_booking: args.first_booking,
        uses_max: args.uses,
        uses_per_customer_max: args.uses_per_customer,
        valid_from: args.from,
        valid_until: args.until,
        payment_methods: args.payment_methods,
    }
}

/// A kind of payment as it is typed: `card:visa:debit:HDFC`.
fn kind_text(kind: &PaymentKind) -> String {
    let PaymentKind {
        method,
        network,
        funding,
        issuer,
    } = kind;
    let parts = [
        Some(method),
        network.as_ref(),
        funding.as_ref(),
        issuer.as_ref(),
    ];
    let parts: Vec<&str> = parts.map(|part| part.map_or("", String::as_str)).to_vec();
    parts.join(":").trim_end_matches(':').to_owned()
}

/// What a coupon takes off, in words.
fn off(coupon: &Coupon) -> String {
    let terms = &coupon.terms;
    match (terms.percent, terms.amount_minor) {
        (Some(percent), _) => format!("{percent} %"),
        (None, Some(amount)) => money_text(amount, terms.currency.as_deref().unwrap_or_default()),
        (None, None) => String::new(),
    }
}

fn uses(coupon: &Coupon) -> String {
    let used = format!("{} booked, {} reserved", coupon.booked, coupon.reserved);
    match coupon.terms.uses_max {
        Some(max) => format!("{used} of {max}"),
        None => used,
    }
}

fn one(coupon: &Coupon, console: &Console) -> Result<(), Failure> {
    if console.is_json() {
        return console.document(coupon);
    }
    let terms = &coupon.terms;
    let amount = |amount: i64| money_text(amount, terms.currency.as_deref().unwrap_or_default());
    let mut table = table_of(&["", ""]);
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            table.add_row([Cell::new(name), Cell::new(value)]);
        }
    };
    row("coupon", coupon.code.clone());
    row("takes off", off(coupon));
    row("uses", uses(coupon));
    let show = terms.show_id.as_ref().map(ToString::to_string);
    row("show", show.unwrap_or_else(|| "all".to_owned()));
    row("categories", terms.categories.join(", "));
    row(
        "orders from",
        terms.minimum_minor.map(amount).unwrap_or_default(),
    );
    let first = if terms.first_booking { "yes" } else { "" };
    row("only first bookings", first.to_owned());
    let each = terms.uses_per_customer_max.map(|max| max.to_string());
    row("uses for each address", each.unwrap_or_default());
    let kinds: Vec<String> = terms.payment_methods.iter().map(kind_text).collect();
    row("paid by", kinds.join(", "));
    for (name, time) in [
        ("from", terms.valid_from),
        ("until", terms.valid_until),
        ("disabled", coupon.disabled_at),
    ] {
        row(name, time.map(|time| time.to_string()).unwrap_or_default());
    }
    console.table(table)
}

async fn list(client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let found: CouponList = client.get("coupons").await?;
    if console.is_json() {
        return console.document(&found);
    }
    if !found.coupons.is_empty() {
        let mut table = table_of(&["coupon", "takes off", "show", "uses", "state"]);
        for coupon in &found.coupons {
            let show = coupon.terms.show_id.as_ref().map(ToString::to_string);
            let state = if coupon.disabled_at.is_some() {
                "disabled"
            } else {
                ""
            };
            table.add_row([
                Cell::new(&coupon.code),
                Cell::new(off(coupon)),
                Cell::new(show.unwrap_or_else(|| "all".to_owned())),
                Cell::new(uses(coupon)),
                Cell::new(state),
            ]);
        }
        console.table(table)?;
    }
    let count = u64::try_from(found.coupons.len()).unwrap_or(u64::MAX);
    console.text(&format!("{}.", counted(count, "coupon", "coupons")))
}
