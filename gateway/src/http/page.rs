//! The waiting page for browsers: the page itself, what its forms do without JavaScript, and
//! the files it uses.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use contract::allowed_target::SiteAddress;
use contract::line::{JoinRequest, Phase};
use contract::room::QueueingMethod;
use contract::{Clock, PlaceId, Problem, ProblemCode, RoomId, Timestamp};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use line::passes::{Minted, mint_idle};
use line::policy::place::PlaceToken;
use line::room::Room;
use line::store::Enter;
use line::visitor::{Claimed, Joined};
use pages::waiting::{RoomFacts, Standing as Shown, WaitingPage};
use serde::Deserialize;
use utoipa::ToSchema;
use web::encoding::{Document, Effort};
use web::{ApiForm, ApiPath, ApiQuery, ApiResult};

use super::known_user::{allowed, encoded, not_allowed, with_token};
use super::openapi::{OfFiles, OfForm, OfLine, OfOrigin, OfPlaceIfAny, OfQuery, OfRoom};
use super::place::joiner;
use super::presented;
use super::room::{Line, RoomPath, Shows, private};
use super::shells::Shell;
use super::state::LineState;
use crate::edge::path::check_path;
use crate::edge::presented::Presented;
use crate::edge::return_target::ReturnTarget;

/// How often is looked whether a fan is called just after joining by the form, and at what
/// distance: a little more than two ticks in all, with the way to the log.
const CALL_LOOKS: u32 = 4;
const CALL_LOOK_EVERY: Duration = Duration::from_millis(120);

/// The query of the waiting page, with the visitor's return target.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are named as in the URL")]
pub struct To {
    to: Option<String>,
    /// An address of another site that the room sends its fans to, in place of `to`.
    target: Option<String>,
    /// Why the join by the form was refused, for the page to show.
    refused: Option<ProblemCode>,
    /// Set after the join by the form gave a place, so the place cookie is expected.
    joined: Option<u8>,
}

/// The fields of the join form.
#[derive(Debug, Deserialize, ToSchema)]
pub struct JoinForm {
    /// Sixteen random bytes that the page's script made, base64url; empty without one, and then
    /// the server makes them.
    nonce: Option<String>,
    /// An access code, where the room uses them.
    #[serde(rename = "accessCode")]
    access_code: Option<String>,
}

/// The waiting page
#[utoipa::path(
    get, path = "/_line/rooms/{room}", tag = "page",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("to" = Option<String>, Query, description = "Where the visitor wants to go: a path of this site"),
        ("target" = Option<String>, Query, description = "Or an address that the room's `knownUserTargets` allow")
    ),
    security((), ("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 303, description = "Nobody waits: on to `to`, with a pass"),
        OfRoom, OfQuery
    )
)]
pub async fn waiting(
    State(state): Line,
    RoomPath(room): RoomPath,
    ApiQuery(query): ApiQuery<To>,
    Shows(visitor): Shows,
    uri: Uri,
    asked: HeaderMap,
) -> ApiResult<Response> {
    let goal = goal(&room, &query)?;
    if room.is_idle() {
        refuse_speculation(&visitor)?;
        return enter_idle(&state, &room, &visitor, &goal);
    }
    let shown = shown(&room, &visitor, &query).await?;
    let view = room.view();
    let mut facts = RoomFacts::from(&view.document());
    let record = room.record();
    let settings = &record.settings;
    facts.asks_access_code = !settings.access_codes.is_empty();
    facts.has_draw =
        settings.prequeue_opens_at.is_some() || settings.queueing_method == QueueingMethod::Random;
    facts.way_out = way_out(&state, &record.settings.hosts);
    let page = WaitingPage {
        room: facts,
        to: goal.as_str().to_owned(),
        now: room.parts.clock.now(),
        standing: shown,
    };
    let html = pages::waiting(&page);
    let mut headers = page_headers(&state);
    let is_ones_own = presented::shows_place(&room, &visitor)
        || query.joined.is_some()
        || query.refused.is_some();
    if is_ones_own {
        return Ok(private((headers, Html(html)).into_response()));
    }
    // A visitor without a place gets the same page as every other, without a cookie. Caches, ours
    // included, may keep it for as long as its figures are current.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    headers.append(VARY, HeaderValue::from_static("Cookie"));
    let shell = Arc::new(Shell::new(room, view, headers, html));
    let answer = shell.answer(&asked);
    let link = uri.path_and_query().map_or("", PathAndQuery::as_str);
    state.shells.keep(link, shell);
    Ok(answer)
}

