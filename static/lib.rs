//! The pages for fans: the waiting page, the shop's pages, and their assets.
//!
//! Contexts are typed and rendering is pure: `(page, now) -> String`. Nothing here speaks HTTP; the
//! gateway serves [`asset`]s under [`ASSET_PREFIX`] and sends each page with
//! [`content_security_policy`].
//!
//! Pages work without JavaScript; scripts add live updates. Templates escape all output. The texts
//! of the waiting page and of the seat map are in `js/texts`, which both the server and the browser
//! read.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`asset`](mod@asset) | stylesheets, scripts and images, with media type and version |
//! | [`checkin`](mod@checkin) | the scanner page |
//! | [`map`] | links to a map of a venue |
//! | [`letters`] | templates of mail, their languages, and the operator's own |
//! | [`mail`] | mail to fans, as text and HTML, and the same in one sentence |
//! | [`mail_transfers`] | mail about tickets that were passed on |
//! | [`moment`] | times in the time zone of a venue, spans |
//! | [`money`] | amounts in minor units, formatted for people |
//! | [`problem`] | problems of the gateway |
//! | [`shop`] | pages of the booking core |
//! | [`wait`] | counts and estimated waits, rounded to their precision |
//! | [`waiting`](mod@waiting) | the waiting page |

pub mod asset;
pub mod checkin;
pub mod letters;
pub mod mail;
pub mod mail_transfers;
pub mod map;
pub mod moment;
pub mod money;
pub mod problem;
pub mod shop;
pub mod wait;
pub mod waiting;

mod engine;
mod percent;
mod texts;

pub use asset::{ASSET_PREFIX, Asset, asset, asset_cache_control, asset_url, asset_version};
pub use checkin::{CHECKIN_PATH, CHECKIN_POLICY, CHECKIN_WORKER_PATH, checkin, checkin_worker};
pub use waiting::{WaitingPage, waiting};

/// The Content-Security-Policy of every page.
///
/// `payment_origin` is the payment provider's origin, such as `https://pay.example.org`. Browsers
/// apply `form-action` to redirects after a form too, so it has to be listed.
pub fn content_security_policy(payment_origin: Option<&str>) -> String {
    let form_action =
        payment_origin.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' ws: wss:; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}
