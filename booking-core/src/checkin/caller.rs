//! Who scans: operators, or a scanner with a token of its own.

use std::sync::Arc;
use std::time::Duration;

use contract::checkin::{Label, Scanner, ScannerMade};
use contract::{ScannerId, ShowId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::config::{CHECKINS_LISTED_MAX, SCANNER_OUTLIVES};
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store;
use crate::store::scanners::{NewScanner, ScannerRow};
use crate::tickets::valid_until;

/// What every token of a scanner begins with, so that people and programs that look for leaked
/// secrets know it.
const TOKEN_PREFIX: &str = "rscan_";
/// Bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Longest that the token of a scanner can be good.
const TOKEN_MAX: Duration = Duration::from_hours(24 * 366 * 2);

/// Who scans.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Whoever reaches the operators' listener, for every show.
    Operators,
    /// A scanner, for one show.
    Scanner(Box<ScannerRow>),
}

impl Caller {
    /// Whether the caller may see the check-in of `show`.
    pub(crate) fn may_see(&self, show: &ShowId) -> bool {
        match self {
            Self::Operators => true,
            Self::Scanner(row) => row.scanner.show_id == *show,
        }
    }
}

/// A scanner that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct ScannerWish {
    pub(crate) show: ShowId,
    pub(crate) gate: Label,
    pub(crate) until: Option<Timestamp>,
}

/// What is kept of a token.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Booking {
    /// Whose token this is, if it is good.
    pub(crate) async fn scanner(&self, token: &str) -> Result<Option<ScannerRow>, StoreError> {
        if !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let (core, hash) = (Arc::clone(&self.0), token_hash(token));
        let work = async move {
            let now = core.clock.now();
            let scanner = store::scanners::of_token(&core.pools.money, &hash, now).await?;
            core.known_tokens.note(hash, scanner.is_some());
            Ok(scanner)
        };
        self.0.work.run(work).await
    }

    /// Makes a scanner. `None` when there is no such show.
    pub(crate) async fn scanner_create(
        &self,
        wish: ScannerWish,
    ) -> Result<Option<ScannerMade>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let Some(show) = store::scanners::show(&core.pools.jobs, &wish.show).await? else {
                return Ok(None);
            };
            let now = core.clock.now();
            let until = wish
                .until
                .unwrap_or_else(|| valid_until(show.ends_at).plus(SCANNER_OUTLIVES))
                .min(now.plus(TOKEN_MAX));
            let scanner_id = core.randomness.uuid(now);
            let secret = BASE64URL_NOPAD.encode(&core.randomness.bytes::<TOKEN_BYTES>());
            let token = format!("{TOKEN_PREFIX}{secret}");
            let new = NewScanner {
                scanner_id,
                show_no: show.show_no,
                gate: &wish.gate,
                token_hash: &token_hash(&token),
                now,
                until,
            };
            store::scanners::insert(&core.pools.jobs, &new).await?;
            let url = format!("{}/checkin/#token={token}", core.config.public_url);
            Ok(Some(ScannerMade {
                scanner: Scanner {
                    scanner_id: ScannerId::new(scanner_id),
                    show_id: show.show_id,
                    gate: wish.gate,
                    created_at: now,
                    until,
                    revoked_at: None,
                },
                token,
                url,
            }))
        };
        self.0.work.run(work).await
    }

    /// Scanners, of one show if it is named.
    pub(crate) async fn scanners(&self, show: Option<ShowId>) -> Result<Vec<Scanner>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            store::scanners::list(&core.pools.jobs, show.as_ref(), CHECKINS_LISTED_MAX).await
        };
        self.0.work.run(work).await
    }

    /// Revokes the token of a scanner. Whether there is such a scanner.
    pub(crate) async fn scanner_revoke(&self, scanner: ScannerId) -> Result<bool, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let now = core.clock.now();
            store::scanners::revoke(&core.pools.jobs, scanner.uuid(), now).await
        };
        self.0.work.run(work).await
    }
}
