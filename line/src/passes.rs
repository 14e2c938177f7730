//! Mints passes.

use std::time::Duration;

use contract::line::PassGrant;
use contract::pass::{PassClaims, TOKEN_USE_ACCESS};
use contract::{PlaceId, Problem, ProblemCode, RoomId, Timestamp};

use crate::parts::Parts;
use crate::room::Room;

/// A pass and what was signed into it.
#[derive(Clone, Debug)]
pub struct Minted {
    /// For the fan.
    pub grant: PassGrant,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The admission a pass stands for.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// Who.
    pub place: PlaceId,
    /// Ordinal in the log; 0 for someone who passed through an idle room.
    pub seq: u64,
    /// When the session began, or the call was made.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// Signs the pass of `admission`. The same admission gives the same session id, however often
/// it is claimed (REDEEM-ONCE).
pub fn mint(
    parts: &Parts,
    room: &RoomId,
    admission: Admission,
    now: Timestamp,
) -> Result<Minted, Problem> {
    // Claims count whole seconds; rounding down keeps the pass within its session (CAP).
    let claims = PassClaims {
        iss: parts.pass_keys.issuer().to_owned(),
        aud: room.clone(),
        sub: admission.place,
        jti: parts
            .place_keys
            .session_id(room, admission.place, admission.seq),
        iat: admission.from.as_unix_seconds(),
        nbf: admission.from.as_unix_seconds(),
        exp: admission.until.as_unix_seconds(),
        queue_position: admission.seq,
        token_use: TOKEN_USE_ACCESS.to_owned(),
    };
    let access_token = parts.pass_keys.sign(&claims).map_err(|error| {
        tracing::error!(%error, "could not sign a pass");
        Problem::new(ProblemCode::Internal)
    })?;
    let expires_in = claims.expires_at().since(now).as_secs();
    let grant = PassGrant {
        access_token,
        token_type: "Bearer".to_owned(),
        expires_in,
    };
    Ok(Minted {
        grant,
        expires_at: claims.expires_at(),
    })
}

/// The pass that rides on a `called` frame: good from now on, because its first use claims the
/// call, until a session that begins at the last moment would end.
pub fn mint_called(
    room: &Room,
    place: PlaceId,
    seq: u64,
    claim_by: Timestamp,
    now: Timestamp,
) -> Result<Minted, Problem> {
    let settings = &room.record().settings;
    let claim_window = Duration::from_secs(settings.claim_window_seconds);
    let duration = Duration::from_secs(settings.session_duration_seconds);
    let from = claim_by.minus(claim_window);
    mint(
        &room.parts,
        &room.id,
        Admission {
            place,
            seq,
            from,
            until: claim_by.plus(duration),
        },
        now,
    )
}

/// A pass for someone who walks through an idle room. It is counted, as no limit holds for it.
pub fn mint_idle(room: &Room, place: PlaceId, now: Timestamp) -> Result<Minted, Problem> {
    let duration = Duration::from_secs(room.record().settings.session_duration_seconds);
    let admission = Admission {
        place,
        seq: 0,
        from: now,
        until: now.plus(duration),
    };
    let minted = mint(&room.parts, &room.id, admission, now)?;
    room.unmetered.pass(room.passes_by(), now);
    Ok(minted)
}