/// The link for someone who does not get in: the start page of the room's first host, unless a room
/// protects it too.
fn way_out(state: &LineState, hosts: &[String]) -> Option<String> {
    let start = Uri::from_static("/");
    let path = check_path(&start).ok()?;
    let found = state
        .rooms
        .serving(hosts.first().map(String::as_str), &path);
    let is_free = found.is_none_or(|found| found.guard.is_none());
    is_free.then(|| start.path().to_owned())
}

/// Where a visitor wants to go.
enum Goal {
    /// A page of this site.
    Here(ReturnTarget),
    /// A site that the room sends its fans to with a token.
    There(SiteAddress),
}

impl Goal {
    fn as_str(&self) -> &str {
        match self {
            Self::Here(to) => to.as_str(),
            Self::There(address) => address.as_str(),
        }
    }

    /// The waiting page of `room` that leads there.
    fn page(&self, room: &RoomId) -> String {
        match self {
            Self::Here(to) => waiting_path(room, to),
            Self::There(address) => {
                format!("/_line/rooms/{room}?to={}", encoded(address.as_str()))
            }
        }
    }
}

/// The visitor's goal; without `to`, the first page that the room protects. An address of another
/// site is one only if the room sends fans there.
fn goal(room: &Room, query: &To) -> ApiResult<Goal> {
    if let Some(target) = &query.target {
        let address = allowed(room, target).ok_or_else(not_allowed)?;
        return Ok(Goal::There(address));
    }
    Ok(match &query.to {
        Some(to) => match allowed(room, to) {
            Some(address) => Goal::There(address),
            None => Goal::Here(ReturnTarget::parse(Some(to))),
        },
        None => Goal::Here(protected(room)),
    })
}

/// The first path that `room` protects and that is not an API path.
pub fn protected(room: &Room) -> ReturnTarget {
    let record = room.record();
    let mut paths = record.settings.paths.iter();
    let page = paths.find(|path| !path.starts_with("/api/"));
    ReturnTarget::parse(page.map(String::as_str))
}

/// The visitor's status, for the page.
async fn shown(room: &Room, visitor: &Presented, query: &To) -> ApiResult<Shown> {
    let cookie_lost = query.joined.is_some() && !presented::shows_place(room, visitor);
    let outside = Shown::Outside {
        refused: query.refused,
        cookie_lost,
    };
    let Ok(Some(held)) = presented::place(room, visitor) else {
        return Ok(outside);
    };
    let now = room.parts.clock.now();
    match room.look(&held.token, Enter::Look, false).await {
        Ok(standing) => Ok(match room.status_of(&held.token, standing, now) {
            Ok(status) => Shown::Placed(Box::new(status)),
            Err(_) => outside,
        }),
        Err(problem) if problem.code == ProblemCode::LineUnavailable => Ok(Shown::Unavailable),
        Err(problem) => Err(problem.into()),
    }
}

/// Join the line by the form of the page, without JavaScript
#[utoipa::path(
    post, path = "/_line/rooms/{room}/join", operation_id = "joinByForm", tag = "page",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("to" = Option<String>, Query, description = "Where the visitor wants to go: a path of this site"),
        ("target" = Option<String>, Query, description = "Or an address that the room's `knownUserTargets` allow")
    ),
    security((), ("place" = []), ("placeCookie" = [])),
    request_body(content = JoinForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Back to the waiting page, or on to `to` with a pass"), OfRoom, OfLine, OfForm, OfOrigin, OfPlaceIfAny)
)]
pub async fn join(
    State(state): Line,
    RoomPath(room): RoomPath,
    ApiQuery(query): ApiQuery<To>,
    Shows(visitor): Shows,
    ApiForm(form): ApiForm<JoinForm>,
) -> ApiResult<Response> {
    let goal = goal(&room, &query)?;
    if room.is_idle() {
        return enter_idle(&state, &room, &visitor, &goal);
    }
    let access_code = form.access_code.filter(|code| !code.is_empty());
    let body = JoinRequest {
        nonce: form.nonce.filter(|nonce| !nonce.is_empty()),
        access_code,
        proof: None,
    };
    let joiner = joiner(&room, &visitor, body).await?;
    Ok(match room.join(joiner).await {
        Ok(Joined::Placed { token, .. }) => {
            let text = room.parts.place_keys.sign(&token);
            let cookie = state.cookies.place(&room.id, &text);
            if let Some(pass) = called_at_once(&room, &token).await {
                let mut response = after_form(&room, &goal, cookie);
                let pass = super::pass::pass_cookie(&state, &room, &pass);
                response.headers_mut().append(SET_COOKIE, pass);
                return Ok(response);
            }
            let path = goal.page(&room.id);
            see_other(&format!("{path}&joined=1"), Some(cookie))
        }
        Ok(Joined::PassedThrough { pass, .. }) => {
            let cookie = super::pass::pass_cookie(&state, &room, &pass);
            after_form(&room, &goal, cookie)
        }
        Err(problem) => {
            let path = goal.page(&room.id);
            see_other(&format!("{path}&refused={}", problem.code.as_str()), None)
        }
    })
}

