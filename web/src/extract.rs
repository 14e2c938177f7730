//! Extractors that parse typed input and refuse invalid input with a problem document.
//!
//! axum's own extractors answer in plain text. `ApiJson` also limits how long a body may take to
//! arrive, so that a slow client cannot block a handler.

use std::time::Duration;

use axum::RequestExt as _;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Longest time for a body to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body, and a JSON response. An absent body is read as `{}`, with any media type, so that a
/// type whose fields are all optional needs no body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        RawJson::from_request(request, state)
            .await?
            .parse()
            .map(Self)
    }
}

/// A JSON body that is not parsed yet, for handlers that read parts of a body that they refuse.
#[derive(Clone, Debug)]
pub struct RawJson {
    media_type: Option<HeaderValue>,
    body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for RawJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(CONTENT_TYPE).cloned();
        let body = read_body(request, state).await?;
        Ok(Self { media_type, body })
    }
}

impl RawJson {
    /// The body as a `T`; `None` if it cannot be parsed.
    pub fn peek<T: DeserializeOwned>(&self) -> Option<T> {
        let body = contract::text::json_text(&self.body).ok()?;
        serde_json::from_slice(body).ok()
    }

    /// The body as a `T`, or the problem to refuse it with.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match &self.media_type {
            _ if self.body.is_empty() => parse_json(b"{}"),
            Some(media_type) if is_json(media_type) => parse_json(&self.body),
            _ => Err(Problem::new(ProblemCode::UnsupportedMediaType)
                .detail("Send the body as `Content-Type: application/json`.")
                .into()),
        }
    }
}

impl<T: Serialize> IntoResponse for ApiJson<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A body for which no field is known: there is none, or `{}`.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// A form body, as browsers without JavaScript send it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiForm<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiForm<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = tokio::time::timeout(
            BODY_TIMEOUT,
            axum::extract::Form::from_request(request, state),
        );
        match read.await {
            Err(_) => Err(ProblemCode::RequestTimeout.into()),
            Ok(Ok(axum::extract::Form(value))) => Ok(Self(value)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ProblemCode::PayloadTooLarge.into())
            }
            Ok(Err(rejection)) => Err(Problem::new(ProblemCode::ValidationFailed)
                .detail(rejection.body_text())
                .into()),
        }
    }
}

/// A query string.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(ProblemCode::ValidationFailed)
                .detail(rejection.body_text())
                .into()),
        }
    }
}

/// Path parameters. A parameter that cannot be parsed names nothing, so the response is 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    #[expect(
        clippy::disallowed_types,
        reason = "this is the crate's own path extractor"
    )]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(ProblemCode::NotFound.into()),
        }
    }
}

/// The whole body; refuses one that exceeds the limits of size and time.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    // A body whose announced length is over the limit is refused without reading it.
    let announced = request.body().size_hint().lower();
    let request = request.with_limited_body();
    if request.body().size_hint().lower() < announced {
        return Err(ProblemCode::PayloadTooLarge.into());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Err(_) => Err(ProblemCode::RequestTimeout.into()),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BytesRejection::FailedToBufferBody(rejection)))
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            Err(ProblemCode::PayloadTooLarge.into())
        }
        Ok(Err(_)) => Err(Problem::new(ProblemCode::BadRequest)
            .detail("The body broke off.")
            .into()),
    }
}

/// Reads `body` as JSON: syntax errors are 400, a field that does not fit is 422 and named.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = contract::text::json_text(body).map_err(|what| {
        Problem::new(ProblemCode::BadRequest).detail(format!("Not valid JSON: {what}."))
    })?;
    if let Some(field) = contract::text::nul_at(body) {
        let detail = format!("{field}: must not contain the character U+0000");
        return Err(Problem::new(ProblemCode::ValidationFailed)
            .detail(detail)
            .with("field", field)
            .into());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    json.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

fn refuse(path: &str, error: &serde_json::Error) -> ApiError {
    let problem = match error.classify() {
        serde_json::error::Category::Data => {
            let field = field_of(path, &error.to_string());
            let problem = Problem::new(ProblemCode::ValidationFailed).detail(match &field {
                Some(field) => format!("{field}: {error}"),
                None => error.to_string(),
            });
            match field {
                Some(field) => problem.with("field", field),
                None => problem,
            }
        }
        _ => Problem::new(ProblemCode::BadRequest).detail(format!("Not valid JSON: {error}")),
    };
    problem.into()
}

/// The path of the field that an error is about: serde reports where it was, and its message
/// contains the name of a missing or unknown field.
fn field_of(path: &str, message: &str) -> Option<String> {
    let around = (path != "." && path != "?").then_some(path);
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|before| message.strip_prefix(before)?.split('`').next());
    match (around, named) {
        (None, named) => named.map(str::to_owned),
        (Some(around), Some(named)) if around.rsplit('.').next() != Some(named) => {
            Some(format!("{around}.{named}"))
        }
        (Some(around), _) => Some(around.to_owned()),
    }
}

