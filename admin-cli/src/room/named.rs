//! Settings that were named on the command line, by their name on the wire.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::when::parse_seconds;

/// Settings to write, by their name on the wire.
pub type SettingValues = Map<String, Value>;

/// Settings found so far.
#[derive(Default)]
pub(super) struct Named(pub(super) SettingValues);

impl Named {
    pub(super) fn set(&mut self, name: &str, value: Option<impl Serialize>) -> Result<(), Failure> {
        if let Some(value) = value {
            let value = serde_json::to_value(value)
                .map_err(|error| Failure::usage(format!("{name} cannot be written: {error}")))?;
            self.0.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct OrNone(Option<u64>);

pub(super) fn parse_count_or_none(text: &str) -> Result<OrNone, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    let count = text.parse().map(|count| OrNone(Some(count)));
    count.map_err(|_| "write a whole number, or none".to_owned())
}

pub(super) fn parse_seconds_or_none(text: &str) -> Result<OrNone, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    parse_seconds(text).map(|seconds| OrNone(Some(seconds)))
}

/// A list that replaces the present one, if it is named.
pub(super) fn list(items: &[String], none: bool) -> Option<&[String]> {
    (none || !items.is_empty()).then_some(items)
}

/// A switch, if it is named.
pub(super) fn switch(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}
