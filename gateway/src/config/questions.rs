//! How other proxies ask about requests.

use super::settings::Settings;
use crate::edge::asked_about::HeaderFamily;
use crate::gate::RefusalForm;
use crate::http::auth::Questions;

/// Reads how other proxies ask and are answered.
pub(super) fn questions(settings: &Settings, note: &mut impl FnMut(String)) -> Questions {
    let family = match settings.auth_headers.as_deref().map(str::trim) {
        None | Some("x-forwarded") => HeaderFamily::Forwarded,
        Some("x-original-url") => HeaderFamily::Original,
        Some("prefix") => HeaderFamily::Prefix,
        Some(other) => {
            note(format!(
                "ROPELINE_AUTH_HEADERS: {other} is none of x-forwarded, x-original-url, prefix"
            ));
            HeaderFamily::Forwarded
        }
    };
    let form = match settings.auth_refusal.as_deref().map(str::trim) {
        None | Some("401") => RefusalForm::Unauthorized,
        Some("final") => RefusalForm::Final,
        Some(other) => {
            note(format!(
                "ROPELINE_AUTH_REFUSAL: {other} is neither 401 nor final"
            ));
            RefusalForm::Unauthorized
        }
    };
    Questions { family, form }
}
