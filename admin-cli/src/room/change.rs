//! Changing a room's settings without overwriting what someone else changed.

use contract::room::{RoomSettings, RoomView};
use serde::Serialize;
use serde_json::{Map, Value};

use super::flags::SettingValues;
use crate::client::AdminClient;
use crate::failure::{Exit, Failure};

/// One setting that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its name on the wire.
    pub setting: String,
    /// How it was.
    pub before: Value,
    /// How it is.
    pub after: Value,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The room as it is now.
    pub room: RoomView,
    /// What changed.
    pub differences: Vec<Difference>,
    /// What others had changed between our reading and our writing.
    pub meanwhile: Vec<Difference>,
}

/// `settings` with `values` in place of what they name.
pub fn overlay(settings: &RoomSettings, values: &SettingValues) -> Result<RoomSettings, Failure> {
    let mut object = object(settings)?;
    object.extend(values.clone());
    serde_json::from_value(Value::Object(object))
        .map_err(|error| Failure::usage(format!("The settings do not fit together: {error}")))
}

/// What differs, by name.
pub fn differences(
    before: &RoomSettings,
    after: &RoomSettings,
) -> Result<Vec<Difference>, Failure> {
    let (before, mut after) = (object(before)?, object(after)?);
    let changed = before.into_iter().filter_map(|(setting, before)| {
        let after = after.remove(&setting).unwrap_or_default();
        (before != after).then_some(Difference {
            setting,
            before,
            after,
        })
    });
    Ok(changed.collect())
}

fn object(settings: &RoomSettings) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(object)) => Ok(object),
        other => Err(Failure::failed(format!(
            "The settings are not an object: {other:?}"
        ))),
    }
}

/// Writes `values` over the settings of `seen`.
///
/// When someone else wrote in the meantime, their change is kept if it touches other settings
/// than ours, and ours is written once more; if it touches the same ones, a person has to decide.
pub async fn write(
    client: &AdminClient,
    seen: &RoomView,
    values: &SettingValues,
) -> Result<Changed, Failure> {
    match attempt(client, seen, values).await {
        Err(failure) if failure.code.as_deref() == Some("precondition-failed") => {
            let latest: RoomView = client.get(&path(seen)).await?;
            let meanwhile = differences(&seen.settings, &latest.settings)?;
            let ours = |theirs: &&Difference| values.contains_key(&theirs.setting);
            let clashing: Vec<&Difference> = meanwhile.iter().filter(ours).collect();
            if clashing.is_empty() {
                let mut changed = attempt(client, &latest, values).await?;
                changed.meanwhile = meanwhile;
                return Ok(changed);
            }
            Err(clash(&clashing, failure))
        }
        other => other,
    }
}

async fn attempt(
    client: &AdminClient,
    seen: &RoomView,
    values: &SettingValues,
) -> Result<Changed, Failure> {
    let wanted = overlay(&seen.settings, values)?;
    let room: RoomView = client.replace(&path(seen), seen.version, &wanted).await?;
    Ok(Changed {
        differences: differences(&seen.settings, &room.settings)?,
        room,
        meanwhile: Vec::new(),
    })
}

fn path(room: &RoomView) -> String {
    format!("rooms/{}", room.settings.room)
}

fn clash(clashing: &[&Difference], refused: Failure) -> Failure {
    let told: Vec<String> = clashing
        .iter()
        .map(|it| format!("{} from {} to {}", it.setting, it.before, it.after))
        .collect();
    Failure {
        exit: Exit::Conflict,
        title: "Someone else changed the same settings in the meantime".to_owned(),
        detail: Some(told.join(", ").into()),
        hint: Some("`ropeline audit` tells who; repeat the command to overwrite it".into()),
        ..refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> RoomSettings {
        serde_json::from_value(json!({"room": "eras", "paths": ["/a"]})).unwrap()
    }

    #[test]
    fn an_overlay_changes_what_it_names_and_nothing_else() {
        let values = json!({"newUsersPerMinute": 1200, "paths": []});
        let after = overlay(&settings(), values.as_object().unwrap()).unwrap();
        let found = differences(&settings(), &after).unwrap();
        let pairs: Vec<_> = found
            .iter()
            .map(|it| (it.setting.as_str(), &it.after))
            .collect();
        assert_eq!(
            pairs,
            [("newUsersPerMinute", &json!(1200)), ("paths", &json!([]))]
        );
        assert_eq!(differences(&after, &after).unwrap(), []);
    }

    #[test]
    fn clearing_an_instant_is_a_difference() {
        let mut before = settings();
        before.opens_at = Some(contract::Timestamp::from_ms(1_790_000_000_000));
        let values = json!({"opensAt": null});
        let after = overlay(&before, values.as_object().unwrap()).unwrap();
        let found = differences(&before, &after).unwrap();
        assert_eq!(found[0].before, json!("2026-09-21T14:13:20.000Z"));
        assert_eq!(found[0].after, Value::Null);
    }
}
