//! Rooms: settings, overrides, figures, the admission log, sessions.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::room::{
    AdmissionRecord, Override, PauseRequest, RoomList, RoomSettings, RoomStats, RoomView,
};
use contract::settings::{FieldProblem, validate, validate_beside, validate_reason};
use contract::{PlaceId, Problem, ProblemCode, RoomId};
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use http::{HeaderMap, StatusCode};
use line::policy::phase::phase_at;
use line::records::{Act, AuditEntry, CreateOutcome, PutOutcome, RoomRecord};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use web::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult, NoFields};

use super::auth::{Operator, Role};
use super::openapi::{OfChange, OfRecords, OfRoom, RoomAsItIs};
use super::refusals::refused;
use super::state::OpsState;
use crate::sealer::Sealer;

/// Largest settings: a thousand access codes of the longest kind, in JSON's longest spelling.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Records of the admission log written to the socket at once.
const LINES_AT_ONCE: usize = 500;

/// Members of a room's view that are no settings. A `PUT` may send them back as it read them.
const VIEW_ONLY: [&str; 7] = [
    "phase",
    "override",
    "pausedReason",
    "drawCommitment",
    "version",
    "createdAt",
    "updatedAt",
];

/// List the rooms
#[utoipa::path(
    get, path = "/admin/v1/rooms", operation_id = "rooms", tag = "rooms",
    responses(
        (status = 200, description = "By name", body = RoomList),
        OfRecords
    )
)]
pub(super) async fn list(State(state): State<OpsState>) -> ApiResult<ApiJson<RoomList>> {
    let records = state.rooms.room_list().await.map_err(refused)?;
    let rooms = records.into_iter().map(|r| view(&state, r)).collect();
    Ok(ApiJson(RoomList { rooms }))
}

/// Create a room
#[utoipa::path(
    post, path = "/admin/v1/rooms", operation_id = "room_create", tag = "rooms",
    request_body = RoomSettings,
    responses(
        (status = 201, description = "The new room", body = RoomView, headers(
            ("ETag" = String, description = "The version, for `If-Match`"),
            ("Location" = String, description = "The room")
        )),
        OfChange, OfRecords,
        (status = 409, description = "conflict: there is such a room", body = Problem)
    )
)]
pub(super) async fn create(
    State(state): State<OpsState>,
    operator: Operator,
    ApiJson(mut settings): ApiJson<RoomSettings>,
) -> ApiResult<Response> {
    acceptable(&state, &settings).await?;
    seal_secret(&state, &mut settings)?;
    let location = format!("/admin/v1/rooms/{}", settings.room);
    let name = settings.room.clone();
    let act = Act::new(operator.name, state.clock.as_ref());
    let outcome = state
        .rooms
        .room_create(settings, (state.seeds)(), act)
        .await
        .map_err(refused)?;
    match outcome {
        CreateOutcome::Created(record) => {
            state.changes.apply(&name, Some(&record)).await;
            let answer = tagged(&state, *record);
            Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
        }
        CreateOutcome::Exists => Err(Problem::new(ProblemCode::Conflict)
            .detail(format!("There is a room `{name}` already."))
            .into()),
    }
}

/// Read a room
#[utoipa::path(
    get, path = "/admin/v1/rooms/{room}", operation_id = "room", tag = "rooms",
    params(("room" = RoomId, Path, description = "The room")),
    responses(RoomAsItIs, OfRoom)
)]
pub(super) async fn show(
    State(state): State<OpsState>,
    ApiPath(room): ApiPath<RoomId>,
) -> ApiResult<Response> {
    let record = state.rooms.room_get(&room).await.map_err(refused)?;
    Ok(tagged(&state, record.ok_or_else(absent)?))
}

/// Replace a room's settings
#[utoipa::path(
    put, path = "/admin/v1/rooms/{room}", operation_id = "room_put", tag = "rooms",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that was read; without it \
            the last writer wins")
    ),
    request_body(content = RoomSettings, description = "All settings: what is missing takes its \
        default. A room as it was read may be sent back, what is no setting is ignored"),
    responses(
        RoomAsItIs, OfChange, OfRoom,
        (status = 409, description = "conflict", body = Problem),
        (status = 412, description = "precondition-failed: `version` is the present one",
            body = Problem)
    )
)]
pub(super) async fn put(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<Map<String, Value>>,
) -> ApiResult<Response> {
    let mut settings = settings_of(&room, body)?;
    acceptable(&state, &settings).await?;
    seal_secret(&state, &mut settings)?;
    let if_match = if_match(&headers)?;
    let act = Act::new(operator.name, state.clock.as_ref());
    let outcome = state
        .rooms
        .room_put(settings, if_match, act)
        .await
        .map_err(refused)?;
    match outcome {
        PutOutcome::Written(record) => {
            state.changes.apply(&room, Some(&record)).await;
            Ok(tagged(&state, *record))
        }
        PutOutcome::Stale(version) => Err(Problem::new(ProblemCode::PreconditionFailed)
            .detail("Read the room again and repeat the change.")
            .with("version", version)
            .into()),
        PutOutcome::Absent => Err(absent()),
    }
}

