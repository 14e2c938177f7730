//! What is wrong with the prices, ticket types, fees and taxes of a show file.

use std::collections::HashSet;

use contract::booking::ShowFile;
use contract::pricing::Percent;

use crate::currency;
use crate::fault::Fault;
use crate::price::{Terms, price_of_one};

/// Longest code or name of a category, a ticket type, a fee or a tax, in characters.
pub(crate) const CATEGORY_MAX: usize = 64;
/// Most ticket types of a category.
pub(crate) const TYPES_MAX: usize = 20;
/// Most fees.
pub(crate) const FEES_MAX: usize = 8;
/// Most taxes.
pub(crate) const TAXES_MAX: usize = 8;
/// Highest rate of a fee or a tax, percent.
pub(crate) const PERCENT_MAX: u32 = 100;

/// Adds what is wrong with the prices of `file`.
pub(crate) fn check_prices(file: &ShowFile, faults: &mut Vec<Fault>) {
    let before = faults.len();
    check_fees(file, faults);
    check_taxes(file, faults);
    check_types(file, faults);
    // Totals mean nothing while a part of them is wrong.
    let terms_are_sound = faults.len() == before;
    for (at, category) in file.categories.iter().enumerate() {
        let path = format!("categories[{at}]");
        let own = [(format!("{path}.priceMinor"), category.price_minor)];
        let types = category.ticket_types.iter().enumerate().skip(1);
        let types = types.map(|(number, it)| {
            let path = format!("{path}.ticketTypes[{number}].priceMinor");
            (path, it.price_minor)
        });
        for (path, price) in own.into_iter().chain(types) {
            if let Some(what) = price_fault(file, price, terms_are_sound) {
                faults.push(Fault::new(path, what));
            }
        }
    }
}

/// Why a ticket cannot be sold at this price: one that the payment provider cannot take would be
/// noticed by the first customer. Nothing at all is no payment, and always possible.
fn price_fault(file: &ShowFile, price: i64, terms_are_sound: bool) -> Option<String> {
    let currency = &file.currency;
    let (least, most) = currency::limits(currency);
    let range = format!(
        "must be 0, or {least} to {most} in {currency}, counted in its smallest unit: the payment \
         provider charges nothing else"
    );
    if !(0..=most).contains(&price) {
        return Some(range);
    }
    if currency::to_provider(price, currency).is_none() {
        return Some(format!("is too fine for {currency}: it cannot be charged"));
    }
    if !terms_are_sound {
        return None;
    }
    let terms = Terms {
        fees: &file.fees,
        taxes: &file.taxes,
        currency,
    };
    let whole = price_of_one(price, terms);
    let can_be_charged = whole == 0 || (least..=most).contains(&whole);
    (!can_be_charged).then(|| {
        if whole == price {
            range
        } else {
            format!("{range}; with fees and taxes it is {whole}")
        }
    })
}

fn check_types(file: &ShowFile, faults: &mut Vec<Fault>) {
    for (at, category) in file.categories.iter().enumerate() {
        let types = &category.ticket_types;
        let path = format!("categories[{at}].ticketTypes");
        if types.len() > TYPES_MAX {
            faults.push(Fault::new(&path, format!("must be at most {TYPES_MAX}")));
        }
        let mut seen = HashSet::new();
        for (number, it) in types.iter().enumerate() {
            let field = |name: &str| format!("{path}[{number}].{name}");
            check_name(&it.code, field("type"), faults);
            check_name(&it.name, field("name"), faults);
            if !seen.insert(&it.code) {
                let what = format!("`{}` is there twice", it.code);
                faults.push(Fault::new(field("type"), what));
            }
        }
        if let Some(first) = types.first()
            && first.price_minor != category.price_minor
        {
            let what = format!(
                "must be {}, the priceMinor of the category: the first type is taken when nobody \
                 chooses",
                category.price_minor
            );
            faults.push(Fault::new(format!("{path}[0].priceMinor"), what));
        }
    }
}

fn check_fees(file: &ShowFile, faults: &mut Vec<Fault>) {
    if file.fees.len() > FEES_MAX {
        faults.push(Fault::new("fees", format!("must be at most {FEES_MAX}")));
    }
    let (_, most) = currency::limits(&file.currency);
    for (at, fee) in file.fees.iter().enumerate() {
        let field = |name: &str| format!("fees[{at}].{name}");
        check_name(&fee.name, field("name"), faults);
        match (fee.amount_minor, fee.percent) {
            (Some(amount), None) if !(1..=most).contains(&amount) => {
                let what = format!("must be 1 to {most}");
                faults.push(Fault::new(field("amountMinor"), what));
            }
            (Some(amount), None) if currency::to_provider(amount, &file.currency).is_none() => {
                let what = format!("is too fine for {}: it cannot be charged", file.currency);
                faults.push(Fault::new(field("amountMinor"), what));
            }
            (None, Some(percent)) => check_percent(percent, field("percent"), faults),
            (Some(_), None) => {}
            (Some(_), Some(_)) | (None, None) => {
                let what = "must have either amountMinor or percent";
                faults.push(Fault::new(format!("fees[{at}]"), what));
            }
        }
    }
}

