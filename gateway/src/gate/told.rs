//! What a shop is told where its room is set so: the fan's pass, and a proof that the request came
//! through the gate.

use contract::principal::{PASS, PROOF};
use contract::proof::{PROOF_SECONDS, ProofClaims, TOKEN_USE_PROOF};
use contract::{PlaceId, Timestamp};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use line::room::Room;

use super::decision::LetThrough;

/// The headers for the shop of `room`, which gets the request with this `head` at `path`; `None`
/// where the room is not set to tell anything.
pub(super) fn told(
    room: &Room,
    let_through: &LetThrough,
    head: &Parts,
    path: Option<&str>,
    id: &HeaderValue,
    now: Timestamp,
) -> Option<HeaderMap> {
    let tells = room.tells();
    if !tells.is_any() {
        return None;
    }
    let fan = let_through.own.as_ref().filter(|fan| fan.is_live);
    let mut headers = HeaderMap::with_capacity(2);
    if tells.pass
        && fan.is_some()
        && let Some(text) = &let_through.token
        && let Ok(pass) = HeaderValue::from_str(text)
    {
        headers.insert(PASS, pass);
    }
    if tells.proof
        && let Some(path) = path
        && let Some(proof) = proof(room, fan.map(|fan| fan.subject), head, path, id, now)
    {
        headers.insert(PROOF, proof);
    }
    Some(headers)
}

fn proof(
    room: &Room,
    subject: Option<PlaceId>,
    head: &Parts,
    path: &str,
    id: &HeaderValue,
    now: Timestamp,
) -> Option<HeaderValue> {
    let keys = &room.parts.pass_keys;
    let host = head.headers.get(HOST);
    let iat = now.as_unix_seconds();
    let claims = ProofClaims {
        iss: keys.issuer().to_owned(),
        aud: room.id.clone(),
        sub: subject,
        jti: id.to_str().ok()?.to_owned(),
        iat,
        exp: iat + PROOF_SECONDS,
        method: head.method.as_str().to_owned(),
        host: host
            .map_or("", |host| host.to_str().unwrap_or_default())
            .to_owned(),
        path: path.to_owned(),
        token_use: TOKEN_USE_PROOF.to_owned(),
    };
    HeaderValue::try_from(keys.sign_proof(&claims)?).ok()
}
