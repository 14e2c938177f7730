//! Refuses ambiguous paths, which two servers could resolve differently, before any routing.

use contract::path::{AmbiguousPath, SafePath};
use contract::{Problem, ProblemCode};
use http::Uri;
use web::ApiError;

/// Checks that the path of `uri` is unambiguous.
pub fn check_path(uri: &Uri) -> Result<SafePath<'_>, ApiError> {
    SafePath::parse(uri.path()).map_err(|reason: AmbiguousPath| {
        Problem::new(ProblemCode::AmbiguousPath)
            .detail(format!("Refused: {reason}."))
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_ambiguous_path_is_a_problem() {
        let refused = check_path(&"/a/%2e%2e/b".parse().unwrap()).unwrap_err();
        assert_eq!(refused.problem().code, ProblemCode::AmbiguousPath);
        assert_eq!(refused.problem().status, 400);
    }
}
