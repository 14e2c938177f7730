//! A parsed API request: caller, parameters and idempotency key.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use data_encoding::BASE64;
use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::form::Form;
use crate::id::RequestId;
use crate::object::Cause;
use crate::provider::{Answer, Provider, RequestKey};

/// Longest idempotency key, the limit of Stripe's API.
const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

/// A parsed request.
pub(crate) struct ApiRequest {
    caller: Caller,
    form: Form,
    cause: Cause,
    key: Option<RequestKey>,
}

/// The `{id}` of the path.
pub(crate) struct ObjectId(pub(crate) String);

/// A request authenticated by the merchant's secret key; others are refused.
pub(crate) struct Merchant(pub(crate) ApiRequest);

impl ApiRequest {
    /// Calls `decide` once for all repeats of this request, and responds.
    pub(crate) async fn perform(
        self,
        provider: &Provider,
        decide: impl FnOnce(&mut Desk<'_>, &Form, &Caller) -> Outcome,
    ) -> Answer {
        let Self {
            caller,
            form,
            cause,
            key,
        } = self;
        provider
            .call(cause, key, |desk| decide(desk, &form, &caller))
            .await
    }
}

impl FromRequest<Provider> for Merchant {
    type Rejection = ApiError;

    async fn from_request(request: Request, provider: &Provider) -> Result<Self, ApiError> {
        let request = ApiRequest::from_request(request, provider).await?;
        match request.caller {
            Caller::Merchant => Ok(Self(request)),
            Caller::Browser { .. } => Err(ApiError::unauthenticated(
                "This call needs your secret API key.".to_owned(),
            )),
        }
    }
}

impl FromRequest<Provider> for ApiRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, provider: &Provider) -> Result<Self, ApiError> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let headers = request.headers().clone();
        let request_id = request.extensions().get::<RequestId>().cloned();
        let body = body(request).await?;
        let form = if method == Method::GET {
            Form::parse(query.as_bytes())?
        } else {
            demand_form(&headers, &body)?;
            Form::parse(&body)?
        };
        let caller = caller(&headers, &form, provider.secret())?;
        let key = match idempotency_key(&headers)? {
            Some(key) if method == Method::POST => Some(RequestKey::new(
                &caller,
                key,
                method.as_str(),
                &path,
                &form.canonical(),
            )),
            _ => None,
        };
        let cause = Cause {
            request_id,
            idempotency_key: key.as_ref().map(|key| key.key.clone()),
        };
        Ok(Self {
            caller,
            form,
            cause,
            key,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ObjectId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let found = params
            .ok()
            .and_then(|params| params.iter().next().map(|(_, value)| value.to_owned()));
        found
            .map(Self)
            .ok_or_else(|| ApiError::no_such_call(parts.method.as_str(), parts.uri.path()))
    }
}

/// The whole body, up to the limit.
pub(crate) async fn body(request: Request) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| {
            ApiError::provider(
                rejection.status().as_u16(),
                "The request body cannot be read.",
            )
        })
}

fn demand_form(headers: &HeaderMap, body: &Bytes) -> Result<(), ApiError> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if is_form || body.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(
            "parameter_unknown",
            "Send parameters as application/x-www-form-urlencoded.".to_owned(),
            None,
        ))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_CHARACTERS_MAX)
        .map(Some)
        .ok_or_else(|| {
            ApiError::invalid(
                "idempotency_key_invalid",
                format!(
                    "An idempotency key has 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} \
                     visible characters."
                ),
                None,
            )
        })
}

/// The caller: the merchant by the secret key, or a browser by a client secret.
pub(crate) fn caller(
    headers: &HeaderMap,
    form: &Form,
    secret: &Secret,
) -> Result<Caller, ApiError> {
    let key = presented_key(headers);
    let public = key.as_deref().is_none_or(|key| key.starts_with("pk_"));
    match (&key, form.text(&["client_secret"])) {
        (Some(key), _) if bool::from(key.as_bytes().ct_eq(secret.expose().as_bytes())) => {
            Ok(Caller::Merchant)
        }
        (_, Some(client_secret)) if public => Ok(Caller::Browser {
            client_secret: client_secret.to_owned(),
        }),
        (None, _) => Err(ApiError::unauthenticated(
            "You did not provide an API key. Provide it as bearer token in the Authorization \
             header, or as the user name of HTTP basic authentication."
                .to_owned(),
        )),
        (Some(_), _) if public => Err(ApiError::unauthenticated(
            "This call needs your secret API key, or a client_secret.".to_owned(),
        )),
        (Some(_), _) => Err(ApiError::unauthenticated(
            "Invalid API key provided.".to_owned(),
        )),
    }
}

fn presented_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(rest.trim().as_bytes()).ok()?).ok()?;
    let user = decoded
        .split_once(':')
        .map_or(decoded.as_str(), |(user, _)| user);
    Some(user.to_owned())
}
