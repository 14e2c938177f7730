//! A room as a value and as a row: how the one is read from the other.

use std::fmt;

use contract::Timestamp;
use contract::room::{Override, RoomSettings};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::RecordsError;

/// The table, in error messages.
pub(super) const TABLE: &str = "rooms";

/// A room as stored.
#[derive(Clone, PartialEq)]
pub struct RoomRecord {
    /// The settings.
    pub settings: RoomSettings,
    /// The manager's word in force; the schedule decides when `None`.
    pub overridden: Option<Override>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// The draw's seed, secret until `seed_revealed_at`.
    pub seed: [u8; 32],
    /// SHA-256 of the seed, hexadecimal.
    pub commitment: String,
    /// When the seed was published.
    pub seed_revealed_at: Option<Timestamp>,
    /// When the line was first told to open, by its operator or its schedule as far as a word of
    /// the operator passed over it. It opens then, whatever is said afterwards.
    pub open_ordered_at: Option<Timestamp>,
    /// When the line first opened.
    pub opened_at: Option<Timestamp>,
    /// How often the name of a deleted room was used again.
    pub epoch: u32,
    /// Counts what operators see change.
    pub version: i64,
    /// When it was made. Place tokens from before belong to a deleted room of the same name.
    pub created_at: Timestamp,
    /// When operators last changed it.
    pub updated_at: Timestamp,
}

impl fmt::Debug for RoomRecord {
    /// Leaves out the seed and the access codes: whoever reads the log must not steer the draw.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomRecord")
            .field("settings", &without_secrets(&self.settings).to_string())
            .field("overridden", &self.overridden)
            .field("paused_reason", &self.paused_reason)
            .field("commitment", &self.commitment)
            .field("seed_revealed_at", &self.seed_revealed_at)
            .field("open_ordered_at", &self.open_ordered_at)
            .field("opened_at", &self.opened_at)
            .field("epoch", &self.epoch)
            .field("version", &self.version)
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}

/// A row of the table.
pub(super) struct RoomRow {
    pub(super) slug: String,
    pub(super) settings: Value,
    pub(super) overridden: Option<String>,
    pub(super) override_before_pause: Option<String>,
    pub(super) paused_reason: Option<String>,
    pub(super) seed: Vec<u8>,
    pub(super) commitment: String,
    pub(super) seed_revealed_at: Option<OffsetDateTime>,
    pub(super) open_ordered_at: Option<OffsetDateTime>,
    pub(super) opened_at: Option<OffsetDateTime>,
    pub(super) epoch: i32,
    pub(super) version: i64,
    pub(super) change: i64,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
    pub(super) deleted_at: Option<OffsetDateTime>,
}

impl TryFrom<RoomRow> for RoomRecord {
    type Error = RecordsError;

    fn try_from(row: RoomRow) -> Result<Self, RecordsError> {
        let corrupt = |detail: String| RecordsError::Corrupt {
            table: TABLE,
            detail: format!("room {}: {detail}", row.slug),
        };
        Ok(Self {
            settings: settings_read(row.settings).map_err(|error| corrupt(error.to_string()))?,
            overridden: row
                .overridden
                .as_deref()
                .map(override_read)
                .transpose()
                .map_err(&corrupt)?,
            paused_reason: row.paused_reason,
            seed: row
                .seed
                .try_into()
                .map_err(|_| corrupt("the seed is not 32 bytes long".to_owned()))?,
            commitment: row.commitment,
            seed_revealed_at: row.seed_revealed_at.map(Timestamp::from),
            open_ordered_at: row.open_ordered_at.map(Timestamp::from),
            opened_at: row.opened_at.map(Timestamp::from),
            // A check constraint keeps it at or above zero.
            epoch: row.epoch.unsigned_abs(),
            version: row.version,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        })
    }
}

/// The settings without access codes, for the audit log and for `Debug`.
pub(super) fn without_secrets(settings: &RoomSettings) -> Value {
    let mut value = serde_json::to_value(settings).unwrap_or(Value::Null);
    value["accessCodes"] = json!(format!("{} not shown", settings.access_codes.len()));
    value
}

/// All addresses of an upstream, in a row whose `upstream` is the first of them: gateways that know no
/// lists read that one.
const ADDRESSES: &str = "upstreamAddresses";

pub(super) fn settings_json(settings: &RoomSettings) -> Result<Value, RecordsError> {
    let mut value = serde_json::to_value(settings)
        .map_err(|error| RecordsError::Conflict(error.to_string()))?;
    if let [first, _, ..] = settings.upstream.texts() {
        value[ADDRESSES] = json!(settings.upstream);
        value["upstream"] = json!(first);
    }
    Ok(value)
}

/// Reads settings, leaving out those that only a newer gateway knows: during an upgrade both
/// versions read the same row.
pub(super) fn settings_read(mut stored: Value) -> Result<RoomSettings, serde_json::Error> {
    let known: RoomSettings = serde_json::from_value(json!({"room": "known"}))?;
    let known = serde_json::to_value(known)?;
    if let Some(stored) = stored.as_object_mut() {
        // An older gateway that changed the upstream left the list as it was.
        let addresses = stored.remove(ADDRESSES);
        let is_first =
            |list: &Value| list.get(0).is_some() && list.get(0) == stored.get("upstream");
        if let Some(addresses) = addresses.filter(is_first) {
            stored.insert("upstream".to_owned(), addresses);
        }
        stored.retain(|name, _| known.get(name).is_some());
    }
    serde_json::from_value(stored)
}

pub(super) const fn override_text(word: Override) -> &'static str {
    match word {
        Override::Open => "open",
        Override::Pause => "pause",
        Override::Close => "close",
    }
}

pub(super) fn override_read(text: &str) -> Result<Override, String> {
    match text {
        "open" => Ok(Override::Open),
        "pause" => Ok(Override::Pause),
        "close" => Ok(Override::Close),
        other => Err(format!("`{other}` is no override")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_servers(servers: &[&str]) -> RoomSettings {
        serde_json::from_value(json!({"room": "eras", "upstream": servers})).unwrap()
    }

    #[test]
    fn gateways_that_know_no_lists_read_the_first_server() {
        let settings = of_servers(&["http://a:1", "http://b:1"]);
        let stored = settings_json(&settings).unwrap();
        assert_eq!(stored["upstream"], "http://a:1");
        assert_eq!(settings_read(stored.clone()).unwrap(), settings);

        let mut changed_by_one = stored;
        changed_by_one["upstream"] = json!("http://c:1");
        let read = settings_read(changed_by_one).unwrap();
        assert_eq!(read, of_servers(&["http://c:1"]));
    }

    #[test]
    fn one_server_is_stored_as_before() {
        let settings = of_servers(&["http://a:1"]);
        let stored = settings_json(&settings).unwrap();
        assert_eq!(stored["upstream"], "http://a:1");
        assert!(stored.get(ADDRESSES).is_none());
    }
}
