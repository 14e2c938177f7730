//! The last pages of ended sessions in the model.

use std::collections::BTreeMap;

use contract::Timestamp;

use crate::store::last_pages::{LOADS_MAX, LastPage};

/// The last pages of one room, by pass.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptPages(BTreeMap<String, KeptPage>);

#[derive(Clone, Debug)]
struct KeptPage {
    until: Timestamp,
    target: String,
    /// What it has loaded; `None` until it was taken.
    loads: Option<u32>,
}

impl KeptPages {
    pub(super) fn put(&mut self, now: Timestamp, pass: &str, until: Timestamp, target: &str) {
        self.0.retain(|_, page| page.until > now);
        let page = KeptPage {
            until,
            target: target.to_owned(),
            loads: None,
        };
        self.0.insert(pass.to_owned(), page);
    }

    pub(super) fn take(&mut self, now: Timestamp, pass: &str, target: &str) -> LastPage {
        match self.0.get_mut(pass) {
            Some(page) if page.until > now => {
                if page.target != target || page.loads.is_some() {
                    return LastPage::Refused;
                }
                page.loads = Some(0);
                LastPage::Granted
            }
            _ => LastPage::None,
        }
    }

    pub(super) fn load(&mut self, now: Timestamp, pass: &str, asking: Option<&str>) -> LastPage {
        match self.0.get_mut(pass) {
            Some(page) if page.until > now => {
                let is_page = asking.is_none_or(|asking| asking == page.target);
                match &mut page.loads {
                    Some(loads) if is_page && *loads < LOADS_MAX => {
                        *loads += 1;
                        LastPage::Granted
                    }
                    _ => LastPage::Refused,
                }
            }
            _ => LastPage::None,
        }
    }
}
