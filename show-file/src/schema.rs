//! The JSON Schema of a show file, with the limits that are checked.

use contract::booking::ShowFile;
use serde_json::{Value, json};

use crate::check::{
    CATEGORY_MAX, CITY_NAME_MAX, DESCRIPTION_MAX, HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX,
    HOLD_SECONDS_MIN, NAME_MAX, PRICE_MAX, ROW_MAX, TICKET_LIMIT_DEFAULT, TICKET_LIMIT_MAX,
    TITLE_MAX,
};

/// What the schema is called.
pub const SCHEMA_ID: &str = "urn:ropeline:show-file";

/// The JSON Schema (draft 2020-12) of a show file, made from the types that read one.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Ropeline show file",
    });
    let mut parts = Vec::new();
    <ShowFile as utoipa::ToSchema>::schemas(&mut parts);
    let file = <ShowFile as utoipa::PartialSchema>::schema();
    let definitions: serde_json::Map<String, Value> = parts
        .into_iter()
        .map(|(name, part)| (name, json!(part)))
        .collect();
    if let (Some(schema), Value::Object(file)) = (schema.as_object_mut(), json!(file)) {
        schema.extend(file);
        schema.insert("$defs".to_owned(), definitions.into());
    }
    let text = schema
        .to_string()
        .replace("#/components/schemas/", "#/$defs/");
    // The text was JSON a line before.
    let mut schema: Value = serde_json::from_str(&text).unwrap_or_default();
    for (pointer, limits) in limits() {
        if let (Some(Value::Object(place)), Value::Object(limits)) =
            (schema.pointer_mut(pointer), limits)
        {
            place.extend(limits);
        }
    }
    schema
}

fn limits() -> Vec<(&'static str, Value)> {
    let text = |longest: usize| json!({"minLength": 1, "maxLength": longest});
    let slug = || json!({"pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"});
    vec![
        ("/properties/title", text(TITLE_MAX)),
        (
            "/properties/description",
            json!({"maxLength": DESCRIPTION_MAX}),
        ),
        ("/properties/currency", json!({"pattern": "^[A-Z]{3}$"})),
        (
            "/properties/ticketLimit",
            json!({"minimum": 1, "maximum": TICKET_LIMIT_MAX, "default": TICKET_LIMIT_DEFAULT}),
        ),
        (
            "/properties/holdSeconds",
            json!({"minimum": HOLD_SECONDS_MIN, "maximum": HOLD_SECONDS_MAX,
                "default": HOLD_SECONDS_DEFAULT}),
        ),
        ("/properties/categories", json!({"minItems": 1})),
        ("/properties/sections", json!({"minItems": 1})),
        ("/$defs/Venue/properties/name", text(NAME_MAX)),
        ("/$defs/ShowFileCity/properties/name", text(CITY_NAME_MAX)),
        (
            "/$defs/ShowFileCity/properties/country",
            json!({"pattern": "^[A-Z]{2}$"}),
        ),
        ("/$defs/Category/properties/category", text(CATEGORY_MAX)),
        (
            "/$defs/Category/properties/priceMinor",
            json!({"minimum": 1, "maximum": PRICE_MAX}),
        ),
        ("/$defs/Section/properties/rows/items", text(ROW_MAX)),
        ("/$defs/ShowId", slug()),
        ("/$defs/CityId", slug()),
        ("/$defs/RoomId", slug()),
        ("/$defs/Timestamp", json!({"format": "date-time"})),
    ]
}
