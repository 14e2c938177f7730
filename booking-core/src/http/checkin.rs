//! The check-in API: on the operators' listener for operators, on the public listener for scanners
//! with tokens of their own.

use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use contract::checkin::{
    CheckinCounts, ConflictList, Manifest, SCANS_MAX, Scan, ScanAnswers, ScanBatch, ScanRequest,
    ScanResponse, ScanResult, Scanner, TICKET_LETTERS_MAX,
};
use contract::{Problem, ProblemCode, ShowId};
use data_encoding::HEXLOWER;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, ApiJson, ApiPath, ApiResult, RawJson};

use super::problems::{invalid, not_found};
use crate::checkin::Caller;
use crate::handle::Booking;

/// Below which the check-in API is.
pub(super) const PREFIX: &str = "/checkin/v1/";
/// Largest upload of scans: so many, each with a long text of a ticket.
const UPLOAD_BYTES_MAX: usize = 512 * 1024;

web::problems! {
    /// Of every call of the check-in API.
    OfCheckin: Unauthorized, DatabaseUnavailable;
    /// Of calls that name a show.
    OfShow: Forbidden, NotFound;
}

/// Marks requests that the operators' listener let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByOperators;

/// The routes for both listeners.
pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(scans))
        .layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX))
        .routes(routes!(manifest))
        .routes(routes!(counts))
        .routes(routes!(conflicts))
}

/// The routes for scanners alone.
pub(super) fn routes_of_scanners() -> OpenApiRouter<Booking> {
    routes().routes(routes!(scanner))
}

/// The token of a scanner that came with a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Booking> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, booking: &Booking) -> ApiResult<Self> {
        if parts.extensions.get::<ByOperators>().is_some() {
            return Ok(Self::Operators);
        }
        let unauthorized = || ApiError::from(ProblemCode::Unauthorized);
        let token = bearer(&parts.headers).ok_or_else(unauthorized)?;
        let scanner = booking.scanner(token).await?.ok_or_else(unauthorized)?;
        Ok(Self::Scanner(Box::new(scanner)))
    }
}

/// Refuses a scanner of another show.
fn of_show(caller: &Caller, show: &ShowId) -> ApiResult<()> {
    if caller.may_see(show) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Forbidden)
        .detail("This token is for another show.")
        .into())
}

/// A body that may be an upload.
#[derive(Deserialize)]
struct Upload {
    scans: Option<IgnoredAny>,
}

fn read(body: &RawJson) -> ApiResult<ScanRequest> {
    let is_upload = body
        .peek::<Upload>()
        .is_some_and(|upload| upload.scans.is_some());
    if !is_upload {
        let scan: Scan = body.parse()?;
        if scan.ticket.chars().count() > TICKET_LETTERS_MAX {
            return Err(too_long("ticket"));
        }
        return Ok(ScanRequest::One(scan));
    }
    let batch: ScanBatch = body.parse()?;
    if !(1..=SCANS_MAX).contains(&batch.scans.len()) {
        return Err(invalid("scans", &format!("1 to {SCANS_MAX} scans")));
    }
    let is_long = |scan: &Scan| scan.ticket.chars().count() > TICKET_LETTERS_MAX;
    match batch.scans.iter().position(is_long) {
        Some(at) => Err(too_long(&format!("scans[{at}].ticket"))),
        None => Ok(ScanRequest::Many(batch)),
    }
}

fn too_long(field: &str) -> ApiError {
    invalid(field, &format!("at most {TICKET_LETTERS_MAX} characters"))
}

/// Scan a ticket, or upload scans that were made without a network
///
/// Idempotent by nonce: the same scan sent again gets the same answer. Every answer is `200`;
/// `result` tells what the scan came to. A scan that is made now is judged by our clock, one of an
/// upload by the clock of its device, set right by `sentAt`. Scans of an upload are settled in their
/// order; when the upload fails half-way, send all of it again.
#[utoipa::path(
    post, path = "/checkin/v1/scans", operation_id = "checkin_scan", tag = "checkin",
    request_body = ScanRequest,
    responses(
        (status = 200, description = "What the scans came to", body = ScanResponse),
        (status = 403, description = "forbidden: of operators", body = Problem),
        (status = 422, description = "validation-failed, idempotency-key-reused: the nonce of one \
            scan stands for another; in an upload its result is `NONCE_REUSED`", body = Problem),
        OfCheckin
    )
)]
async fn scans(
    State(booking): State<Booking>,
    caller: Caller,
    body: RawJson,
) -> ApiResult<ApiJson<ScanResponse>> {
    let response = match read(&body)? {
        ScanRequest::One(scan) => {
            let answer = booking.scan(caller, scan).await?;
            if answer.result == ScanResult::NonceReused {
                return Err(Problem::new(ProblemCode::IdempotencyKeyReused)
                    .detail("nonce: it stands for another scan")
                    .with("field", "nonce")
                    .into());
            }
            ScanResponse::One(answer)
        }
        ScanRequest::Many(batch) => {
            let scans = booking.scans(caller, batch.scans, batch.sent_at).await?;
            ScanResponse::Many(ScanAnswers { scans })
        }
    };
    Ok(ApiJson(response))
}

