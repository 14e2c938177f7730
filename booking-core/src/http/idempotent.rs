//! `Idempotency-Key`: a repeated request gets the same response.

use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode, principal};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web::{ApiError, ApiResult};

use super::problems::invalid;
use crate::config::{IDEMPOTENCY_TAKEOVER_AFTER, KEY_TRIES_MAX, PROVIDER_PATIENCE};
use crate::customer::Customer;
use crate::database::{StoreError, Turns};
use crate::handle::Booking;
use crate::store::idempotency::{self, Claim, KeyUse, Known, StoredAnswer};

const KEY_HEADER: &str = "idempotency-key";
/// Marks a response as a repetition.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_LENGTH_MAX: usize = 255;
/// Pause between attempts to complete or give up a key.
const KEY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Largest response that is stored; ours are much smaller.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The key of a request, and a fingerprint of the request.
pub(super) struct RequestKey {
    key: String,
    fingerprint: [u8; 32],
}

impl RequestKey {
    /// Reads the key, if there is one. `path` and `body` enter the fingerprint.
    pub(super) fn read(
        headers: &HeaderMap,
        path: &str,
        body: &impl Serialize,
    ) -> ApiResult<Option<Self>> {
        let Some(value) = headers.get(KEY_HEADER) else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=KEY_LENGTH_MAX).contains(&key.len()))
            .ok_or_else(|| invalid("Idempotency-Key", "must have 1 to 255 visible characters"))?;
        let body = serde_json::to_vec(body).map_err(|error| ApiError::internal(&error))?;
        let mut hash = Sha256::new();
        hash.update(path);
        hash.update([0]);
        hash.update(body);
        Ok(Some(Self {
            key: key.to_owned(),
            fingerprint: hash.finalize().into(),
        }))
    }

    /// The key's use by `principal`.
    pub(super) fn used_by(&self, principal: &str) -> KeyUse {
        KeyUse {
            principal: principal.to_owned(),
            key: self.key.clone(),
            fingerprint: self.fingerprint,
        }
    }

    /// The key's use by the customer, for a request about something that the customer already owns.
    pub(super) fn used_by_owner(&self, customer: &Customer, headers: &HeaderMap) -> KeyUse {
        let principals = customer.key_principals(headers);
        self.used_by(principals.first().map_or("", String::as_str))
    }
}

/// What `202` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// The outcome is open: a repeat asks again.
    IsOpen,
    /// The work is done: a repeat gets the same response.
    IsFinal,
}

/// Does `work` unless an earlier request did. Runs in its own task, so that after a
/// disconnect the response is stored and the key does not stay in progress. `effect_id` is what the
/// work makes or is about. `keys` are the
/// connections for the key's rows. Fails when the key could not be read, or with a timeout while
/// the work continues.
pub(super) async fn once<F, Fut>(
    booking: &Booking,
    keys: Turns,
    key_use: Option<KeyUse>,
    effect_id: Uuid,
    accepted: Accepted,
    work: F,
) -> Result<ApiResult<Response>, StoreError>
where
    F: FnOnce(Booking) -> Fut + Send + 'static,
    Fut: Future<Output = ApiResult<Response>> + Send + 'static,
{
    let owned = booking.clone();
    let task = async move {
        match key_use {
            None => Ok(work(owned).await),
            Some(key_use) => keyed(owned, keys, key_use, (effect_id, accepted), work).await,
        }
    };
    // The work alone may take `PROVIDER_PATIENCE`; the key's statements need additional time.
    booking.0.work.run_within(PROVIDER_PATIENCE * 2, task).await
}

async fn keyed<F, Fut>(
    booking: Booking,
    keys: Turns,
    key_use: KeyUse,
    (effect_id, accepted): (Uuid, Accepted),
    work: F,
) -> Result<ApiResult<Response>, StoreError>
where
    F: FnOnce(Booking) -> Fut,
    Fut: Future<Output = ApiResult<Response>>,
{
    let (now, takeover) = (booking.0.clock.now(), IDEMPOTENCY_TAKEOVER_AFTER);
    let (mut connection, turn) = keys.acquire().await?;
    let claim = idempotency::claim(&mut connection, &key_use, effect_id, now, takeover).await?;
    drop((connection, turn));
    match claim {
        Claim::Known(known) => return Ok(repeat(known)),
        Claim::Work => {}
    }
    let response = work(booking.clone())
        .await
        .unwrap_or_else(IntoResponse::into_response);
    let (response, end) = if is_final(response.status(), accepted) {
        match store_form(response).await {
            Ok((response, answer)) => (response, KeyEnd::Answered(answer)),
            Err(error) => return Ok(Err(error)),
        }
    } else {
        (response, KeyEnd::GivenUp)
    };
    // The work is done, so its response is returned even if the key could not be updated.
    if let Err(error) = end_key(&keys, &key_use, &end).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an idempotency key is brought to its end later"
        );
        booking.0.work.start(end_key_later(keys, key_use, end));
    }
    Ok(Ok(response))
}