/// What a deletion takes along.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Deletion {
    /// Whether the admission log goes too, for good; it stays unless asked for. A log that outlived
    /// its room can be purged by the same call.
    purge_log: Option<bool>,
    /// The name of the room once more, without which no log is purged
    confirm: Option<String>,
}

/// Delete a room
///
/// The admission log is kept, unless `purgeLog` and `confirm` ask for its removal.
#[utoipa::path(
    delete, path = "/admin/v1/rooms/{room}", operation_id = "room_delete", tag = "rooms",
    params(("room" = RoomId, Path, description = "The room"), Deletion),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "forbidden: needs the role admin", body = Problem),
        OfRoom,
        (status = 409, description = "conflict: a room of this name was made meanwhile",
            body = Problem),
        (status = 422, description = "validation-failed: the log's end is not confirmed",
            body = Problem)
    )
)]
pub(super) async fn delete(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(deletion): ApiQuery<Deletion>,
) -> ApiResult<StatusCode> {
    operator.require(Role::Admin)?;
    let purges = deletion.purge_log.unwrap_or(false);
    if purges && deletion.confirm.as_deref() != Some(room.as_str()) {
        return Err(unacceptable(&[FieldProblem {
            field: "confirm".to_owned(),
            problem: format!("must be `{room}` to purge its admission log for good"),
        }]));
    }
    let act = Act::new(operator.name, state.clock.as_ref());
    let found = if purges {
        let records = state.rooms.room_purge(&room, act).await;
        records.map_err(refused)?.is_some()
    } else {
        state.rooms.room_delete(&room, act).await.map_err(refused)?
    };
    if !found {
        return Err(absent());
    }
    state.changes.apply(&room, None).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Open a room now
#[utoipa::path(
    post, path = "/admin/v1/rooms/{room}/open", operation_id = "room_open", tag = "commands",
    params(("room" = RoomId, Path, description = "The room")),
    request_body(content = Option<NoFields>, description = "An empty body, or `{}`"),
    responses(RoomAsItIs, OfChange, OfRoom)
)]
pub(super) async fn open(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    ApiJson(NoFields {}): ApiJson<NoFields>,
) -> ApiResult<Response> {
    override_set(&state, operator, &room, Some(Override::Open), None).await
}

/// Pause a room: nobody is called
#[utoipa::path(
    post, path = "/admin/v1/rooms/{room}/pause", operation_id = "room_pause", tag = "commands",
    params(("room" = RoomId, Path, description = "The room")),
    request_body = Option<PauseRequest>,
    responses(RoomAsItIs, OfChange, OfRoom)
)]
pub(super) async fn pause(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    ApiJson(body): ApiJson<PauseRequest>,
) -> ApiResult<Response> {
    if let Some(reason) = &body.reason {
        validate_reason(reason).map_err(|problems| unacceptable(&problems))?;
    }
    override_set(&state, operator, &room, Some(Override::Pause), body.reason).await
}

/// Close a room now
#[utoipa::path(
    post, path = "/admin/v1/rooms/{room}/close", operation_id = "room_close", tag = "commands",
    params(("room" = RoomId, Path, description = "The room")),
    request_body(content = Option<NoFields>, description = "An empty body, or `{}`"),
    responses(RoomAsItIs, OfChange, OfRoom)
)]
pub(super) async fn close(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    ApiJson(NoFields {}): ApiJson<NoFields>,
) -> ApiResult<Response> {
    override_set(&state, operator, &room, Some(Override::Close), None).await
}

/// Remove an override, so that the room follows its schedule
#[utoipa::path(
    delete, path = "/admin/v1/rooms/{room}/override", operation_id = "room_follow", tag = "commands",
    params(("room" = RoomId, Path, description = "The room")),
    responses(RoomAsItIs, OfChange, OfRoom)
)]
pub(super) async fn follow(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
) -> ApiResult<Response> {
    override_set(&state, operator, &room, None, None).await
}