fn check_taxes(file: &ShowFile, faults: &mut Vec<Fault>) {
    if file.taxes.len() > TAXES_MAX {
        faults.push(Fault::new("taxes", format!("must be at most {TAXES_MAX}")));
    }
    for (at, tax) in file.taxes.iter().enumerate() {
        let field = |name: &str| format!("taxes[{at}].{name}");
        check_name(&tax.name, field("name"), faults);
        check_percent(tax.percent, field("percent"), faults);
    }
}

fn check_percent(percent: Percent, path: String, faults: &mut Vec<Fault>) {
    if percent == Percent::default() || percent > Percent::HUNDRED {
        let what = format!("must be more than 0 and at most {PERCENT_MAX}");
        faults.push(Fault::new(path, what));
    }
}

fn check_name(name: &str, path: String, faults: &mut Vec<Fault>) {
    let length = name.trim().chars().count();
    if length == 0 || name.chars().count() > CATEGORY_MAX {
        let what = format!("must have 1 to {CATEGORY_MAX} characters");
        faults.push(Fault::new(path, what));
    }
}

#[cfg(test)]
mod tests {
    use contract::Timestamp;
    use serde_json::{Value, json};

    fn faults(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut file = json!({
            "showId": "s", "title": "S", "startsAt": "2026-12-24T14:00:00Z", "currency": "EUR",
            "city": {"cityId": "c", "name": "C", "country": "DE", "timeZone": "Europe/Berlin"},
            "venue": {"name": "V", "address": "A"},
            "categories": [{"category": "A", "name": "A", "priceMinor": 4_500, "ticketTypes": [
                {"type": "ADULT", "name": "Adult", "priceMinor": 4_500},
                {"type": "CHILD", "name": "Child", "priceMinor": 2_000},
                {"type": "BABY", "name": "Baby", "priceMinor": 0}]}],
            "fees": [{"name": "Service", "per": "ticket", "percent": 8.875},
                {"name": "Order", "per": "booking", "amountMinor": 150}],
            "taxes": [{"name": "VAT", "percent": 19, "included": true}],
            "sections": [{"name": "S", "category": "A", "rows": ["A"], "seatsPerRow": 2}]
        });
        change(&mut file);
        let now = Timestamp::from_ms(1_796_000_000_000);
        let read = crate::read(&serde_json::to_vec(&file).unwrap(), now);
        let faults = read.err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn types_fees_and_taxes_are_read() {
        assert_eq!(faults(|_| {}), [""; 0]);
    }

    #[test]
    fn what_is_wrong_with_prices_is_told_by_field() {
        for (pointer, value, path) in [
            (
                "/categories/0/ticketTypes/0/priceMinor",
                json!(4_400),
                "categories[0].ticketTypes[0].priceMinor",
            ),
            (
                "/categories/0/ticketTypes/1/priceMinor",
                json!(-1),
                "categories[0].ticketTypes[1].priceMinor",
            ),
            (
                "/categories/0/ticketTypes/1/type",
                json!("ADULT"),
                "categories[0].ticketTypes[1].type",
            ),
            (
                "/categories/0/ticketTypes/1/name",
                json!(" "),
                "categories[0].ticketTypes[1].name",
            ),
            ("/fees/0/percent", json!(100.001), "fees[0].percent"),
            ("/fees/0/percent", json!(1.0001), "fees[0].percent"),
            ("/fees/0/per", json!("seat"), "fees[0].per"),
            ("/fees/1/amountMinor", json!(0), "fees[1].amountMinor"),
            ("/fees/1", json!({"name": "X", "per": "booking"}), "fees[1]"),
            (
                "/fees/1",
                json!({"name": "X", "per": "booking", "percent": 1, "amountMinor": 1}),
                "fees[1]",
            ),
            ("/taxes/0/percent", json!(0), "taxes[0].percent"),
            ("/taxes/0/name", json!(""), "taxes[0].name"),
            (
                "/taxes/0",
                json!({"name": "X", "percent": 1, "included": true, "on": "air"}),
                "taxes[0].on",
            ),
        ] {
            let found = faults(|file| *file.pointer_mut(pointer).unwrap() = value.clone());
            assert_eq!(found, [path], "{pointer}");
        }
    }

    #[test]
    fn what_one_ticket_costs_with_everything_can_be_charged_or_is_nothing() {
        // A free ticket with a fee below the least that is charged.
        let low = faults(|file| file["fees"][1]["amountMinor"] = json!(20));
        assert_eq!(low, ["categories[0].ticketTypes[2].priceMinor"]);
        // The fee lifts it above the least.
        let lifted = faults(|file| {
            file["categories"][0]["ticketTypes"][2]["priceMinor"] = json!(10);
        });
        assert_eq!(lifted, [""; 0]);
    }
}
