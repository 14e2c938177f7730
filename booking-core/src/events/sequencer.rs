//! The sequencer: gives committed rows of the outbox their positions in the log.

use std::collections::{HashMap, HashSet};

use contract::Timestamp;

use crate::config::EVENT_BATCH_MAX;
use crate::core::Core;
use crate::customer_seal::{self, CustomerKey};
use crate::database::StoreError;
use crate::store::events::{self, NewEvent, Unsequenced};
use crate::telemetry;

/// The position of rows that are told to fans alone.
const NOT_TOLD: i64 = 0;

impl Core {
    /// Moves committed rows of the outbox into the log. Returns how many: there may be more. Any
    /// number of processes may call it at once; all but one of them do nothing.
    pub(crate) async fn sequence_once(&self) -> Result<usize, StoreError> {
        let pool = &self.pools.jobs;
        if !events::has_unsequenced(pool).await? {
            return Ok(0);
        }
        let mut tx = pool.begin().await?;
        // What the process before committed is visible to every statement after this one.
        let Some(head) = events::head_take(&mut tx).await? else {
            return Ok(0);
        };
        let rows = events::unsequenced(&mut tx, EVENT_BATCH_MAX).await?;
        let now = self.clock.now();
        let keys = self.keys_of(&mut tx, &rows, now).await?;
        let mut end = head;
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let mut new = Vec::new();
        for row in rows {
            ids.push(row.id);
            positions.push(match (row.known, &row.data) {
                (Some(known), _) => known,
                (None, None) => NOT_TOLD,
                (None, Some(_)) => {
                    end += 1;
                    new.push(self.event_of(row, end, &keys, now)?);
                    end
                }
            });
        }
        let told = new.len();
        events::append(&mut tx, new, (&ids, &positions), end, now).await?;
        tx.commit().await?;
        metrics::counter!(telemetry::EVENTS_SEQUENCED).increment(u64::try_from(told).unwrap_or(0));
        if told > 0 {
            self.events_told.notify_waiters();
        }
        Ok(ids.len())
    }

    async fn keys_of(
        &self,
        connection: &mut sqlx::PgConnection,
        rows: &[Unsequenced],
        now: Timestamp,
    ) -> Result<HashMap<Vec<u8>, CustomerKey>, StoreError> {
        let emails = rows.iter().filter_map(|row| row.email.as_deref());
        let customers: HashSet<Vec<u8>> = emails.map(|email| self.customer_digest(email)).collect();
        if customers.is_empty() {
            return Ok(HashMap::new());
        }
        let customers: Vec<Vec<u8>> = customers.into_iter().collect();
        let fresh: Vec<CustomerKey> = customers
            .iter()
            .map(|_| CustomerKey {
                key_id: self.randomness.uuid(now),
                secret: self.randomness.bytes::<32>().to_vec(),
            })
            .collect();
        let keys = events::customer_keys(connection, &customers, &fresh, now).await?;
        Ok(keys.into_iter().collect())
    }

    /// The digest by which the key of an address is found.
    pub(crate) fn customer_digest(&self, email: &str) -> Vec<u8> {
        customer_seal::digest(&self.config.ticket_keys, email)
    }

    fn event_of(
        &self,
        row: Unsequenced,
        position: i64,
        keys: &HashMap<Vec<u8>, CustomerKey>,
        now: Timestamp,
    ) -> Result<NewEvent, StoreError> {
        let event_id = self.randomness.uuid(now);
        let mut event = NewEvent {
            position,
            event_id,
            kind: row.topic,
            dedupe: row.dedupe,
            occurred_at: row.created_at,
            data: row.data.unwrap_or_default(),
            key_id: None,
            personal: None,
        };
        if let Some(email) = row.email {
            let key = keys.get(&self.customer_digest(&email));
            let sealed = key.and_then(|key| {
                let sealed = customer_seal::seal(key, event_id, self.randomness.bytes(), &email)?;
                Some((key.key_id, sealed))
            });
            let (key_id, sealed) = sealed
                .ok_or_else(|| StoreError::corrupt("customer_keys", "a key that cannot seal"))?;
            event.key_id = Some(key_id);
            event.personal = Some(sealed);
        }
        Ok(event)
    }
}
