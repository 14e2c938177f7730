//! What the database keeps of an installation's keys: the sealed ticket keys, the sealed secret of
//! places, and which signing keys each gateway has.

use contract::Timestamp;
use line::Randomness;
use line::records::RecordsError;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::installation::{NotOurs, Settled, Stored, StoredKey, settle};
use crate::rotation::{GatewayKeys, NotYet, REMEMBERED, may_sign, signed_lately};
use crate::seals::Seal;
use crate::signing_keys::SigningKeys;

/// Why a gateway has no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeptKeysError {
    /// The database did not answer.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The database belongs to another installation.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
}

impl KeptKeysError {
    /// Whether the same call may succeed a little later. It may be repeated: keys that were stored
    /// are found again.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Records(error) if error.is_passing())
    }
}

impl From<sqlx::Error> for KeptKeysError {
    fn from(error: sqlx::Error) -> Self {
        Self::Records(error.into())
    }
}

/// A gateway, as it is known to the others.
#[derive(Clone, Debug)]
pub struct Known {
    /// The process.
    pub gateway: Uuid,
    /// Host and port, for people.
    pub name: String,
}

/// Loads the keys for a gateway with these signing keys, stores new ones, and tells the other
/// gateways which it has. When several gateways start at once on a new database, the first one
/// creates the keys.
pub async fn kept_keys(
    pool: &PgPool,
    known: &Known,
    signing: &SigningKeys,
    randomness: &Randomness,
    adopt: bool,
    now: Timestamp,
) -> Result<Settled, KeptKeysError> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let tickets = tickets(&mut transaction).await?;
    let place = place_seals(&mut transaction).await?;
    let gateways = others(&mut transaction, known, now).await?;
    let stored = Stored {
        tickets,
        place,
        gateways,
    };
    let settled = settle(&stored, signing, randomness, adopt, now)?;
    if let Some((key, at)) = signed_lately(&signing.ids(), &stored.gateways) {
        tracing::warn!(
            key,
            "passes and places that this key signed until {at} are refused from now on: it is not \
             among ROPELINE_SIGNING_KEYS any more"
        );
    }
    write(&mut transaction, &settled, now).await?;
    let own = own(known, signing, &settled.signer, true, now);
    tell(&mut transaction, &own).await?;
    transaction.commit().await?;
    Ok(settled)
}

/// What a gateway found when it told the others which keys it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The id of the key to sign with from now on.
    pub signer: String,
    /// Why that is not the one that was asked for.
    pub not_yet: Option<NotYet>,
    /// The other gateways.
    pub others: Vec<GatewayKeys>,
}

/// Tells the other gateways which keys this one has, and that it signs with `signer`. Changes to
/// the key that was asked for as soon as that may sign.
pub async fn keys_told(
    pool: &PgPool,
    known: &Known,
    signing: &SigningKeys,
    signer: &str,
    now: Timestamp,
) -> Result<Told, RecordsError> {
    let wanted = signing.signer().kid();
    let mut transaction = pool.begin().await?;
    if signer != wanted {
        // So that no gateway starts without the key between the look at the others and the change.
        lock(&mut transaction).await?;
    }
    let others = others(&mut transaction, known, now).await?;
    let not_yet = if signer == wanted {
        None
    } else {
        may_sign(wanted, &others, now).err()
    };
    let signs = if not_yet.is_some() { signer } else { wanted };
    if signs != signer {
        set_signer(&mut transaction, signs).await?;
    }
    tell(&mut transaction, &own(known, signing, signs, true, now)).await?;
    transaction.commit().await?;
    Ok(Told {
        signer: signs.to_owned(),
        not_yet,
        others,
    })
}

/// Tells the other gateways that this one has ended, and signed with `signer` last.
pub async fn keys_left(
    pool: &PgPool,
    known: &Known,
    signing: &SigningKeys,
    signer: &str,
    now: Timestamp,
) -> Result<(), RecordsError> {
    let own = own(known, signing, signer, false, now);
    tell(&mut *pool.acquire().await?, &own).await
}

