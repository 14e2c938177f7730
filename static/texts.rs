//! Texts that the server and the browser share.

use std::sync::LazyLock;

use serde_json::Value;

static ENGLISH: LazyLock<Value> = LazyLock::new(|| {
    let source = include_str!("js/texts/en.js");
    let json = source
        .split_once("export default ")
        .and_then(|(_, rest)| rest.trim_end().strip_suffix(';'));
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
});

/// All texts, parsed.
pub(crate) fn texts() -> &'static Value {
    &ENGLISH
}

/// The text at `key`, such as `state.waiting.headline`, or the key itself when there is none.
pub(crate) fn text(key: &str) -> &str {
    find(key).unwrap_or(key)
}

/// The text at `key` if there is one.
pub(crate) fn find(key: &str) -> Option<&'static str> {
    let mut value = &*ENGLISH;
    for part in key.split('.') {
        value = value.get(part)?;
    }
    value.as_str()
}

/// The text at `key` with each `{name}` replaced.
pub(crate) fn fill(key: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(text(key).to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_texts_are_json_the_server_reads() {
        assert_eq!(text("state.waiting.headline"), "You are in line");
        assert_eq!(fill("count.about", &[("count", "7")]), "about 7");
        assert!(find("state.waiting").is_none());
    }
}
