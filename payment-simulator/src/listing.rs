//! Lists, newest first, by page.

use std::hash::Hash;

use contract::Timestamp;
use serde_json::Value;

use crate::books::Series;
use crate::desk::{Desk, Outcome};
use crate::error::ApiError;
use crate::form::Form;
use crate::id::{DisputeId, IntentId, RefundId};
use crate::object;

const LIMIT_DEFAULT: i64 = 10;
const LIMIT_MAX: i64 = 100;

const PAGE_FIELDS: &[&str] = &["limit", "starting_after", "ending_before", "created"];

/// The parameters of a page.
struct Page {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
    created: CreatedRange,
}

/// The filter `created`, in whole seconds, both ends included.
#[derive(Clone, Copy)]
struct CreatedRange {
    first: i64,
    last: i64,
}

/// `GET /v1/payment_intents`
pub(crate) fn intents(desk: &Desk<'_>, form: &Form) -> Outcome {
    form.demand_known(PAGE_FIELDS)?;
    let page = Page::parse(form)?;
    let known = desk.books.intents();
    let place = |text: &str| known.place(&IntentId::from(text));
    let (records, has_more) = page.select(
        known,
        "payment_intent",
        place,
        |intent| intent.created_at,
        |intent| intent.link.is_none(),
    )?;
    let shown = records.into_iter();
    let data: Vec<Value> = shown
        .map(|intent| object::intent(intent, &desk.rules.base_url))
        .collect();
    Ok(object::list("/v1/payment_intents", &data, has_more))
}

/// `GET /v1/disputes`
pub(crate) fn disputes(desk: &Desk<'_>, form: &Form) -> Outcome {
    let of = demand_of_intent(form)?;
    let page = Page::parse(form)?;
    let known = desk.books.disputes();
    let place = |text: &str| known.place(&DisputeId::from(text));
    let (records, has_more) = page.select(
        known,
        "dispute",
        place,
        |dispute| dispute.created_at,
        |dispute| {
            let is_wanted = of.as_ref().is_none_or(|of| dispute.intent == *of);
            is_wanted && !desk.is_razorpays(&dispute.intent)
        },
    )?;
    let data: Vec<Value> = records.into_iter().map(object::dispute).collect();
    Ok(object::list("/v1/disputes", &data, has_more))
}

/// The intent to filter by, if any.
fn demand_of_intent(form: &Form) -> Result<Option<IntentId>, ApiError> {
    let fields: Vec<&str> = PAGE_FIELDS
        .iter()
        .copied()
        .chain(["payment_intent"])
        .collect();
    form.demand_known(&fields)?;
    Ok(form.text(&["payment_intent"]).map(IntentId::from))
}

/// `GET /v1/refunds`
pub(crate) fn refunds(desk: &Desk<'_>, form: &Form) -> Outcome {
    let of = demand_of_intent(form)?;
    let page = Page::parse(form)?;
    let known = desk.books.refunds();
    let place = |text: &str| known.place(&RefundId::from(text));
    let (records, has_more) = page.select(
        known,
        "refund",
        place,
        |refund| refund.created_at,
        |refund| {
            let is_wanted = of.as_ref().is_none_or(|of| refund.intent == *of);
            is_wanted && !desk.is_razorpays(&refund.intent)
        },
    )?;
    let data: Vec<Value> = records.into_iter().map(object::refund).collect();
    Ok(object::list("/v1/refunds", &data, has_more))
}

impl Page {
    fn parse(form: &Form) -> Result<Self, ApiError> {
        form.demand_expandable(&[])?;
        let limit = form.integer("limit")?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(ApiError::invalid(
                "parameter_invalid_integer",
                format!("This value must be between 1 and {LIMIT_MAX}."),
                Some("limit"),
            ));
        }
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or_default(),
            starting_after: form.text(&["starting_after"]).map(str::to_owned),
            ending_before: form.text(&["ending_before"]).map(str::to_owned),
            created: CreatedRange::parse(form)?,
        })
    }

    /// The records of the page, newest first, and whether more follow in its direction.
    fn select<'a, K: Clone + Eq + Hash, V>(
        &self,
        known: &'a Series<K, V>,
        object: &str,
        place: impl Fn(&str) -> Option<usize>,
        created_at: impl Fn(&V) -> Timestamp,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<(Vec<&'a V>, bool), ApiError> {
        let find = |cursor: &Option<String>, param| match cursor {
            None => Ok(None),
            Some(id) => place(id)
                .map(Some)
                .ok_or_else(|| ApiError::no_such(object, id, param)),
        };
        let end = find(&self.starting_after, "starting_after")?.unwrap_or(known.len());
        let start = find(&self.ending_before, "ending_before")?.map_or(0, |at| at + 1);
        let range = known.range(start..end.max(start));
        let wanted = |record: &&V| self.created.holds(created_at(record)) && wanted(record);
        // `ending_before` requests the page before its cursor, whose records are the oldest of the
        // range.
        let mut records: Vec<&V> = if self.ending_before.is_some() {
            range.filter(wanted).take(self.limit + 1).collect()
        } else {
            range.rev().filter(wanted).take(self.limit + 1).collect()
        };
        let has_more = records.len() > self.limit;
        records.truncate(self.limit);
        if self.ending_before.is_some() {
            records.reverse();
        }
        Ok((records, has_more))
    }
}

impl CreatedRange {
    fn parse(form: &Form) -> Result<Self, ApiError> {
        if let Some(exact) = form.integer("created")? {
            return Ok(Self {
                first: exact,
                last: exact,
            });
        }
        let bound = |name: &str| form.integer_at(&["created", name], "created");
        let after = bound("gt")?.map(|at| at.saturating_add(1));
        let before = bound("lt")?.map(|at| at.saturating_sub(1));
        Ok(Self {
            first: bound("gte")?.max(after).unwrap_or(i64::MIN),
            last: bound("lte")?
                .into_iter()
                .chain(before)
                .min()
                .unwrap_or(i64::MAX),
        })
    }

    fn holds(self, at: Timestamp) -> bool {
        (self.first..=self.last).contains(&at.as_unix_seconds())
    }
}
