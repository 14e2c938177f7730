//! A sound show file on its way into the database.

use contract::Timestamp;
use contract::booking::ShowFile;
use sha2::{Digest, Sha256};
use show_file::{CheckedShow, Fault};

use crate::currency;

/// A show file that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShowDraft {
    pub(crate) show: CheckedShow,
    /// SHA-256 of the file.
    pub(crate) content_hash: [u8; 32],
}

impl ShowDraft {
    pub(crate) fn new(file: ShowFile, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let text = serde_json::to_vec(&file).map_err(|error| {
            vec![Fault {
                path: ".".to_owned(),
                what: error.to_string(),
            }]
        })?;
        let show = show_file::check(file, now)?;
        let faults = price_faults(&show.file);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            show,
            content_hash: Sha256::digest(text).into(),
        })
    }
}

/// Prices that the payment provider cannot take would be noticed by the first customer.
fn price_faults(file: &ShowFile) -> Vec<Fault> {
    let too_fine = file.categories.iter().enumerate().filter(|(_, category)| {
        currency::to_provider(category.price_minor, &file.currency).is_none()
    });
    too_fine
        .map(|(at, _)| Fault {
            path: format!("categories[{at}].priceMinor"),
            what: format!("is too fine for {}: it cannot be charged", file.currency),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_price_that_cannot_be_charged_is_refused() {
        let file = serde_json::from_value(json!({
            "showId": "kuwait-1",
            "city": {"cityId": "kuwait", "name": "Kuwait", "country": "KW",
                     "timeZone": "Asia/Kuwait"},
            "title": "Eras",
            "venue": {"name": "Stadium", "address": "1 Road"},
            "startsAt": "2026-12-24T14:00:00Z",
            "currency": "KWD",
            "categories": [{"category": "P", "name": "P", "priceMinor": 1234}],
            "sections": [{"name": "S", "category": "P", "rows": ["A"], "seatsPerRow": 1}]
        }));
        let now = Timestamp::parse("2026-12-01T00:00:00Z").unwrap();
        let faults = ShowDraft::new(file.unwrap(), now).unwrap_err();
        assert_eq!(faults[0].path, "categories[0].priceMinor");
    }
}
