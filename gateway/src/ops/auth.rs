//! Who an operator is and what they may do.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use web::ApiError;

/// What an operator may do; each includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Change what goes on.
    Operator,
    /// Also what cannot be undone.
    Admin,
}

/// The operator who sent a request, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name of their token, as in the audit log.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Operator {
    /// Refuses those who may do less than `role`.
    pub fn require(&self, role: Role) -> Result<(), ApiError> {
        if self.role >= role {
            Ok(())
        } else {
            Err(Problem::new(ProblemCode::Forbidden)
                .detail(format!(
                    "This needs the role {role:?}; the token's is {:?}.",
                    self.role
                ))
                .into())
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ProblemCode::Unauthorized.into())
    }
}

/// The tokens that are let in. Only their hashes are kept.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<[([u8; 32], Operator)]>);

impl Tokens {
    /// Tokens and whom they stand for. Empty tokens are left out: they would let everyone in.
    pub fn new(tokens: impl IntoIterator<Item = (String, Operator)>) -> Self {
        Self(
            tokens
                .into_iter()
                .filter(|(token, _)| !token.is_empty())
                .map(|(token, operator)| (Sha256::digest(token).into(), operator))
                .collect(),
        )
    }

    /// One token with full rights.
    pub fn admin(token: String) -> Self {
        let operator = Operator {
            name: "admin".to_owned(),
            role: Role::Admin,
        };
        Self::new([(token, operator)])
    }

    /// Compares hashes in constant time and with every token, so that neither the content of a
    /// token nor its position can be measured.
    fn find(&self, token: &str) -> Option<Operator> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for (known, operator) in self.0.iter() {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(operator.clone());
            }
        }
        found
    }
}

/// Lets operators in: viewers to look, all others to change.
pub(super) async fn middleware(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(operator) = bearer(request.headers()).and_then(|token| tokens.find(token)) else {
        metrics::counter!(crate::telemetry::OPS_UNAUTHORIZED).increment(1);
        return ApiError::from(ProblemCode::Unauthorized).into_response();
    };
    let least = if is_reading(request.method()) {
        Role::Viewer
    } else {
        Role::Operator
    };
    if let Err(refusal) = operator.require(least) {
        return refusal.into_response();
    }
    request.extensions_mut().insert(operator);
    next.run(request).await
}

pub(super) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_let_in() {
        let tokens = Tokens::admin("secret".to_owned());
        assert_eq!(tokens.find("secret").unwrap().role, Role::Admin);
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
        assert_eq!(Tokens::admin(String::new()).find(""), None);
    }

    #[test]
    fn roles_include_those_below() {
        let operator = Operator {
            name: "o".to_owned(),
            role: Role::Operator,
        };
        assert!(operator.require(Role::Viewer).is_ok());
        assert!(operator.require(Role::Admin).is_err());
    }
}
