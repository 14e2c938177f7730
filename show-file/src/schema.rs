//! The JSON Schema of a show file, with the limits that are checked.

use std::collections::BTreeMap;

use contract::booking::ShowFile;
use serde_json::{Value, json};

use crate::check::{
    CITY_NAME_MAX, DESCRIPTION_MAX, HOLD_SECONDS_DEFAULT, HOLD_SECONDS_MAX, HOLD_SECONDS_MIN,
    LATITUDE_MAX, LONGITUDE_MAX, NAME_MAX, REMINDER_HOURS_MAX, ROW_MAX, TICKET_LIMIT_DEFAULT,
    TICKET_LIMIT_MAX, TITLE_MAX,
};
use crate::currency;
use crate::price_check::{CATEGORY_MAX, FEES_MAX, PERCENT_MAX, TAXES_MAX, TYPES_MAX};
use crate::refund_policy::{
    FEE_PERCENT_MAX, REFUND_HOURS_MAX, REFUND_SHARES_MAX, TRANSFER_HOURS_MAX,
};

/// What the schema is called.
pub const SCHEMA_ID: &str = "urn:ropeline:show-file";

/// The type that a whole file is read into.
const FILE: &str = "ShowFile";

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
    limit(&mut schema, |name| match name {
        FILE => String::new(),
        part => format!("/$defs/{part}"),
    });
    schema
}

/// Adds the limits that are checked to the schemas of a show file and its parts, as members of
/// `components`, which is `components.schemas` of an OpenAPI document.
pub fn limit_components(components: &mut Value) {
    limit(components, |name| format!("/{name}"));
}

/// Adds the limits to `document`, where the schema of a type is at `pointer_of` its name.
fn limit(document: &mut Value, pointer_of: impl Fn(&str) -> String) {
    let prices = (FILE, "", json!({"allOf": prices()}));
    for (name, member, limits) in limits()
        .into_iter()
        .chain(transfer_limits())
        .chain([prices])
    {
        let pointer = format!("{}{member}", pointer_of(name));
        if let (Some(Value::Object(place)), Value::Object(limits)) =
            (document.pointer_mut(&pointer), limits)
        {
            place.extend(limits);
        }
    }
}

/// For each range of prices, the currencies that have it.
fn prices() -> Vec<Value> {
    let mut ranges: BTreeMap<(i64, i64), Vec<&str>> = BTreeMap::new();
    for code in currency::CHARGED {
        ranges.entry(currency::limits(code)).or_default().push(code);
    }
    let ranges = ranges.into_iter().map(|((least, most), codes)| {
        let price = json!({"anyOf": [{"const": 0}, {"minimum": least, "maximum": most}]});
        // With fees a lower price may be charged, which only the check can tell.
        let no_fees = json!({"properties": {"fees": {"maxItems": 0}, "taxes": {"maxItems": 0}}});
        json!({
            "if": {"allOf": [no_fees,
                {"properties": {"currency": {"enum": codes}}, "required": ["currency"]}]},
            "then": {"properties": {"categories": {"items": {"properties": {"priceMinor": price}}}}},
        })
    });
    ranges.collect()
}

/// A type by name, a member of it, and what that is limited to.
type Limit = (&'static str, &'static str, Value);

/// What is limited in the rule of passing tickets on.
fn transfer_limits() -> [Limit; 2] {
    [
        (
            "TransferPolicy",
            "/properties/allowed",
            json!({"default": true}),
        ),
        (
            "TransferPolicy",
            "/properties/untilHours",
            json!({"maximum": TRANSFER_HOURS_MAX, "default": 0}),
        ),
    ]
}

fn limits() -> Vec<Limit> {
    let mut limits = of_show();
    limits.extend(of_prices());
    limits.extend(of_policies());
    limits
}

fn text(longest: usize) -> Value {
    json!({"minLength": 1, "maxLength": longest})
}

