//! The HTTP side: parses requests, calls the provider, writes responses.

mod api;
mod page;
mod razorpay;
mod request;
mod sim;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::error::ApiError;
use crate::outage::{Mode, ProviderName};
use crate::provider::{Answer, Provider};

/// Largest request body, in bytes. A full metadata set has 27 KB before encoding.
const BODY_BYTES_MAX: usize = 128 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const ORIGINAL_REQUEST: HeaderName = HeaderName::from_static("original-request");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `Retry-After` of refusals, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Every route, grouped by caller.
pub(crate) fn router(provider: Provider) -> Router {
    // Merchants, and browsers with a client secret.
    let api = Router::new()
        .route("/v1/payment_intents", get(api::intents).post(api::create))
        .route("/v1/payment_intents/{id}", get(api::retrieve))
        .route("/v1/payment_intents/{id}/confirm", post(api::confirm))
        .route("/v1/payment_intents/{id}/cancel", post(api::cancel))
        .route("/v1/payment_intents/{id}/capture", post(api::capture))
        .route("/v1/checkout/sessions", post(api::session_create))
        .route("/v1/checkout/sessions/{id}", get(api::session_retrieve))
        .route(
            "/v1/checkout/sessions/{id}/expire",
            post(api::session_expire),
        )
        .route("/v1/refunds", get(api::refunds).post(api::refund))
        .route("/v1/refunds/{id}", get(api::refund_retrieve))
        .route("/v1/disputes", get(api::disputes))
        .route("/v1/disputes/{id}", get(api::dispute_retrieve))
        .method_not_allowed_fallback(no_such_call)
        .layer(middleware::from_fn_with_state(
            (provider.clone(), ProviderName::Stripe),
            fail_as_told,
        ))
        .layer(middleware::from_fn(allow_browsers));
    let razorpay = razorpay::api()
        .method_not_allowed_fallback(no_such_call)
        .layer(middleware::from_fn_with_state(
            (provider.clone(), ProviderName::Razorpay),
            fail_as_told,
        ))
        .layer(middleware::map_response(razorpay::in_its_words));
    // Customers.
    let pages = Router::new()
        .route("/pay/style.css", get(page::style))
        .route("/pay/{id}", get(page::show).post(page::pay))
        .route("/pay/{id}/bank", get(page::bank).post(page::bank_answer))
        .route("/c/pay/{id}", get(page::session))
        .route(
            "/razorpay/i/{id}",
            get(razorpay::page).post(razorpay::page_pay),
        )
        .route("/razorpay/i/{id}/done", get(razorpay::page_done));
    // Tests and audits.
    let sim = Router::new()
        .route(
            "/_sim/faults",
            get(sim::faults).post(sim::queue).delete(sim::clear),
        )
        .route("/_sim/outages", post(sim::outage))
        .route("/_sim/disputes", post(sim::dispute_open))
        .route("/_sim/disputes/{id}", post(sim::dispute_decide))
        .route("/_sim/refunds/{id}/fail", post(sim::refund_fail))
        .route("/_sim/ledger", get(sim::ledger))
        .method_not_allowed_fallback(no_such_call);
    api.merge(razorpay)
        .merge(pages)
        .merge(sim)
        .fallback(no_such_call)
        // Innermost, so that it still limits every body.
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // Outermost, so that every response has an id, including refusals by inner layers.
        .layer(middleware::from_fn_with_state(
            provider.clone(),
            name_request,
        ))
        .with_state(provider)
}

/// Fails as the provider was told to.
async fn fail_as_told(
    State((provider, name)): State<(Provider, ProviderName)>,
    request: Request,
    next: Next,
) -> Response {
    match provider.outages().of(name) {
        Mode::Up => next.run(request).await,
        Mode::Down => ApiError::provider(503, "The provider is not available.").into_response(),
        Mode::RateLimited => ApiError::rate_limited().into_response(),
        Mode::LosesAnswers => {
            next.run(request).await;
            ApiError::provider(500, "Something went wrong.").into_response()
        }
        Mode::Slow { delay_ms } => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            response
        }
    }
}

async fn no_such_call(request: Request) -> Response {
    ApiError::no_such_call(request.method().as_str(), request.uri().path()).into_response()
}

/// Gives each request an id and adds it to the response.
async fn name_request(
    State(provider): State<Provider>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = provider.draw_request_id();
    let text = HeaderValue::from_str(id.as_ref());
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Ok(text) = text {
        response.headers_mut().insert(REQUEST_ID, text);
    }
    response
}

/// Allows pages of any origin to call the API: access depends on the key in the request, never on
/// cookies.
async fn allow_browsers(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, idempotency-key, stripe-version",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "request-id, idempotent-replayed",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "300"),
    ];
    for (name, value) in allow {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.status, 429 | 503) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.status == 401 {
            let realm = HeaderValue::from_static("Basic realm=\"Payment simulator\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        if let Some(original) = self.replay_of {
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            if let Ok(original) = HeaderValue::from_str(&original) {
                headers.insert(ORIGINAL_REQUEST, original);
            }
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Answer::from(&self).into_response()
    }
}