/// Claims for a fan who is called just after joining: without JavaScript they would see the waiting
/// page for several seconds with nobody ahead of them. Who has others ahead does not wait for it.
async fn called_at_once(room: &Room, token: &PlaceToken) -> Option<Minted> {
    let calls_per_second = room.record().settings.new_users_per_minute / 60;
    if room.phase() != Phase::Queueing || token.ahead > calls_per_second {
        return None;
    }
    for _ in 0..CALL_LOOKS {
        tokio::time::sleep(CALL_LOOK_EVERY).await;
        match room.claim(token).await {
            Ok(Claimed::Pass(pass)) => return Some(pass),
            Ok(Claimed::NotCalled(_)) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Leave the line by the form of the page, without JavaScript
#[utoipa::path(
    post, path = "/_line/rooms/{room}/leave", operation_id = "leaveByForm", tag = "page",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("to" = Option<String>, Query, description = "Where the visitor wants to go: a path of this site"),
        ("target" = Option<String>, Query, description = "Or an address that the room's `knownUserTargets` allow")
    ),
    security((), ("place" = []), ("placeCookie" = [])),
    responses(
        (status = 303, description = "Back to the waiting page"),
        OfRoom, OfLine, OfQuery, OfOrigin
    )
)]
pub async fn leave(
    RoomPath(room): RoomPath,
    ApiQuery(query): ApiQuery<To>,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    let goal = goal(&room, &query)?;
    if let Ok(Some(held)) = presented::place(&room, &visitor) {
        room.leave(held.token.place).await?;
    }
    Ok(see_other(&goal.page(&room.id), None))
}

/// Enter the protected page when it is the visitor's turn
#[utoipa::path(
    get, path = "/_line/rooms/{room}/enter", tag = "page",
    params(
        ("room" = RoomId, Path, description = "The room"),
        ("to" = Option<String>, Query, description = "Where the visitor wants to go: a path of this site"),
        ("target" = Option<String>, Query, description = "Or an address that the room's `knownUserTargets` allow")
    ),
    security((), ("place" = []), ("placeCookie" = [])),
    responses((status = 303, description = "Back to the waiting page, or on to `to` with a pass"), OfRoom, OfQuery)
)]
pub async fn enter(
    State(state): Line,
    RoomPath(room): RoomPath,
    ApiQuery(query): ApiQuery<To>,
    method: Method,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    refuse_speculation(&visitor)?;
    let goal = goal(&room, &query)?;
    let waiting = || see_other(&goal.page(&room.id), None);
    if method == Method::HEAD {
        // HEAD is a safe method (RFC 9110 §9.2.1), so it must not claim.
        return Ok(waiting());
    }
    if room.is_idle() {
        return enter_idle(&state, &room, &visitor, &goal);
    }
    let Ok(Some(held)) = presented::place(&room, &visitor) else {
        return Ok(waiting());
    };
    Ok(match room.claim(&held.token).await {
        Ok(Claimed::Pass(pass)) => {
            let cookie = super::pass::pass_cookie(&state, &room, &pass);
            let entered = (held.token.place, pass.expires_at);
            see_goal(&state, &room, &goal, entered, Some(cookie))?
        }
        Ok(Claimed::NotCalled(_)) | Err(_) => waiting(),
    })
}

