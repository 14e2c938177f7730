//! Sessions of apps: a code from a mail begins one, a refresh token that can be used once keeps it.
//! A refresh token is the id of its session and 256 random bits.

use std::sync::Arc;

use contract::app_session::TokenAnswer;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::{
    APP_ACCESS_LASTS, APP_CODE_MISSES_MAX, APP_REFUSAL_AFTER, APP_SESSION_LASTS, CODE_LASTS,
};
use crate::core::Core;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;
use crate::store::app_sessions::{NewSession, Refreshed};
use crate::store::guest_mails::{GuestMailKind, NewGuestMail};
use crate::telemetry;

/// The outcome of asking for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It has these tokens.
    With(TokenAnswer),
    /// The code is wrong, used, over or tried too often.
    NotValid,
    /// Too many codes were wrong in this minute, whoever tried them: none is tried.
    Busy,
}

impl Booking {
    /// Mails a code for an app, if the address has any booking. Returns at once, so that the time of
    /// the answer does not tell; false when too many ask already.
    pub(crate) fn app_code_ask(&self, email: String) -> bool {
        let core = Arc::clone(&self.0);
        let Ok(permit) = Arc::clone(&self.0.finds).try_acquire_owned() else {
            return false;
        };
        self.0.work.start(async move {
            let _permit = permit;
            if let Err(error) = core.app_code_ask(&email).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a code that an app asked for was not made");
            }
        });
        true
    }

    /// Begins a session with a code. A refusal takes the same time whether the address has a booking
    /// or not.
    pub(crate) async fn app_session_begin(
        &self,
        email: String,
        digits: String,
    ) -> Result<Begun, StoreError> {
        let soonest = Instant::now() + APP_REFUSAL_AFTER;
        let core = Arc::clone(&self.0);
        let work = async move { core.app_session_begin(&email, &digits).await };
        let begun = self.0.work.run(work).await?;
        if !matches!(begun, Begun::With(_)) {
            tokio::time::sleep_until(soonest).await;
        }
        Ok(begun)
    }

    /// The next tokens of a session; `None` when the token is unknown, used or its session over.
    pub(crate) async fn app_session_refresh(
        &self,
        token: String,
    ) -> Result<Option<TokenAnswer>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.app_session_refresh(&token).await };
        self.0.work.run(work).await
    }

    /// Ends the session of a refresh token.
    pub(crate) async fn app_session_end(&self, token: String) -> Result<(), StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let Some(session_id) = session_of(&token) else {
                return Ok(());
            };
            let mut connection = core.pools.money.acquire().await?;
            store::app_sessions::revoke(&mut connection, session_id, core.clock.now()).await
        };
        self.0.work.run(work).await
    }
}

impl Core {
    async fn app_code_ask(&self, email: &str) -> Result<(), StoreError> {
        let email = email.to_lowercase();
        let mut connection = self.pools.money.acquire().await?;
        let found = store::app_sessions::of_address(&mut connection, &email).await?;
        drop(connection);
        let Some(at) = found else { return Ok(()) };
        let now = self.clock.now();
        let new = NewGuestMail {
            mail_id: self.randomness.uuid(now),
            booking_id: at.booking_id,
            holder: at.transfer_id,
            kind: GuestMailKind::AppCode,
            address_digest: self.links.address(&email),
            created_at: now,
            expires_at: now.plus(CODE_LASTS),
        };
        store::guest_mails::ask(&self.pools.money, &new).await?;
        Ok(())
    }

    async fn app_session_begin(&self, email: &str, digits: &str) -> Result<Begun, StoreError> {
        let now = self.clock.now();
        let digest = self.links.address(email);
        let mut connection = self.pools.money.acquire().await?;
        if store::app_sessions::misses(&mut connection, now).await? >= APP_CODE_MISSES_MAX {
            metrics::counter!(telemetry::APP_CODES_UNTRIED).increment(1);
            return Ok(Begun::Busy);
        }
        // Counted in a transaction of its own: a try counts whatever becomes of it.
        let tried = store::app_sessions::code_try(&mut connection, &digest, now).await?;
        let Some((code_id, at)) = tried else {
            return Ok(Begun::NotValid);
        };
        if !self.links.is_app_code(code_id, digits) {
            store::app_sessions::miss(&mut connection, now).await?;
            return Ok(Begun::NotValid);
        }
        drop(connection);
        let session_id = self.randomness.uuid(now);
        let token = self.refresh_token(session_id);
        let new = NewSession {
            session_id,
            at,
            address_digest: digest,
            refresh_hash: hash(&token),
            ends_at: now.plus(APP_SESSION_LASTS),
        };
        let mut tx = self.pools.money.begin().await?;
        if !store::guest_mails::code_use(&mut tx, code_id, now).await? {
            return Ok(Begun::NotValid);
        }
        store::app_sessions::begin(&mut tx, &new, now).await?;
        tx.commit().await?;
        Ok(Begun::With(self.tokens(session_id, token)))
    }

    async fn app_session_refresh(&self, token: &str) -> Result<Option<TokenAnswer>, StoreError> {
        let Some(session) = session_of(token) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let next = self.refresh_token(session);
        let ends_at = now.plus(APP_SESSION_LASTS);
        let pool = &self.pools.money;
        let (used, stored) = (hash(token), hash(&next));
        let hashes = (&used[..], &stored[..]);
        match store::app_sessions::refresh(pool, session, hashes, ends_at, now).await? {
            Refreshed::Done => Ok(Some(self.tokens(session, next))),
            Refreshed::Revoked => {
                tracing::warn!(%session, "a refresh token came late or twice: its session ends");
                Ok(None)
            }
            Refreshed::Unknown => Ok(None),
        }
    }

    fn refresh_token(&self, session_id: Uuid) -> String {
        let mut bytes = session_id.as_bytes().to_vec();
        bytes.extend_from_slice(&self.randomness.bytes::<32>());
        BASE64URL_NOPAD.encode(&bytes)
    }

    fn tokens(&self, session_id: Uuid, refresh_token: String) -> TokenAnswer {
        let ends_at = self.clock.now().plus(APP_ACCESS_LASTS);
        TokenAnswer {
            access_token: self.links.access_token(session_id, ends_at),
            expires_in: APP_ACCESS_LASTS.as_secs(),
            refresh_token,
        }
    }
}

/// The session that a refresh token names.
fn session_of(token: &str) -> Option<Uuid> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (session, secret) = bytes.split_at_checked(16)?;
    (secret.len() == 32).then(|| Uuid::from_slice(session).ok())?
}

/// 256 random bits need no slow hash: there is nothing to guess.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
