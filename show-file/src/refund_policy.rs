//! What is wrong with the refund policy of a show file, and with its rule for passing tickets on.

use contract::booking::ShowFile;
use contract::refund_policy::RefundPolicy;

use crate::currency;
use crate::fault::Fault;

/// Furthest limit before the start: a year.
pub(crate) const REFUND_HOURS_MAX: u32 = 366 * 24;
/// Most shares of a policy.
pub(crate) const REFUND_SHARES_MAX: usize = 12;
/// Furthest limit of passing tickets on before the start: a year.
pub(crate) const TRANSFER_HOURS_MAX: u32 = REFUND_HOURS_MAX;
/// Highest fee that is kept, percent of a price.
pub(crate) const FEE_PERCENT_MAX: u32 = 99;

/// Adds what is wrong with the refund policy of `file`.
pub(crate) fn check_refunds(file: &ShowFile, faults: &mut Vec<Fault>) {
    let Some(policy) = &file.refund_policy else {
        return;
    };
    check_limits(policy, faults);
    check_fees(file, policy, faults);
}

/// Adds what is wrong with the rule for passing tickets on.
pub(crate) fn check_transfers(file: &ShowFile, faults: &mut Vec<Fault>) {
    let hours = file.transfer.map_or(0, |policy| policy.until_hours);
    if hours > TRANSFER_HOURS_MAX {
        let what = format!("must be at most {TRANSFER_HOURS_MAX} hours, a year");
        faults.push(Fault::new("transfer.untilHours", what));
    }
}

fn check_limits(policy: &RefundPolicy, faults: &mut Vec<Fault>) {
    let mut fault = |path: String, what: String| {
        faults.push(Fault::new(format!("refundPolicy{path}"), what));
    };
    if policy.free_until_hours.is_none() && policy.shares.is_empty() {
        let what = "must have freeUntilHours or shares; leave it out when nothing goes back";
        fault(String::new(), what.to_owned());
    }
    if policy.shares.len() > REFUND_SHARES_MAX {
        let what = format!("must be at most {REFUND_SHARES_MAX}");
        fault(".shares".to_owned(), what);
    }
    let far = format!("must be at most {REFUND_HOURS_MAX} hours, a year");
    if policy
        .free_until_hours
        .is_some_and(|hours| hours > REFUND_HOURS_MAX)
    {
        fault(".freeUntilHours".to_owned(), far.clone());
    }
    let mut earlier = policy.free_until_hours.map(|hours| (hours, 100));
    for (at, share) in policy.shares.iter().enumerate() {
        let path = |field: &str| format!(".shares[{at}].{field}");
        if share.until_hours > REFUND_HOURS_MAX {
            fault(path("untilHours"), far.clone());
        } else if let Some((hours, _)) = earlier
            && share.until_hours >= hours
        {
            let what = format!(
                "must be less than {hours}: limits come in order, and each is nearer to the start \
                 than the one before"
            );
            fault(path("untilHours"), what);
        }
        if !(1..=100).contains(&share.percent) {
            fault(path("percent"), "must be 1 to 100".to_owned());
        } else if let Some((_, percent)) = earlier
            && share.percent > percent
        {
            let what = format!("must be at most {percent}: whoever waits cannot get back more");
            fault(path("percent"), what);
        }
        earlier = Some((share.until_hours, share.percent.min(100)));
    }
}

fn check_fees(file: &ShowFile, policy: &RefundPolicy, faults: &mut Vec<Fault>) {
    let fee = policy.kept_fee_minor;
    let lowest = file.categories.iter().map(|it| it.price_minor).min();
    let currency = &file.currency;
    let what = if fee < 0 {
        "must not be negative".to_owned()
    } else if lowest.is_some_and(|lowest| fee > lowest) {
        format!(
            "must be at most {}, the lowest price",
            lowest.unwrap_or_default()
        )
    } else if currency::is_charged(currency) && currency::to_provider(fee, currency).is_none() {
        format!("is too fine for {currency}: the payment provider does not count so small a part")
    } else if fee > 0 && policy.kept_fee_percent > 0 {
        "must be left out when there is a keptFeePercent".to_owned()
    } else {
        String::new()
    };
    if !what.is_empty() {
        faults.push(Fault::new("refundPolicy.keptFeeMinor", what));
    }
    if policy.kept_fee_percent > FEE_PERCENT_MAX {
        let what = format!("must be 0 to {FEE_PERCENT_MAX}");
        faults.push(Fault::new("refundPolicy.keptFeePercent", what));
    }
}