fn own(
    known: &Known,
    signing: &SigningKeys,
    signer: &str,
    is_running: bool,
    now: Timestamp,
) -> GatewayKeys {
    GatewayKeys {
        gateway: known.gateway,
        name: known.name.clone(),
        signer: signer.to_owned(),
        verifies: signing.ids(),
        is_running,
        seen_at: now,
    }
}

async fn lock(connection: &mut PgConnection) -> Result<(), RecordsError> {
    sqlx::query!("lock table ticket_keys in share row exclusive mode")
        .execute(connection)
        .await?;
    Ok(())
}

async fn tickets(connection: &mut PgConnection) -> Result<Vec<StoredKey>, RecordsError> {
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

async fn place_seals(connection: &mut PgConnection) -> Result<Vec<Seal>, RecordsError> {
    let seals = sqlx::query_as!(
        Seal,
        "select signing_key_id, sealed from place_key_seals order by created_at, signing_key_id"
    );
    Ok(seals.fetch_all(connection).await?)
}

/// The other gateways that told their keys lately.
async fn others(
    connection: &mut PgConnection,
    known: &Known,
    now: Timestamp,
) -> Result<Vec<GatewayKeys>, RecordsError> {
    let rows = sqlx::query!(
        "select gateway, name, signer, verifies, is_running, seen_at from gateway_keys
         where gateway <> $1 and seen_at > $2",
        known.gateway,
        OffsetDateTime::from(now.minus(REMEMBERED))
    )
    .fetch_all(connection)
    .await?;
    let keys = rows.into_iter().map(|row| GatewayKeys {
        gateway: row.gateway,
        name: row.name,
        signer: row.signer,
        verifies: row.verifies,
        is_running: row.is_running,
        seen_at: row.seen_at.into(),
    });
    Ok(keys.collect())
}

/// Notes which keys a gateway has, and forgets those that ended long ago.
async fn tell(connection: &mut PgConnection, keys: &GatewayKeys) -> Result<(), RecordsError> {
    sqlx::query!(
        "insert into gateway_keys (gateway, name, signer, verifies, is_running, seen_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (gateway) do update
         set signer = excluded.signer, is_running = excluded.is_running,
             seen_at = excluded.seen_at",
        keys.gateway,
        keys.name,
        keys.signer,
        &keys.verifies,
        keys.is_running,
        OffsetDateTime::from(keys.seen_at)
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from gateway_keys where seen_at < $1",
        OffsetDateTime::from(keys.seen_at.minus(REMEMBERED))
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes which key signs from now on.
async fn set_signer(connection: &mut PgConnection, signer: &str) -> Result<(), RecordsError> {
    sqlx::query!(
        "update ticket_keys set signer = $1
         where key_id = (select max(key_id) from ticket_keys) and signer is distinct from $1",
        signer
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    settled: &Settled,
    now: Timestamp,
) -> Result<(), RecordsError> {
    let id = i16::from(settled.secrets.id);
    let at = OffsetDateTime::from(now);
    if let Some(public) = &settled.new_public {
        sqlx::query!(
            "insert into ticket_keys (key_id, public_key, created_at) values ($1, $2, $3)",
            id,
            &public[..],
            at
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
            at
        )
        .execute(&mut *connection)
        .await?;
    }
    if settled.replaces_place {
        sqlx::query!("delete from place_key_seals")
            .execute(&mut *connection)
            .await?;
    }
    for seal in &settled.new_place_seals {
        sqlx::query!(
            "insert into place_key_seals (signing_key_id, sealed, created_at)
             values ($1, $2, $3)",
            seal.signing_key_id,
            &seal.sealed[..],
            at
        )
        .execute(&mut *connection)
        .await?;
    }
    set_signer(connection, &settled.signer).await
}
