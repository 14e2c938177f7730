//! Stores and loads the installation's sealed ticket keys.

use contract::Timestamp;
use contract::pass::PassKey;
use line::Randomness;
use line::records::RecordsError;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::installation::{NotOurs, Seal, Settled, StoredKey, TicketSecrets, settle};

/// Why a gateway has no ticket keys.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeysError {
    /// The database did not answer.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The database belongs to another installation.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
}

impl TicketKeysError {
    /// Whether the same call may succeed a little later. It may be repeated: keys that were stored
    /// are found again.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Records(error) if error.is_passing())
    }
}

impl From<sqlx::Error> for TicketKeysError {
    fn from(error: sqlx::Error) -> Self {
        Self::Records(error.into())
    }
}

/// Loads the ticket keys for a gateway with these signing keys, and stores new ones. When several
/// gateways start at once on a new database, the first one creates the keys.
pub async fn ticket_keys(
    pool: &PgPool,
    signing: &[PassKey],
    randomness: &Randomness,
    adopt: bool,
    now: Timestamp,
) -> Result<TicketSecrets, TicketKeysError> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("lock table ticket_keys in share row exclusive mode")
        .execute(&mut *transaction)
        .await?;
    let stored = read(&mut transaction).await?;
    let settled = settle(&stored, signing, randomness, adopt)?;
    write(&mut transaction, &settled, now).await?;
    transaction.commit().await?;
    Ok(settled.secrets)
}

async fn read(connection: &mut PgConnection) -> Result<Vec<StoredKey>, RecordsError> {
    let corrupt = |detail: &str| RecordsError::Corrupt {
        table: "ticket_keys",
        detail: detail.to_owned(),
    };
    let rows = sqlx::query!("select key_id, public_key, signer from ticket_keys order by key_id")
        .fetch_all(&mut *connection)
        .await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        keys.push(StoredKey {
            id: u8::try_from(row.key_id).map_err(|_| corrupt("a key id out of range"))?,
            public: <[u8; 32]>::try_from(row.public_key)
                .map_err(|_| corrupt("a public key that is not 32 bytes long"))?,
            seals: Vec::new(),
            signer: row.signer,
        });
    }
    let rows = sqlx::query!(
        "select key_id, signing_key_id, sealed from ticket_key_seals
         order by key_id, created_at, signing_key_id"
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let key = keys.iter_mut().find(|key| i16::from(key.id) == row.key_id);
        let key = key.ok_or_else(|| corrupt("a seal without its key"))?;
        key.seals.push(Seal {
            signing_key_id: row.signing_key_id,
            sealed: row.sealed,
        });
    }
    Ok(keys)
}

async fn write(
    connection: &mut PgConnection,
    settled: &Settled,
    now: Timestamp,
) -> Result<(), RecordsError> {
    let id = i16::from(settled.secrets.id);
    let now = OffsetDateTime::from(now);
    if let Some(public) = &settled.new_public {
        sqlx::query!(
            "insert into ticket_keys (key_id, public_key, created_at) values ($1, $2, $3)",
            id,
            &public[..],
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    for seal in &settled.new_seals {
        sqlx::query!(
            "insert into ticket_key_seals (key_id, signing_key_id, sealed, created_at)
             values ($1, $2, $3, $4)",
            id,
            seal.signing_key_id,
            &seal.sealed[..],
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        "update ticket_keys set signer = $2 where key_id = $1 and signer is distinct from $2",
        id,
        settled.signer
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