/// Resume a paused room
#[utoipa::path(
    post, path = "/admin/v1/rooms/{room}/resume", operation_id = "room_resume", tag = "commands",
    params(("room" = RoomId, Path, description = "The room")),
    request_body(content = Option<NoFields>, description = "An empty body, or `{}`"),
    responses(RoomAsItIs, OfChange, OfRoom)
)]
pub(super) async fn resume(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath(room): ApiPath<RoomId>,
    ApiJson(NoFields {}): ApiJson<NoFields>,
) -> ApiResult<Response> {
    let act = Act::new(operator.name, state.clock.as_ref());
    let record = state.rooms.room_resume(&room, act).await.map_err(refused)?;
    let record = record.ok_or_else(absent)?;
    state.changes.apply(&room, Some(&record)).await;
    Ok(tagged(&state, record))
}

/// Read the live figures of a room
#[utoipa::path(
    get, path = "/admin/v1/rooms/{room}/stats", operation_id = "room_stats", tag = "rooms",
    params(("room" = RoomId, Path, description = "The room")),
    responses(
        (status = 200, description = "The figures", body = RoomStats),
        (status = 404, description = "room-not-found", body = Problem),
        (status = 503, description = "line-unavailable", body = Problem)
    )
)]
pub(super) async fn stats(
    State(state): State<OpsState>,
    ApiPath(room): ApiPath<RoomId>,
) -> ApiResult<ApiJson<RoomStats>> {
    let figures = state.figures.stats(&room).await?;
    figures.map(ApiJson).ok_or_else(absent)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FromSeq {
    /// The ordinal of the first record wanted; the first there is, when absent.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    from: Option<u64>,
}

/// Read the admission log of a room
#[utoipa::path(
    get, path = "/admin/v1/rooms/{room}/admissions", operation_id = "room_admissions", tag = "records",
    params(("room" = RoomId, Path, description = "The room"), FromSeq),
    responses(
        (status = 200, description = "One JSON document a line, by ordinal",
            body = AdmissionRecord, content_type = "application/x-ndjson"),
        OfRoom,
        (status = 422, description = "validation-failed", body = Problem)
    )
)]
pub(super) async fn admissions(
    State(state): State<OpsState>,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(query): ApiQuery<FromSeq>,
) -> ApiResult<Response> {
    // Before the status is sent: a missing room or database is an answer, not a broken stream.
    // The log of a room that was deleted stays readable.
    let record = state.rooms.room_get(&room).await.map_err(refused)?;
    if record.is_none() && state.admissions.head(&room).await.map_err(refused)?.seq == 0 {
        return Err(absent());
    }
    let from = query.from.unwrap_or(1);
    if i64::try_from(from).is_err() {
        return Err(unacceptable(&[FieldProblem {
            field: "from".to_owned(),
            problem: format!("no log is that long: at most {}", i64::MAX),
        }]));
    }
    let lines = state
        .admissions
        .stream(&room, from)
        .ready_chunks(LINES_AT_ONCE)
        .map(|records| {
            let mut lines = Vec::new();
            for record in records {
                // An error breaks the transfer off, so a reader cannot take a part for the whole.
                serde_json::to_writer(&mut lines, &record.map_err(std::io::Error::other)?)?;
                lines.push(b'\n');
            }
            Ok::<_, std::io::Error>(Bytes::from(lines))
        });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// End the session of a place
#[utoipa::path(
    delete, path = "/admin/v1/rooms/{room}/sessions/{place}", operation_id = "session_end", tag = "commands",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("place" = PlaceId, Path, description = "The place whose session is ended")
    ),
    responses(
        (status = 204, description = "Ended"),
        OfChange,
        (status = 404, description = "room-not-found, not-found: no such session", body = Problem),
        (status = 503, description = "line-unavailable, database-unavailable", body = Problem)
    )
)]
pub(super) async fn session_end(
    State(state): State<OpsState>,
    operator: Operator,
    ApiPath((room, place)): ApiPath<(RoomId, PlaceId)>,
) -> ApiResult<StatusCode> {
    // The session lives outside the database: recorded first, so that none ends unrecorded.
    let act = Act::new(operator.name, state.clock.as_ref());
    let entry = AuditEntry::new("session.end", format!("{room}/{place}"));
    let id = state.audit.record(act, entry).await.map_err(refused)?;
    let ended = state.sessions.session_end(&room, &place).await;
    let outcome = match &ended {
        Ok(ended) => json!({"ended": ended}),
        Err(problem) => json!({"problem": problem.code}),
    };
    if let Err(error) = state.audit.conclude(id, outcome).await {
        tracing::error!(%error, id, "the end of an audited change was not recorded");
    }
    if ended? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(ProblemCode::NotFound)
            .detail("This place has no session in this room.")
            .into())
    }
}

