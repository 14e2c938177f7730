//! Tells the other gateways which signing keys this one has, looks at theirs, and changes the key
//! that signs when that breaks nothing.

use std::sync::{Arc, Mutex, PoisonError};

use contract::Clock;
use line::Parts;
use line::records::RecordsError;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::kept_keys::{Known, keys_left, keys_told};
use crate::rotation::{TOLD_EVERY, signs_unverified};
use crate::signing_keys::SigningKeys;

/// What an operator should know about the signing keys; nothing, when none.
#[derive(Clone, Debug, Default)]
pub struct KeysAdvice(Arc<Mutex<Option<String>>>);

impl KeysAdvice {
    /// The advice.
    pub fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes the advice, and logs it when it is another.
    fn set(&self, advice: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == advice {
            return;
        }
        if let Some(advice) = &advice {
            tracing::warn!("{advice}");
        } else {
            tracing::info!("the signing keys of all gateways are in order");
        }
        *known = advice;
    }
}

/// What telling needs.
pub struct KeyTeller {
    pool: PgPool,
    known: Known,
    signing: Arc<SigningKeys>,
    parts: Arc<Parts>,
    advice: KeysAdvice,
    /// The id of the key that signs.
    signer: String,
}

impl KeyTeller {
    /// A gateway that is `known` to the others and signs with `signer`.
    pub fn new(
        pool: PgPool,
        known: Known,
        signing: Arc<SigningKeys>,
        parts: Arc<Parts>,
        signer: String,
    ) -> Self {
        Self {
            pool,
            known,
            signing,
            parts,
            advice: KeysAdvice::default(),
            signer,
        }
    }

    /// What it finds, for readiness.
    pub fn advice(&self) -> KeysAdvice {
        self.advice.clone()
    }

    /// Tells every few seconds until `ended`, and once more then.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut ticks = tokio::time::interval(TOLD_EVERY);
        loop {
            tokio::select! {
                () = ended.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.tell_once().await {
                // Whatever key signs, the others verify it. Readiness tells of the database.
                tracing::debug!(%error, "the other gateways were not told which keys there are");
            }
        }
        let now = self.parts.clock.now();
        let left = keys_left(&self.pool, &self.known, &self.signing, &self.signer, now);
        if let Err(error) = left.await {
            tracing::debug!(%error, "the other gateways were not told of the end");
        }
    }

    async fn tell_once(&mut self) -> Result<(), RecordsError> {
        let now = self.parts.clock.now();
        let told = keys_told(&self.pool, &self.known, &self.signing, &self.signer, now).await?;
        if told.signer != self.signer {
            self.parts.pass_keys.sign_with(&told.signer);
            self.parts.place_keys.sign_with(&told.signer);
            tracing::info!(key = told.signer, "another key signs");
            self.signer = told.signer;
        }
        let ids = self.signing.ids();
        let unverified = signs_unverified(&ids, &told.others, now).map(|(gateway, key)| {
            format!(
                "the gateway {gateway} signs with the key {key}, which this one does not have: \
                 name its file in ROPELINE_SIGNING_KEYS"
            )
        });
        let not_yet = told.not_yet.map(|why| why.to_string());
        self.advice.set(unverified.or(not_yet));
        Ok(())
    }
}