fn is_json(media_type: &HeaderValue) -> bool {
    let media_type = media_type
        .to_str()
        .ok()
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .unwrap_or_default();
    media_type.eq_ignore_ascii_case("application/json")
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RequestIds, standard};
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Greeting {
        #[serde(default)]
        count: u32,
    }

    async fn greet(ApiJson(greeting): ApiJson<Greeting>) -> ApiJson<u32> {
        ApiJson(greeting.count)
    }

    async fn ask(path: &str, content_type: &str, body: impl Into<Body>) -> (u16, Value, HeaderMap) {
        let router = standard(
            Router::new().route("/greet", post(greet)),
            crate::Part::new("test"),
            RequestIds::new(7),
        );
        let request = Request::post(path)
            .header(CONTENT_TYPE, content_type)
            .body(body.into());
        let response = router.oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            serde_json::from_slice(&body).unwrap(),
            parts.headers,
        )
    }

    async fn check(body: impl Into<Body>, status: u16, code: &str, detail: &str) {
        let (actual, json, headers) = ask("/greet", "application/json", body).await;
        assert_eq!(
            (actual, json["code"].as_str()),
            (status, Some(code)),
            "{json}"
        );
        assert!(
            json["detail"].as_str().unwrap_or_default().contains(detail),
            "{json}"
        );
        assert_eq!(
            json["requestId"].as_str(),
            headers["x-request-id"].to_str().ok()
        );
        assert_eq!(headers["content-type"], "application/problem+json");
    }

    #[tokio::test]
    async fn good_input_is_read_and_none_means_defaults() {
        assert_eq!(
            ask("/greet", "application/json", r#"{"count": 3}"#).await.1,
            3
        );
        assert_eq!(ask("/greet", "application/json", "").await.1, 0);
        let router = Router::new().route("/greet", post(greet));
        let request = Request::post("/greet").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn bad_input_is_refused_with_the_field_named() {
        check(
            r#"{"count": 3, "tone": "loud"}"#,
            422,
            "validation-failed",
            "tone",
        )
        .await;
        check(r#"{"count": -1}"#, 422, "validation-failed", "count").await;
        check(r#"{"count": 1e99}"#, 422, "validation-failed", "count").await;
        check(r#"{"count": 3"#, 400, "bad-request", "JSON").await;
        check(r#"{"count": 3} {}"#, 400, "bad-request", "JSON").await;
        check(
            "x".repeat(crate::BODY_BYTES_MAX + 1),
            413,
            "payload-too-large",
            "",
        )
        .await;
    }

    #[test]
    fn a_refusal_names_the_field_wherever_it_stands() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Letter {
            #[expect(dead_code, reason = "only read")]
            to: Vec<Address>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Address {
            #[expect(dead_code, reason = "only read")]
            city: String,
        }
        for (body, field) in [
            ("{}", "to"),
            (r#"{"from": 1}"#, "from"),
            (r#"{"to": 1}"#, "to"),
            (r#"{"to": [{"city": "Ulm"}, {}]}"#, "to[1].city"),
            (r#"{"to": [{"city": "Ulm", "zip": 1}]}"#, "to[0].zip"),
            (r#"{"to": [{"city": 1}]}"#, "to[0].city"),
        ] {
            let error = parse_json::<Letter>(body.as_bytes()).unwrap_err();
            assert_eq!(error.problem().extra["field"], field, "{body}");
        }
        let error = parse_json::<NoFields>(br#"{"reason": "rain"}"#).unwrap_err();
        assert_eq!(error.problem().extra["field"], "reason");
    }

    #[tokio::test]
    async fn the_media_type_counts_only_where_there_is_a_body() {
        for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
            let (status, json, _) = ask("/greet", media_type, "name=Ann").await;
            assert_eq!(
                (status, json["code"].as_str()),
                (415, Some("unsupported-media-type"))
            );
            let (status, ..) = ask("/greet", media_type, "").await;
            assert_ne!(status, 415);
        }
    }

    #[tokio::test]
    async fn unknown_paths_and_methods_are_problems_too() {
        assert_eq!(
            ask("/other", "application/json", "{}").await.1["code"],
            "not-found"
        );
        let (status, json, _) = ask("/greet", "text/plain", "hello").await;
        assert_eq!(
            (status, json["code"].as_str()),
            (415, Some("unsupported-media-type"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = Body::from_stream(never());
        check(endless, 408, "request-timeout", "").await;
    }

    fn never() -> futures_util::stream::Pending<Result<Bytes, std::io::Error>> {
        futures_util::stream::pending()
    }
}