/// Read what a scanner needs to check tickets without a network
#[utoipa::path(
    get, path = "/checkin/v1/shows/{showId}/manifest", operation_id = "checkin_manifest",
    tag = "checkin",
    params(
        ("showId" = ShowId, Path, description = "The show"),
        ("If-None-Match" = Option<String>, Header, description = "An earlier `ETag`")
    ),
    responses(
        (status = 200, description = "Keys, tickets that admit nobody, counts", body = Manifest,
            headers(("ETag" = String, description = "What it says but for the counts, as a tag"))),
        (status = 304, description = "It is as it was; the counts may be others",
            headers(("ETag" = String, description = "The same tag"))),
        OfShow, OfCheckin
    )
)]
async fn manifest(
    State(booking): State<Booking>,
    caller: Caller,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    of_show(&caller, &show)?;
    let mut manifest = booking.manifest(show).await?.ok_or_else(not_found)?;
    let etag = tag_of(&mut manifest)?;
    let body = serde_json::to_vec(&manifest).map_err(|error| ApiError::internal(&error))?;
    let tag = HeaderValue::from_str(&etag).map_err(|error| ApiError::internal(&error))?;
    let kept = HeaderValue::from_static("private, no-cache");
    let about = [(ETAG, tag), (CACHE_CONTROL, kept)];
    if web::etag::is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let json = [(CONTENT_TYPE, "application/json")];
    Ok((about, json, body).into_response())
}

/// The tag of what a scanner needs to decide. The counts change with every scan, and make no other
/// manifest of it: a scanner reads them apart.
fn tag_of(manifest: &mut Manifest) -> ApiResult<String> {
    let counts = std::mem::take(&mut manifest.counts);
    let decisive = serde_json::to_vec(manifest).map_err(|error| ApiError::internal(&error))?;
    manifest.counts = counts;
    Ok(format!(
        "\"{}\"",
        &HEXLOWER.encode(&Sha256::digest(&decisive))[..32]
    ))
}

/// Count who came to a show, and who is inside
#[utoipa::path(
    get, path = "/checkin/v1/shows/{showId}/counts", operation_id = "checkin_counts",
    tag = "checkin", params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, description = "Of the show and by gate", body = CheckinCounts),
        OfShow, OfCheckin
    )
)]
async fn counts(
    State(booking): State<Booking>,
    caller: Caller,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<Response> {
    of_show(&caller, &show)?;
    let counts = booking.checkin_counts(show).await?;
    Ok(fresh(ApiJson(counts.ok_or_else(not_found)?)))
}

/// List entries that another scan, or what became of the ticket, speaks against
///
/// `admitted` tells those whom a scanner without a network let in.
#[utoipa::path(
    get, path = "/checkin/v1/shows/{showId}/conflicts", operation_id = "checkin_conflicts",
    tag = "checkin", params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, description = "Those who were let in first, then the latest; at most 500", body = ConflictList),
        OfShow, OfCheckin
    )
)]
async fn conflicts(
    State(booking): State<Booking>,
    caller: Caller,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<Response> {
    of_show(&caller, &show)?;
    let list = booking.conflicts(show).await?.ok_or_else(not_found)?;
    Ok(fresh(ApiJson(list)))
}

/// Read who this token stands for
#[utoipa::path(
    get, path = "/checkin/v1/scanner", operation_id = "checkin_scanner", tag = "checkin",
    responses((status = 200, description = "The scanner", body = Scanner), OfCheckin)
)]
async fn scanner(caller: Caller) -> ApiResult<Response> {
    match caller {
        Caller::Scanner(row) => Ok(fresh(ApiJson(row.scanner))),
        Caller::Operators => Err(not_found()),
    }
}

/// An answer that no cache keeps.
fn fresh(answer: impl IntoResponse) -> Response {
    let none = [(CACHE_CONTROL, "private, no-store")];
    (none, answer).into_response()
}