/// Refuses prefetches: an entry must be the fan's own act, and the browser would store the response
/// and show it when the fan comes later.
fn refuse_speculation(visitor: &Presented) -> ApiResult<()> {
    if !visitor.is_speculative {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::LineUnavailable)
        .detail("Entering is not done ahead of time; ask again when the visitor does.")
        .into())
}

/// In an idle room a visitor enters at once. An existing pass is kept, because holds and bookings
/// belong to its subject.
fn enter_idle(
    state: &LineState,
    room: &Room,
    visitor: &Presented,
    goal: &Goal,
) -> ApiResult<Response> {
    let now = room.parts.clock.now();
    if let Some((_, own)) = presented::pass(room, visitor, now) {
        let entered = (own.sub, own.expires_at());
        return see_goal(state, room, goal, entered, None);
    }
    let place = PlaceId::from_bytes(room.parts.randomness.bytes());
    let pass = mint_idle(room, place, now)?;
    let cookie = super::pass::pass_cookie(state, room, &pass);
    see_goal(state, room, goal, (place, pass.expires_at), Some(cookie))
}

/// The path of the waiting page of `room`, with `to` as the return target.
pub fn waiting_path(room: &RoomId, to: &ReturnTarget) -> String {
    format!("/_line/rooms/{room}?to={}", to.to_query_value())
}

fn see_other(path: &str, cookie: Option<HeaderValue>) -> Response {
    redirect(
        HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")),
        cookie,
    )
}

/// On to the goal of a fan whose session of `place` ends at `until`.
fn see_goal(
    state: &LineState,
    room: &Room,
    goal: &Goal,
    (place, until): (PlaceId, Timestamp),
    cookie: Option<HeaderValue>,
) -> ApiResult<Response> {
    let location = match goal {
        Goal::Here(to) => to.to_location(),
        Goal::There(address) => {
            let record = room.record();
            let sealed = record.settings.known_user_secret.as_deref();
            let secret = sealed.and_then(|sealed| state.sealer.open(&room.id, sealed));
            let secret = secret.ok_or_else(|| {
                tracing::error!(room = %room.id, "knownUserSecret cannot be opened; set it again");
                ProblemCode::Internal
            })?;
            let now = room.parts.clock.now();
            let target = with_token(room, &secret, address, place, until, now);
            HeaderValue::try_from(target).map_err(|_| ProblemCode::Internal)?
        }
    };
    Ok(redirect(location, cookie))
}

/// On to the goal after a form. A browser does not follow a form to another site, which the policy
/// of the page forbids, so such a fan goes on from the waiting page.
fn after_form(room: &Room, goal: &Goal, cookie: HeaderValue) -> Response {
    match goal {
        Goal::Here(to) => redirect(to.to_location(), Some(cookie)),
        Goal::There(_) => see_other(&goal.page(&room.id), Some(cookie)),
    }
}

fn redirect(location: HeaderValue, cookie: Option<HeaderValue>) -> Response {
    let mut response = private((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response());
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The headers of the waiting page besides its media type.
fn page_headers(state: &LineState) -> HeaderMap {
    let policy = HeaderValue::from_str(&state.page_policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'"));
    HeaderMap::from_iter([
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ])
}

/// A style, script or image of the page
#[utoipa::path(
    get, path = "/_line/static/{version}/{*path}", tag = "page",
    params(
        ("version" = String, Path, description = "The version that the page names"),
        ("path" = String, Path, description = "The path of the file")
    ),
    responses(
        (status = 200, description = "The file, cacheable for ever by its version"),
        (status = 304, description = "Not changed since a tag in `If-None-Match`"),
        OfFiles
    )
)]
pub async fn asset(
    ApiPath((version, path)): ApiPath<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let file = FILES.get(path.as_str()).ok_or(ProblemCode::NotFound)?;
    let mut response = file.answer(&headers);
    for (name, value) in [
        (CACHE_CONTROL, pages::asset_cache_control(&version)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The static files of all pages, each compressed at its first request.
static FILES: LazyLock<BTreeMap<&'static str, Document>> = LazyLock::new(|| {
    pages::asset::paths()
        .filter_map(|path| {
            let asset = pages::asset(path)?;
            let tag = asset.etag.trim_matches('"').to_owned();
            let file = Document::new(asset.bytes, asset.media_type, tag, Effort::Best);
            Some((path, file))
        })
        .collect()
});