/// Stores the response of work that claimed no key, if it is final, over the connections that settle
/// payments. A key that was used for another request meanwhile is a refusal, although the work is
/// done.
pub(super) async fn keep(
    booking: &Booking,
    key_use: KeyUse,
    effect_id: Uuid,
    response: Response,
) -> ApiResult<Response> {
    if !is_final(response.status(), Accepted::IsOpen) {
        return Ok(response);
    }
    let (response, answer) = store_form(response).await?;
    let owned = booking.clone();
    let work = async move {
        let mut tries = 0;
        loop {
            tries += 1;
            match keep_once(&owned, &key_use, effect_id, &answer).await {
                Err(error) if error.is_transient() && tries < KEY_TRIES_MAX => {
                    tracing::debug!(%error, "an answer is not stored yet");
                    tokio::time::sleep(KEY_AGAIN_AFTER).await;
                }
                outcome => return outcome,
            }
        }
    };
    match booking.0.work.run(work).await {
        Ok(Some(Known::Reused)) => Err(ProblemCode::IdempotencyKeyReused.into()),
        Ok(_) => Ok(response),
        Err(error) => {
            // The work is done, so its response is returned.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an answer is stored later, or not at all");
            Ok(response)
        }
    }
}

/// Stores the answer of a key. The state of the key if it was used before.
async fn keep_once(
    booking: &Booking,
    key_use: &KeyUse,
    effect_id: Uuid,
    answer: &StoredAnswer,
) -> Result<Option<Known>, StoreError> {
    let now = booking.0.clock.now();
    let (mut connection, _turn) = booking.0.settling.acquire().await?;
    if idempotency::keep(&mut connection, key_use, effect_id, answer, now).await? {
        return Ok(None);
    }
    let known = idempotency::find(&mut *connection, std::slice::from_ref(key_use)).await?;
    Ok(known.into_iter().flatten().next())
}

/// How a claimed key ends.
enum KeyEnd {
    /// It stores this response for repeats.
    Answered(StoredAnswer),
    /// It is deleted, and a repeat starts anew.
    GivenUp,
}

async fn end_key(keys: &Turns, key_use: &KeyUse, end: &KeyEnd) -> Result<(), StoreError> {
    let (mut connection, _turn) = keys.acquire().await?;
    match end {
        KeyEnd::Answered(answer) => idempotency::answer(&mut connection, key_use, answer).await,
        KeyEnd::GivenUp => idempotency::give_up(&mut connection, key_use).await,
    }
}

/// Retries to end the key, so that a repeat need not wait for the takeover. Stops before the
/// takeover is possible.
async fn end_key_later(keys: Turns, key_use: KeyUse, end: KeyEnd) {
    for _ in 0..KEY_TRIES_MAX {
        tokio::time::sleep(KEY_AGAIN_AFTER).await;
        match end_key(&keys, &key_use, &end).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "an idempotency key is still in progress"),
        }
    }
}

/// Whether a response is stored. Refusals that are meant to be tried again, and open outcomes, are
/// not.
fn is_final(status: StatusCode, accepted: Accepted) -> bool {
    match status {
        StatusCode::ACCEPTED => accepted == Accepted::IsFinal,
        StatusCode::CONFLICT
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::FORBIDDEN => false,
        status => !status.is_server_error(),
    }
}

async fn store_form(response: Response) -> ApiResult<(Response, StoredAnswer)> {
    let (parts, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, ANSWER_BYTES_MAX);
    let body = body
        .collect()
        .await
        .map_err(|error| ApiError::internal(&error))?
        .to_bytes();
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        // The command to end the session is not stored: a repeat may come from a later session.
        if *name == principal::COMMAND || *name == principal::ROOM {
            continue;
        }
        if let Ok(value) = value.to_str() {
            headers.insert(name.to_string(), Value::String(value.to_owned()));
        }
    }
    let answer = StoredAnswer {
        status: parts.status.as_u16(),
        headers: Value::Object(headers),
        body: body.to_vec(),
    };
    Ok((Response::from_parts(parts, Body::from(body)), answer))
}

/// The response to a request whose key was used before.
pub(super) fn repeat(known: Known) -> ApiResult<Response> {
    let answer = match known {
        Known::Answered(answer) => answer,
        Known::InProgress => {
            return Err(Problem::new(ProblemCode::RequestInProgress)
                .retry_after(1)
                .into());
        }
        Known::Reused => return Err(ProblemCode::IdempotencyKeyReused.into()),
    };
    let replayed = (REPLAYED, HeaderValue::from_static("true"));
    let is_problem = answer.headers[CONTENT_TYPE.as_str()] == PROBLEM_MEDIA_TYPE;
    if is_problem && let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) {
        // The problem gets the id of this request, not of the first.
        return Ok(([replayed], web::error::respond(problem)).into_response());
    }
    Ok(([replayed], respond(answer)?).into_response())
}

/// A stored answer as a response.
pub(super) fn respond(answer: StoredAnswer) -> ApiResult<Response> {
    let status = StatusCode::from_u16(answer.status).map_err(|error| ApiError::internal(&error))?;
    let mut response = (status, Bytes::from(answer.body)).into_response();
    if let Value::Object(headers) = answer.headers {
        for (name, value) in headers {
            let name = HeaderName::try_from(name);
            let value = value.as_str().map(HeaderValue::from_str);
            if let (Ok(name), Some(Ok(value))) = (name, value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    Ok(response)
}
