//! What an authority finds that looks whether a name leads to us (HTTP-01; RFC 8555, section 8.3).

use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method};

/// Where authorities look.
const PREFIX: &str = "/.well-known/acme-challenge/";
/// Characters of a token. Authorities use about 43.
const TOKEN_CHARS_MAX: usize = 128;

/// The answers that are shown, each in a file with the name of its token.
#[derive(Clone, Debug)]
pub struct Challenges(PathBuf);

impl Challenges {
    /// Those in this directory.
    pub fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The answer to a request; `None` if it does not ask for one of ours, which may be one of the
    /// shop's.
    pub async fn answer(&self, head: &Parts) -> Option<Response> {
        let token = head.uri.path().strip_prefix(PREFIX)?;
        if !is_token(token) || ![Method::GET, Method::HEAD].contains(&head.method) {
            return None;
        }
        let answer = tokio::fs::read_to_string(self.0.join(token)).await.ok()?;
        let headers = [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Some((headers, answer.trim_end().to_owned()).into_response())
    }
}

/// Whether `text` may be a token, and so the name of a file.
pub(super) fn is_token(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= TOKEN_CHARS_MAX && text.bytes().all(is_good)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn found(challenges: &Challenges, method: Method, path: &str) -> Option<String> {
        let request = Request::builder().method(method).uri(path).body(());
        let (head, ()) = request.unwrap().into_parts();
        let answer = challenges.answer(&head).await?;
        assert_eq!(answer.status(), 200);
        let body = axum::body::to_bytes(answer.into_body(), 1024)
            .await
            .unwrap();
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_tokens_that_are_shown_are_answered() {
        let directory = tempfile::tempdir().unwrap();
        let shown = directory.path().join("shown");
        std::fs::create_dir(&shown).unwrap();
        std::fs::write(shown.join("to-ken_1"), "to-ken_1.thumb\n").unwrap();
        std::fs::write(directory.path().join("secret"), "secret").unwrap();
        let challenges = Challenges::at(shown);
        let at = |token: &str| format!("{PREFIX}{token}");
        let here = found(&challenges, Method::GET, &at("to-ken_1")).await;
        assert_eq!(here.as_deref(), Some("to-ken_1.thumb"));
        for (method, path) in [
            (Method::POST, at("to-ken_1")),
            (Method::GET, at("other")),
            (Method::GET, at("../secret")),
            (Method::GET, at("%2e%2e%2fsecret")),
            (Method::GET, at("")),
            (Method::GET, at(&"a".repeat(129))),
            (Method::GET, "/to-ken_1".to_owned()),
        ] {
            assert_eq!(found(&challenges, method, &path).await, None, "{path}");
        }
    }
}
