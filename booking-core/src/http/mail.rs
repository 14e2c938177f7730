//! The operators' API for mail to fans: what waits, dead letters, and messages in files.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{NoticeId, Problem, ProblemCode, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult, Audited};

use super::problems::not_found;
use crate::handle::Booking;
use crate::mail::MailFile;
use crate::notice::{ChannelKind, NoticeKind, NoticeStatus};
use crate::store::notices::NoticeRow;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(retry_all))
        .routes(routes!(retry))
        .routes(routes!(files))
        .routes(routes!(file))
}

/// Which notices are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `FAILED`, dead letters, when absent.
    status: Option<NoticeStatus>,
}

/// Notices to fans.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NoticeList {
    /// How many wait to be sent.
    due_count: u64,
    /// How many were given up and not sent again.
    failed_count: u64,
    /// Since when the oldest waits.
    oldest_due_since: Option<Timestamp>,
    /// Those that were asked for, the oldest first, at most 1,000.
    notices: Vec<NoticeView>,
}

/// A notice to a fan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NoticeView {
    /// Its id.
    notice_id: NoticeId,
    /// What it tells.
    kind: NoticeKind,
    /// Its state.
    status: NoticeStatus,
    /// The Message-ID of every attempt.
    message_id: String,
    /// Attempts that the mail server judged.
    attempt_count: i32,
    /// The last failure, in the words of the mail server.
    last_error: Option<String>,
    /// When what it tells happened.
    created_at: Timestamp,
    /// When it is tried next.
    next_attempt_at: Timestamp,
    /// When a channel took it.
    sent_at: Option<Timestamp>,
    /// The channel that took it.
    channel: Option<ChannelKind>,
    /// Channels that did not, in the order in which they were tried.
    failed_channels: Vec<ChannelKind>,
    /// The receipt: what the channel's provider calls the message that it took.
    receipt: Option<String>,
}

impl From<NoticeRow> for NoticeView {
    fn from(row: NoticeRow) -> Self {
        Self {
            notice_id: NoticeId::new(row.notice_id),
            kind: row.kind,
            status: row.status,
            message_id: row.message_id,
            attempt_count: row.attempt_count,
            last_error: row.last_error,
            created_at: row.created_at,
            next_attempt_at: row.next_attempt_at,
            sent_at: row.sent_at,
            channel: row.channel,
            failed_channels: row.failed_channels,
            receipt: row.receipt,
        }
    }
}

/// List mail to fans that was given up, or is in another state
#[utoipa::path(
    get, path = "/admin/v1/mail", operation_id = "mail", tag = "booking",
    params(Wanted),
    responses(
        (status = 200, description = "The notices", body = NoticeList),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn list(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<NoticeList>> {
    let status = wanted.status.unwrap_or(NoticeStatus::Failed);
    let (backlog, rows) = booking.notices(status).await?;
    Ok(ApiJson(NoticeList {
        due_count: backlog.due_count,
        failed_count: backlog.failed_count,
        oldest_due_since: backlog.oldest_due_since,
        notices: rows.into_iter().map(NoticeView::from).collect(),
    }))
}

/// How many notices are sent again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Retried {
    /// So many.
    retried_count: u64,
}

/// Send all mail again that was given up
///
/// At most 1,000 with one call, the oldest first.
#[utoipa::path(
    post, path = "/admin/v1/mail/retry", operation_id = "mail_retry_all", tag = "booking",
    responses(
        (status = 200, description = "It is due again", body = Retried),
        (status = 403, description = "forbidden", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn retry_all(State(booking): State<Booking>) -> Response {
    audited(
        "all".to_owned(),
        booking.notices_retry(None).await.map_err(ApiError::from),
    )
}

/// Send a mail again that was given up
#[utoipa::path(
    post, path = "/admin/v1/mail/{noticeId}/retry", operation_id = "mail_retry", tag = "booking",
    params(("noticeId" = NoticeId, Path, description = "The notice")),
    responses(
        (status = 200, description = "It is due again", body = Retried),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it was not given up", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn retry(State(booking): State<Booking>, ApiPath(notice_id): ApiPath<NoticeId>) -> Response {
    audited(notice_id.to_string(), retry_one(&booking, notice_id).await)
}

async fn retry_one(booking: &Booking, notice_id: NoticeId) -> ApiResult<u64> {
    let retried = booking.notices_retry(Some(notice_id)).await?;
    if retried > 0 {
        return Ok(retried);
    }
    match booking.notice_status(notice_id).await? {
        None => Err(not_found()),
        Some(status) => Err(Problem::new(ProblemCode::Conflict)
            .detail("Only mail that was given up is sent again.")
            .with("noticeStatus", json!(status))
            .into()),
    }
}

fn audited(target: String, retried: ApiResult<u64>) -> Response {
    let mut audited = Audited {
        target: Some(target),
        ..Audited::default()
    };
    match retried {
        Ok(retried_count) => {
            audited.after = Some(json!({ "retriedCount": retried_count }));
            audited.on(ApiJson(Retried { retried_count }).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// Messages in files.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MailFiles {
    /// The newest, at most 200; none when there is a mail server.
    messages: Vec<MailFileHead>,
}

/// A message in a file, without its content.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MailFileHead {
    /// The name of the file without its ending, by which it is asked for.
    name: String,
    /// The address that it goes to.
    to: String,
    /// The address that it comes from.
    from: String,
    /// Its subject.
    subject: String,
    /// Its Message-ID.
    message_id: String,
}

/// A message in a file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MailFileView {
    /// Its headers.
    #[serde(flatten)]
    head: MailFileHead,
    /// The plain text.
    text: String,
    /// The HTML.
    html: String,
}

impl From<MailFile> for MailFileView {
    fn from(file: MailFile) -> Self {
        Self {
            head: MailFileHead {
                name: file.name,
                to: file.to,
                from: file.from,
                subject: file.subject,
                message_id: file.message_id,
            },
            text: file.text,
            html: file.html,
        }
    }
}

/// List the messages that were written to files of this gateway
///
/// Without a mail server messages are files in its data directory.
#[utoipa::path(
    get, path = "/admin/v1/mail/files", operation_id = "mail_files", tag = "booking",
    responses((status = 200, description = "The newest first", body = MailFiles))
)]
async fn files(State(booking): State<Booking>) -> ApiResult<ApiJson<MailFiles>> {
    let files = booking
        .0
        .mailer
        .files()
        .await
        .map_err(|error| unreadable(&error))?;
    let heads = files.into_iter().map(|file| MailFileView::from(file).head);
    Ok(ApiJson(MailFiles {
        messages: heads.collect(),
    }))
}

/// Read a message that was written to a file of this gateway
#[utoipa::path(
    get, path = "/admin/v1/mail/files/{name}", operation_id = "mail_file", tag = "booking",
    params(("name" = String, Path, description = "The name of the file without its ending")),
    responses(
        (status = 200, description = "The message", body = MailFileView),
        (status = 404, description = "not-found", body = Problem)
    )
)]
async fn file(
    State(booking): State<Booking>,
    ApiPath(name): ApiPath<String>,
) -> ApiResult<ApiJson<MailFileView>> {
    let file = booking
        .0
        .mailer
        .file(&name)
        .await
        .map_err(|error| unreadable(&error))?;
    Ok(ApiJson(file.ok_or_else(not_found)?.into()))
}

fn unreadable(error: &std::io::Error) -> ApiError {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "mail could not be read"
    );
    ProblemCode::Internal.into()
}