async fn override_set(
    state: &OpsState,
    operator: Operator,
    room: &RoomId,
    overridden: Option<Override>,
    reason: Option<String>,
) -> ApiResult<Response> {
    let act = Act::new(operator.name, state.clock.as_ref());
    let record = state
        .rooms
        .room_override(room, overridden, reason, act)
        .await
        .map_err(refused)?
        .ok_or_else(absent)?;
    state.changes.apply(room, Some(&record)).await;
    Ok(tagged(state, record))
}

fn view(state: &OpsState, record: RoomRecord) -> RoomView {
    RoomView {
        phase: phase_at(&record.settings, record.overridden, state.clock.now()),
        settings: record.settings,
        overridden: record.overridden,
        paused_reason: record.paused_reason,
        draw_commitment: record.commitment,
        version: record.version,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

fn tagged(state: &OpsState, record: RoomRecord) -> Response {
    let tag = format!("\"{}\"", record.version);
    ([(ETAG, tag)], ApiJson(view(state, record))).into_response()
}

/// Reads the settings of `room` from the body of a `PUT`: settings, or a room as it was read.
fn settings_of(room: &RoomId, mut body: Map<String, Value>) -> Result<RoomSettings, ApiError> {
    for member in VIEW_ONLY {
        body.remove(member);
    }
    let name = Value::from(room.as_str());
    if body.get("room").unwrap_or(&name) != &name {
        return Err(unacceptable(&[FieldProblem {
            field: "room".to_owned(),
            problem: format!("a room keeps its name, `{room}`; make a new one instead"),
        }]));
    }
    body.insert("room".to_owned(), name);
    web::extract::parse_json(Value::Object(body).to_string().as_bytes())
}

/// The version that `If-Match` asks for; any, without it or with `*`.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
        .parse()
        .map(Some)
        .map_err(|_| {
            Problem::new(ProblemCode::PreconditionFailed)
                .detail("If-Match is not an ETag that a room of ours ever had.")
                .into()
        })
}

/// Refuses settings that make no sense, by themselves or beside the other rooms. Two operators
/// at once may still give two rooms the same prefix; the line then has a rule of its own.
async fn acceptable(state: &OpsState, settings: &RoomSettings) -> ApiResult<()> {
    validate(settings).map_err(|problems| unacceptable(&problems))?;
    let rooms = state.rooms.room_list().await.map_err(refused)?;
    let (own, others): (Vec<_>, Vec<_>) = rooms
        .iter()
        .map(|record| &record.settings)
        .partition(|known| known.room == settings.room);
    let before = own.first().copied();
    validate_beside(settings, before, &others).map_err(|problems| unacceptable(&problems))
}

/// Longest secret of Queue-it's connectors: sealed, it is as long as the setting may be.
const KNOWN_USER_SECRET_CHARS_MAX: usize = 256;

/// Seals a secret that was written in the clear. One that was read before is kept as it is.
fn seal_secret(state: &OpsState, settings: &mut RoomSettings) -> ApiResult<()> {
    let Some(secret) = &settings.known_user_secret else {
        return Ok(());
    };
    let (room, sealer) = (&settings.room, &state.sealer);
    if !Sealer::is_sealed(secret) {
        if secret.len() > KNOWN_USER_SECRET_CHARS_MAX {
            return Err(unacceptable(&[FieldProblem {
                field: "knownUserSecret".to_owned(),
                problem: format!("has at most {KNOWN_USER_SECRET_CHARS_MAX} characters"),
            }]));
        }
        settings.known_user_secret = sealer.seal(room, secret);
    } else if sealer.open(room, secret).is_none() {
        return Err(unacceptable(&[FieldProblem {
            field: "knownUserSecret".to_owned(),
            problem: "was not sealed here for this room: write the secret itself".to_owned(),
        }]));
    }
    Ok(())
}

fn absent() -> ApiError {
    ProblemCode::RoomNotFound.into()
}

fn unacceptable(problems: &[FieldProblem]) -> ApiError {
    let detail = problems
        .iter()
        .map(|p| format!("{}: {}", p.field, p.problem))
        .collect::<Vec<_>>()
        .join("; ");
    Problem::new(ProblemCode::ValidationFailed)
        .detail(detail)
        .with("field", problems.first().map_or("", |p| p.field.as_str()))
        .with("problems", json!(problems))
        .into()
}
