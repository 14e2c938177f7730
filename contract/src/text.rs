//! Checks of JSON text before it is parsed.

use serde_json::Value;

/// The JSON text of a file or body, without a byte order mark, which RFC 8259 allows parsers to
/// ignore. Text in UTF-16, UTF-32 or Latin-1, as some editors save it, is refused with a reason.
pub fn json_text(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes) {
        // A byte order mark of UTF-16 or UTF-32, or a first character of two or four bytes.
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..] => {
            Err("it is not UTF-8; save it as UTF-8")
        }
        text => match std::str::from_utf8(text) {
            Ok(_) => Ok(text),
            Err(_) => Err("it is not UTF-8; save it as UTF-8"),
        },
    }
}

/// The path of the first text in `json` that contains U+0000, which PostgreSQL cannot store, such
/// as `categories[0].name`. If the name of a field contains it, the path is that of the field.
pub fn nul_at(json: &[u8]) -> Option<String> {
    // JSON can contain the character only as an escape; most bodies contain none.
    let has_escape = json.windows(6).any(|six| six == br"\u0000");
    let value: Value = if has_escape {
        serde_json::from_slice(json).ok()?
    } else {
        return None;
    };
    let mut path = String::new();
    find_nul(&value, &mut path).then_some(path)
}

fn find_nul(value: &Value, path: &mut String) -> bool {
    let length = path.len();
    match value {
        Value::String(text) => return text.contains('\0'),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.extend(["[", &at.to_string(), "]"]);
                if find_nul(item, path) {
                    return true;
                }
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name.replace('\0', "\u{FFFD}"));
                if name.contains('\0') || find_nul(field, path) {
                    return true;
                }
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_told() {
        assert_eq!(json_text(b"\xEF\xBB\xBF{}"), Ok(&b"{}"[..]));
        assert_eq!(json_text(b"{}"), Ok(&b"{}"[..]));
        assert_eq!(json_text(b""), Ok(&b""[..]));
        for other in [
            &b"\xFF\xFE{\0}\0"[..],
            b"\xFE\xFF\0{\0}",
            b"{\0}\0",
            // Text in Latin-1.
            b"{\"title\": \"Caf\xe9\"}",
            b"\0{\0}",
        ] {
            assert!(json_text(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_place_of_a_nul_is_told() {
        for (json, place) in [
            (r#"{"title": "A\u0000B"}"#, Some("title")),
            (r#"{"a": [{"b": "x"}, {"b": "\u0000"}]}"#, Some("a[1].b")),
            (r#"{"a": {"b\u0000": 1}}"#, Some("a.b\u{FFFD}")),
            (r#"{"title": "\\u0000"}"#, None),
            (r#"{"title": "A"}"#, None),
            (r#""\u0000""#, Some("")),
        ] {
            assert_eq!(nul_at(json.as_bytes()).as_deref(), place, "{json}");
        }
    }
}
