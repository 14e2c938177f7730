//! What a fan sees: the waiting page, the shop's pages, and the files they use.
//!
//! Contexts are typed, rendering is pure: `(page, now) -> String`. Nothing here speaks HTTP;
//! the gateway serves [`asset`]s under [`ASSET_PREFIX`] and sends each page with
//! [`content_security_policy`].
//!
//! Pages work without JavaScript; scripts make them live. Templates escape everything they
//! print. Texts of the waiting page and of the seat map are in `js/texts`, read by the server
//! and by the browser alike.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`asset`](mod@asset) | styles, scripts and pictures, with their media type and version |
//! | [`moment`] | times in the time zone of a venue, spans |
//! | [`money`] | amounts in minor units as people write them |
//! | [`problem`] | problems of the gateway |
//! | [`shop`] | pages of the booking core |
//! | [`wait`] | counts and estimated waits, never more exact than they are |
//! | [`waiting`](mod@waiting) | the waiting page |

pub mod asset;
pub mod moment;
pub mod money;
pub mod problem;
pub mod shop;
pub mod wait;
pub mod waiting;

mod engine;
mod texts;

pub use asset::{ASSET_PREFIX, Asset, asset, asset_cache_control, asset_url, asset_version};
pub use waiting::{WaitingPage, waiting};

/// The policy every page is sent with.
///
/// `payment_origin` is where a form may lead to pay, such as `https://pay.example.org`. Browsers
/// check the target of a redirect that answers a form too, so it has to be named here.
pub fn content_security_policy(payment_origin: Option<&str>) -> String {
    let form_action =
        payment_origin.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self' ws: wss:; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}
