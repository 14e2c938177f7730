//! The audit log's record of an import. Pure.

use serde_json::{Map, Value, json};

use crate::shows::ShowInfo;

/// Most members of an object or list in a record.
const MEMBERS_MAX: usize = 32;
/// Longest text in a record, in characters.
const TEXT_MAX: usize = 200;

/// A show before and after an import, for the audit log: the whole show when it is new, otherwise
/// the changed fields. Bounded in size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `None` when the show is new.
    pub before: Option<Value>,
    /// `None` when the show cannot be read.
    pub after: Option<Value>,
}

impl Recorded {
    pub(crate) fn new(before: Option<&ShowInfo>, after: Option<&ShowInfo>) -> Self {
        let whole = |info: &ShowInfo| Value::Object(members(info));
        match (before, after) {
            (Some(before), Some(after)) => {
                let (mut old, mut new) = differing(&members(before), &members(after));
                if before.seat_no_first != after.seat_no_first {
                    // The layout of the seats may change while their number does not.
                    old.insert("seatCount".to_owned(), json!(before.seat_count));
                    new.insert("seatCount".to_owned(), json!(after.seat_count));
                    new.insert("layout".to_owned(), json!("changed"));
                }
                Self {
                    before: Some(bounded(Value::Object(old))),
                    after: Some(bounded(Value::Object(new))),
                }
            }
            (before, after) => Self {
                before: before.map(|info| bounded(whole(info))),
                after: after.map(|info| bounded(whole(info))),
            },
        }
    }
}

/// The show's fields, with the categories by code, so that each can be compared.
fn members(info: &ShowInfo) -> Map<String, Value> {
    let mut fields = info.fields();
    let categories = info.categories.iter().map(|it| {
        let mut terms = json!({"name": it.name, "priceMinor": it.price_minor});
        let types = it.ticket_types.iter();
        let types: Map<String, Value> = types
            .map(|it| {
                let terms = json!({"name": it.name, "priceMinor": it.price_minor});
                (it.code.clone(), terms)
            })
            .collect();
        if !types.is_empty() {
            terms["ticketTypes"] = Value::Object(types);
        }
        (it.category.clone(), terms)
    });
    fields.insert("categories".to_owned(), Value::Object(categories.collect()));
    fields
}

/// The members that differ, including those of nested objects.
fn differing(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut old, mut new) = (Map::new(), Map::new());
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        match (before.get(name), after.get(name)) {
            (was, is) if was == is => {}
            (Some(Value::Object(was)), Some(Value::Object(is))) => {
                let (was, is) = differing(was, is);
                old.insert(name.clone(), Value::Object(was));
                new.insert(name.clone(), Value::Object(is));
            }
            (was, is) => {
                old.extend(was.map(|was| (name.clone(), was.clone())));
                new.extend(is.map(|is| (name.clone(), is.clone())));
            }
        }
    }
    (old, new)
}

/// `value` with long texts, lists and objects shortened and marked as such.
pub(crate) fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > TEXT_MAX => {
            let kept: String = text.chars().take(TEXT_MAX).collect();
            let left = text.chars().count().saturating_sub(TEXT_MAX);
            Value::String(format!("{kept}… and {left} characters more"))
        }
        Value::Array(items) => {
            let left = items.len().saturating_sub(MEMBERS_MAX);
            let kept = items.into_iter().take(MEMBERS_MAX).map(bounded);
            let told = (left > 0).then(|| json!(format!("… and {left} more")));
            Value::Array(kept.chain(told).collect())
        }
        Value::Object(members) => {
            let left = members.len().saturating_sub(MEMBERS_MAX);
            let kept = members.into_iter().take(MEMBERS_MAX);
            let kept = kept.map(|(name, member)| (name, bounded(member)));
            let told = (left > 0).then(|| ("…".to_owned(), json!(format!("and {left} more"))));
            Value::Object(kept.chain(told).collect())
        }
        short => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_differs_is_found_within_objects() {
        let before = object(&json!({
            "title": "Sale", "room": null, "cast": ["A"],
            "categories": {"A": {"name": "Front", "priceMinor": 100}, "B": {"priceMinor": 50}},
        }));
        let after = object(&json!({
            "title": "Sale", "room": "eras", "cast": ["A", "B"],
            "categories": {"A": {"name": "Front", "priceMinor": 120}, "C": {"priceMinor": 50}},
        }));
        let (old, new) = differing(&before, &after);
        assert_eq!(
            Value::Object(old),
            json!({
                "room": null, "cast": ["A"],
                "categories": {"A": {"priceMinor": 100}, "B": {"priceMinor": 50}},
            })
        );
        assert_eq!(
            Value::Object(new),
            json!({
                "room": "eras", "cast": ["A", "B"],
                "categories": {"A": {"priceMinor": 120}, "C": {"priceMinor": 50}},
            })
        );
        assert_eq!(differing(&before, &before), (Map::new(), Map::new()));
    }

    #[test]
    fn a_record_is_bounded() {
        let many: Map<String, Value> = (0..1000)
            .map(|name| (format!("{name:04}"), json!("é".repeat(10_000))))
            .collect();
        let huge = json!({"cast": vec!["x".repeat(1000); 1000], "categories": many});
        let small = bounded(huge);
        assert_eq!(small["cast"][32], "… and 968 more");
        assert_eq!(small["categories"]["…"], "and 968 more");
        let text = small["categories"]["0000"].as_str().unwrap_or_default();
        assert!(text.ends_with("… and 9800 characters more"), "{text}");
        assert!(small.to_string().len() < 40_000);
        let short = json!({"title": "Sale", "cast": ["A"]});
        assert_eq!(bounded(short.clone()), short);
    }
}
