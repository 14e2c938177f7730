//! The operators' API for coupons.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::coupon::{Coupon, CouponList, CouponTerms};
use contract::{Problem, ProblemCode};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiResult, Audited};

use super::problems::{invalid, not_found};
use crate::coupon_desk::CouponMade;
use crate::handle::Booking;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(coupons, create))
        .routes(routes!(coupon))
        .routes(routes!(disable))
}

/// List the coupons
#[utoipa::path(
    get, path = "/admin/v1/coupons", operation_id = "coupons", tag = "booking",
    responses(
        (status = 200, description = "The newest first, at most 1000", body = CouponList),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn coupons(State(booking): State<Booking>) -> ApiResult<ApiJson<CouponList>> {
    let coupons = booking.coupons(None).await?;
    Ok(ApiJson(CouponList { coupons }))
}

/// Make a coupon
#[utoipa::path(
    post, path = "/admin/v1/coupons", operation_id = "coupon_create", tag = "booking",
    request_body = CouponTerms,
    responses(
        (status = 201, description = "The coupon", body = Coupon),
        (status = 403, description = "forbidden", body = Problem),
        (status = 409, description = "conflict: there is one with this code", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn create(State(booking): State<Booking>, ApiJson(terms): ApiJson<CouponTerms>) -> Response {
    let mut audited = Audited {
        target: terms.code.clone(),
        ..Audited::default()
    };
    match make(&booking, terms).await {
        Ok(made) => {
            audited.target = Some(made.code.clone());
            audited.after = serde_json::to_value(&made).ok();
            audited.on((StatusCode::CREATED, ApiJson(made)).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn make(booking: &Booking, terms: CouponTerms) -> ApiResult<Coupon> {
    match booking.coupon_create(terms).await? {
        CouponMade::Made(made) => Ok(*made),
        CouponMade::Invalid(field, problem) => Err(invalid(field, &problem)),
        CouponMade::Exists => Err(Problem::new(ProblemCode::Conflict)
            .detail("There is a coupon with this code.")
            .into()),
    }
}

/// Read a coupon
#[utoipa::path(
    get, path = "/admin/v1/coupons/{code}", operation_id = "coupon", tag = "booking",
    params(("code" = String, Path, description = "Its code, in any case")),
    responses(
        (status = 200, description = "The coupon", body = Coupon),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn coupon(
    State(booking): State<Booking>,
    ApiPath(code): ApiPath<String>,
) -> ApiResult<ApiJson<Coupon>> {
    let found = booking.coupons(Some(&code)).await?.pop();
    found.map(ApiJson).ok_or_else(not_found)
}

/// Disable a coupon; holds that have it keep their price
#[utoipa::path(
    post, path = "/admin/v1/coupons/{code}/disable", operation_id = "coupon_disable",
    tag = "booking",
    params(("code" = String, Path, description = "Its code, in any case")),
    responses(
        (status = 200, description = "The coupon", body = Coupon),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn disable(State(booking): State<Booking>, ApiPath(code): ApiPath<String>) -> Response {
    let mut audited = Audited {
        target: Some(code.clone()),
        ..Audited::default()
    };
    match end(&booking, &code, &mut audited).await {
        Ok(coupon) => {
            audited.after = serde_json::to_value(&coupon).ok();
            audited.on(ApiJson(coupon).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn end(booking: &Booking, code: &str, audited: &mut Audited) -> ApiResult<Coupon> {
    let before = booking.coupons(Some(code)).await?.pop();
    audited.before = before.and_then(|before| serde_json::to_value(before).ok());
    booking.coupon_disable(code).await?.ok_or_else(not_found)
}