#[cfg(test)]
mod tests {
    use contract::Timestamp;
    use serde_json::{Value, json};

    fn faults(policy: &Value, currency: &str) -> Vec<String> {
        let file = json!({
            "showId": "s", "title": "S", "startsAt": "2026-12-24T14:00:00Z", "currency": currency,
            "city": {"cityId": "c", "name": "C", "country": "IN", "timeZone": "Asia/Kolkata"},
            "venue": {"name": "V", "address": "A"}, "refundPolicy": policy,
            "categories": [{"category": "A", "name": "A", "priceMinor": 20_000},
                {"category": "B", "name": "B", "priceMinor": 10_000}],
            "sections": [{"name": "S", "category": "A", "rows": ["A"], "seatsPerRow": 2}]
        });
        let now = Timestamp::from_ms(1_796_000_000_000);
        let read = crate::read(&serde_json::to_vec(&file).unwrap(), now);
        let faults = read.err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn sound_policies_are_taken() {
        for policy in [
            json!({"freeUntilHours": 168}),
            json!({"freeUntilHours": 0}),
            json!({"shares": [{"untilHours": 0, "percent": 100}], "keptFeeMinor": 10_000}),
            json!({"freeUntilHours": 8784, "shares": [{"untilHours": 48, "percent": 50},
                {"untilHours": 0, "percent": 50}], "keptFeePercent": 99,
                "singleTickets": false, "codeRequired": true}),
        ] {
            assert_eq!(faults(&policy, "EUR"), [""; 0], "{policy}");
        }
    }

    #[test]
    fn every_fault_is_told_by_its_path() {
        let share = |hours: i64, percent: i64| json!({"untilHours": hours, "percent": percent});
        let many: Vec<Value> = (0..13).map(|nth| share(20 - nth, 50)).collect();
        for (policy, path) in [
            (json!({}), ""),
            (json!({"keptFeeMinor": 5}), ""),
            (json!({"freeUntilHours": 8785}), ".freeUntilHours"),
            (json!({"freeUntilHours": -1}), ".freeUntilHours"),
            (json!({"shares": [share(8785, 5)]}), ".shares[0].untilHours"),
            (json!({"shares": [share(5, 0)]}), ".shares[0].percent"),
            (json!({"shares": [share(5, 101)]}), ".shares[0].percent"),
            (
                json!({"freeUntilHours": 5, "shares": [share(5, 50)]}),
                ".shares[0].untilHours",
            ),
            (
                json!({"shares": [share(9, 50), share(8, 60)]}),
                ".shares[1].percent",
            ),
            (json!({"shares": many}), ".shares"),
            (
                json!({"freeUntilHours": 5, "keptFeeMinor": 10_001}),
                ".keptFeeMinor",
            ),
            (
                json!({"freeUntilHours": 5, "keptFeeMinor": -1}),
                ".keptFeeMinor",
            ),
            (
                json!({"freeUntilHours": 5, "keptFeeMinor": 1, "keptFeePercent": 1}),
                ".keptFeeMinor",
            ),
            (
                json!({"freeUntilHours": 5, "keptFeePercent": 100}),
                ".keptFeePercent",
            ),
            (json!({"freeUntilHours": 5, "fee": 1}), ".fee"),
        ] {
            let expected = format!("refundPolicy{path}");
            assert_eq!(faults(&policy, "EUR"), [expected], "{policy}");
        }
        let fine = json!({"freeUntilHours": 5, "keptFeeMinor": 15});
        assert_eq!(faults(&fine, "KWD"), ["refundPolicy.keptFeeMinor"]);
    }
}
