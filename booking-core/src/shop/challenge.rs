//! The page that solves a challenge and sends a form again.

use axum::response::Response;
use contract::ProblemCode;
use http::StatusCode;
use pages::shop::ChallengePage;
use web::ApiError;

use super::page::page;

/// The page that sends `fields` to `action` again once the challenge of `error` is solved; `None`
/// if `error` asks for none. `back` leads back to the form.
pub(super) fn page_of(
    error: &ApiError,
    action: String,
    fields: Vec<(String, String)>,
    back: String,
) -> Option<Response> {
    let problem = error.problem();
    if problem.code != ProblemCode::ChallengeRequired {
        return None;
    }
    // A solution that was not taken is not sent again.
    let fields = fields.into_iter().filter(|(name, _)| name != "proof");
    let challenge = problem.extra.get("challenge")?.clone();
    let html = pages::shop::challenge(&ChallengePage {
        action,
        fields: fields.collect(),
        challenge,
        back,
    });
    Some(page(StatusCode::FORBIDDEN, html))
}