fn of_show() -> Vec<Limit> {
    let slug = || json!({"pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"});
    vec![
        (FILE, "/properties/title", text(TITLE_MAX)),
        (
            FILE,
            "/properties/description",
            json!({"maxLength": DESCRIPTION_MAX}),
        ),
        (
            FILE,
            "/properties/currency",
            json!({"enum": currency::CHARGED}),
        ),
        (
            FILE,
            "/properties/ticketLimit",
            json!({"minimum": 1, "maximum": TICKET_LIMIT_MAX, "default": TICKET_LIMIT_DEFAULT}),
        ),
        (
            FILE,
            "/properties/holdSeconds",
            json!({"minimum": HOLD_SECONDS_MIN, "maximum": HOLD_SECONDS_MAX,
                "default": HOLD_SECONDS_DEFAULT}),
        ),
        (
            FILE,
            "/properties/reminderHours",
            json!({"minimum": 0, "maximum": REMINDER_HOURS_MAX}),
        ),
        (FILE, "/properties/categories", json!({"minItems": 1})),
        (FILE, "/properties/sections", json!({"minItems": 1})),
        ("Venue", "/properties/name", text(NAME_MAX)),
        ("ShowFileCity", "/properties/name", text(CITY_NAME_MAX)),
        (
            "ShowFileCity",
            "/properties/country",
            json!({"pattern": "^[A-Z]{2}$"}),
        ),
        (
            "Venue",
            "/properties/latitude",
            json!({"minimum": -LATITUDE_MAX, "maximum": LATITUDE_MAX}),
        ),
        (
            "Venue",
            "/properties/longitude",
            json!({"minimum": -LONGITUDE_MAX, "maximum": LONGITUDE_MAX}),
        ),
        ("Section", "/properties/rows/items", text(ROW_MAX)),
        ("ShowId", "", slug()),
        ("CityId", "", slug()),
        ("RoomId", "", slug()),
        ("Timestamp", "", json!({"format": "date-time"})),
    ]
}

fn of_prices() -> Vec<Limit> {
    vec![
        ("Category", "/properties/category", text(CATEGORY_MAX)),
        ("Category", "/properties/priceMinor", json!({"minimum": 0})),
        (
            "Category",
            "/properties/ticketTypes",
            json!({"maxItems": TYPES_MAX}),
        ),
        ("TicketType", "/properties/type", text(CATEGORY_MAX)),
        ("TicketType", "/properties/name", text(CATEGORY_MAX)),
        (
            "TicketType",
            "/properties/priceMinor",
            json!({"minimum": 0}),
        ),
        (FILE, "/properties/fees", json!({"maxItems": FEES_MAX})),
        (FILE, "/properties/taxes", json!({"maxItems": TAXES_MAX})),
        ("Fee", "/properties/name", text(CATEGORY_MAX)),
        ("Fee", "/properties/amountMinor", json!({"minimum": 1})),
        (
            "Fee",
            "/properties/percent",
            json!({"maximum": PERCENT_MAX}),
        ),
        ("Tax", "/properties/name", text(CATEGORY_MAX)),
        (
            "Tax",
            "/properties/percent",
            json!({"maximum": PERCENT_MAX}),
        ),
    ]
}

fn of_policies() -> Vec<Limit> {
    vec![
        (
            "RefundPolicy",
            "/properties/freeUntilHours",
            json!({"maximum": REFUND_HOURS_MAX}),
        ),
        (
            "RefundPolicy",
            "/properties/shares",
            json!({"maxItems": REFUND_SHARES_MAX}),
        ),
        (
            "RefundPolicy",
            "/properties/keptFeeMinor",
            json!({"minimum": 0, "default": 0}),
        ),
        (
            "RefundPolicy",
            "/properties/keptFeePercent",
            json!({"maximum": FEE_PERCENT_MAX, "default": 0}),
        ),
        (
            "RefundPolicy",
            "/properties/singleTickets",
            json!({"default": true}),
        ),
        (
            "RefundPolicy",
            "/properties/codeRequired",
            json!({"default": false}),
        ),
        (
            "RefundShare",
            "/properties/untilHours",
            json!({"maximum": REFUND_HOURS_MAX}),
        ),
        (
            "RefundShare",
            "/properties/percent",
            json!({"minimum": 1, "maximum": 100}),
        ),
    ]
}
