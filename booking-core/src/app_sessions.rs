//! Sessions of apps: a code from a mail begins one, a refresh token that can be used once keeps it.

use std::sync::Arc;

use contract::app_session::TokenAnswer;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::{APP_ACCESS_LASTS, APP_SESSION_LASTS, CODE_LASTS};
use crate::core::Core;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;
use crate::store::app_sessions::{NewSession, Refreshed};
use crate::store::guest_mails::{GuestMailKind, NewGuestMail};

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

    /// Begins a session with a code; `None` when it is wrong, used, over or tried too often.
    pub(crate) async fn app_session_begin(
        &self,
        email: String,
        digits: String,
    ) -> Result<Option<TokenAnswer>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.app_session_begin(&email, &digits).await };
        self.0.work.run(work).await
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
            let now = core.clock.now();
            store::app_sessions::end(&core.pools.money, &hash(&token), now).await
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

    async fn app_session_begin(
        &self,
        email: &str,
        digits: &str,
    ) -> Result<Option<TokenAnswer>, StoreError> {
        let now = self.clock.now();
        let digest = self.links.address(email);
        let mut connection = self.pools.money.acquire().await?;
        // Counted in a transaction of its own: a try counts whatever becomes of it.
        let tried = store::app_sessions::code_try(&mut connection, &digest, now).await?;
        drop(connection);
        let Some((code_id, at)) = tried.filter(|(code_id, _)| self.links.is_code(*code_id, digits))
        else {
            return Ok(None);
        };
        let token = self.refresh_token();
        let new = NewSession {
            session_id: self.randomness.uuid(now),
            at,
            address_digest: digest,
            ends_at: now.plus(APP_SESSION_LASTS),
        };
        let mut tx = self.pools.money.begin().await?;
        if !store::guest_mails::code_use(&mut tx, code_id, now).await? {
            return Ok(None);
        }
        store::app_sessions::begin(&mut tx, &new, &hash(&token), now).await?;
        tx.commit().await?;
        Ok(Some(self.tokens(new.session_id, token)))
    }

    async fn app_session_refresh(&self, token: &str) -> Result<Option<TokenAnswer>, StoreError> {
        let now = self.clock.now();
        let next = self.refresh_token();
        let ends_at = now.plus(APP_SESSION_LASTS);
        let pool = &self.pools.money;
        let (used, stored) = (hash(token), hash(&next));
        match store::app_sessions::refresh(pool, &used, &stored, ends_at, now).await? {
            Refreshed::Done(session_id) => Ok(Some(self.tokens(session_id, next))),
            Refreshed::Reused(session_id) => {
                tracing::warn!(session = %session_id, "a refresh token came twice: its session ends");
                Ok(None)
            }
            Refreshed::Unknown => Ok(None),
        }
    }

    fn refresh_token(&self) -> String {
        BASE64URL_NOPAD.encode(&self.randomness.bytes::<32>())
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

/// 256 random bits need no slow hash: there is nothing to guess.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
