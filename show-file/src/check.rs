//! Everything that is wrong with a show file, by field.

use std::collections::HashSet;
use std::time::Duration;

use contract::Timestamp;
use contract::booking::{Section, ShowFile};
use jiff::tz::TimeZone;

use crate::currency;
use crate::fault::Fault;
use crate::layout::{PlannedSeat, SEATS_MAX, lay_out, repeated_rows};
use crate::price_check::{CATEGORY_MAX, check_prices};
use crate::refund_policy::{check_refunds, check_transfers};

pub(crate) const TITLE_MAX: usize = 200;
pub(crate) const NAME_MAX: usize = 200;
pub(crate) const CITY_NAME_MAX: usize = 100;
pub(crate) const DESCRIPTION_MAX: usize = 10_000;
pub(crate) const ROW_MAX: usize = 32;
pub(crate) const LATITUDE_MAX: f64 = 90.0;
pub(crate) const LONGITUDE_MAX: f64 = 180.0;
pub(crate) const TICKET_LIMIT_DEFAULT: u32 = 6;
pub(crate) const TICKET_LIMIT_MAX: u32 = 20;
pub(crate) const HOLD_SECONDS_DEFAULT: u32 = 600;
pub(crate) const HOLD_SECONDS_MIN: u32 = 300;
pub(crate) const HOLD_SECONDS_MAX: u32 = 900;
/// Longest time before the show at which customers are reminded.
pub(crate) const REMINDER_HOURS_MAX: u32 = 168;
/// How long a show is listed after it ended. A file of a show that is not listed is refused.
pub const LISTED_AFTER_END: Duration = Duration::from_hours(24);

/// A sound show file with its defaults filled in and its seats laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedShow {
    /// The file.
    pub file: ShowFile,
    /// When the sale closes.
    pub sale_closes_at: Timestamp,
    /// When the event ends.
    pub ends_at: Timestamp,
    /// Most tickets one customer may have.
    pub ticket_limit: u32,
    /// How long a hold lasts, seconds.
    pub hold_seconds: u32,
    /// Its seats in map order.
    pub seats: Vec<PlannedSeat>,
}

/// Checks a show file, or tells everything that is wrong with it.
pub fn check(file: ShowFile, now: Timestamp) -> Result<CheckedShow, Vec<Fault>> {
    let mut faults = Vec::new();
    check_texts(&file, &mut faults);
    check_terms(&file, &mut faults);
    check_times(&file, now, &mut faults);
    check_categories(&file, &mut faults);
    check_prices(&file, &mut faults);
    check_refunds(&file, &mut faults);
    check_transfers(&file, &mut faults);
    check_place(&file, &mut faults);
    check_sections(&file, &mut faults);
    faults.extend(repeated_rows(&file.sections));
    if !faults.is_empty() {
        return Err(faults);
    }
    let seats = lay_out(&file.sections, &file.categories)?;
    let sale_closes_at = file.sale_closes_at.unwrap_or(file.starts_at);
    Ok(CheckedShow {
        sale_closes_at,
        ends_at: ends_at(&file),
        ticket_limit: file.ticket_limit.unwrap_or(TICKET_LIMIT_DEFAULT),
        hold_seconds: file.hold_seconds.unwrap_or(HOLD_SECONDS_DEFAULT),
        seats,
        file,
    })
}

/// All seats that a show file asks for, in whatever state it is.
pub fn seat_count(sections: &[Section]) -> usize {
    sections.iter().fold(0, |sum, section| {
        let per_row = usize::try_from(section.seats_per_row).unwrap_or(usize::MAX);
        sum.saturating_add(section.rows.len().saturating_mul(per_row))
    })
}

fn ends_at(file: &ShowFile) -> Timestamp {
    file.ends_at.unwrap_or_else(|| {
        file.starts_at
            .max(file.sale_closes_at.unwrap_or(file.starts_at))
    })
}

fn check_texts(file: &ShowFile, faults: &mut Vec<Fault>) {
    for (path, text, longest) in [
        ("title", &file.title, TITLE_MAX),
        ("venue.name", &file.venue.name, NAME_MAX),
        ("city.name", &file.city.name, CITY_NAME_MAX),
    ] {
        if text.trim().is_empty() || text.chars().count() > longest {
            faults.push(Fault::new(
                path,
                format!("must have 1 to {longest} characters"),
            ));
        }
    }
    if file.description.chars().count() > DESCRIPTION_MAX {
        let what = format!("must have at most {DESCRIPTION_MAX} characters");
        faults.push(Fault::new("description", what));
    }
    if let Some(what) = zone_fault(&file.city.time_zone) {
        faults.push(Fault::new("city.timeZone", what));
    }
}

/// Why `name` is no time zone.
fn zone_fault(name: &str) -> Option<String> {
    let known = TimeZone::get(name).ok();
    match known.as_ref().and_then(TimeZone::iana_name) {
        Some(exact) if exact == name => None,
        Some(exact) => Some(format!("write `{exact}`")),
        None => Some(format!(
            "`{name}` is not in the time zone database; write a name such as Asia/Kolkata"
        )),
    }
}

fn check_terms(file: &ShowFile, faults: &mut Vec<Fault>) {
    let upper = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_uppercase())
    };
    if !upper(&file.city.country, 2) {
        let what = "must be two capital letters such as IN (ISO 3166-1)";
        faults.push(Fault::new("city.country", what));
    }
    if !upper(&file.currency, 3) {
        let what = "must be three capital letters such as INR (ISO 4217)";
        faults.push(Fault::new("currency", what));
    } else if !currency::is_charged(&file.currency) {
        let what = format!(
            "`{}` is no currency that the payment provider charges in; write the ISO 4217 code of \
             one that it does, such as INR",
            file.currency
        );
        faults.push(Fault::new("currency", what));
    }
    if file
        .ticket_limit
        .is_some_and(|limit| !(1..=TICKET_LIMIT_MAX).contains(&limit))
    {
        let what = format!("must be 1 to {TICKET_LIMIT_MAX}");
        faults.push(Fault::new("ticketLimit", what));
    }
    if file
        .hold_seconds
        .is_some_and(|seconds| !(HOLD_SECONDS_MIN..=HOLD_SECONDS_MAX).contains(&seconds))
    {
        let what = format!("must be {HOLD_SECONDS_MIN} to {HOLD_SECONDS_MAX}");
        faults.push(Fault::new("holdSeconds", what));
    }
    if file
        .reminder_hours
        .is_some_and(|hours| hours > REMINDER_HOURS_MAX)
    {
        let what = format!("must be 0 to {REMINDER_HOURS_MAX}");
        faults.push(Fault::new("reminderHours", what));
    }
}

fn check_place(file: &ShowFile, faults: &mut Vec<Fault>) {
    for (path, degrees, most) in [
        ("venue.latitude", file.venue.latitude, LATITUDE_MAX),
        ("venue.longitude", file.venue.longitude, LONGITUDE_MAX),
    ] {
        if degrees.is_some_and(|degrees| !(-most..=most).contains(&degrees)) {
            let what = format!("must be -{most} to {most} degrees");
            faults.push(Fault::new(path, what));
        }
    }
}

fn check_times(file: &ShowFile, now: Timestamp, faults: &mut Vec<Fault>) {
    let closes_at = file.sale_closes_at.unwrap_or(file.starts_at);
    if file
        .sale_opens_at
        .is_some_and(|opens_at| opens_at >= closes_at)
    {
        faults.push(Fault::new("saleOpensAt", "must be before the sale closes"));
    }
    if file.ends_at.is_some_and(|ends_at| ends_at < file.starts_at) {
        faults.push(Fault::new("endsAt", "must not be before it starts"));
    } else if file.ends_at.is_some_and(|ends_at| ends_at < closes_at) {
        faults.push(Fault::new(
            "saleClosesAt",
            "must not be after the event ends",
        ));
    }
    if ends_at(file) <= now.minus(LISTED_AFTER_END) {
        let path = if file.ends_at.is_some() {
            "endsAt"
        } else {
            "startsAt"
        };
        let what = "the show is over; nobody could see it";
        faults.push(Fault::new(path, what));
    }
}

fn check_categories(file: &ShowFile, faults: &mut Vec<Fault>) {
    if file.categories.is_empty() {
        faults.push(Fault::new("categories", "must name at least one"));
    }
    let mut seen = HashSet::new();
    for (at, it) in file.categories.iter().enumerate() {
        let path = |field: &str| format!("categories[{at}].{field}");
        if it.category.is_empty() || it.category.len() > CATEGORY_MAX {
            let what = format!("must have 1 to {CATEGORY_MAX} characters");
            faults.push(Fault::new(path("category"), what));
        }
        if !seen.insert(&it.category) {
            let what = format!("`{}` is there twice", it.category);
            faults.push(Fault::new(path("category"), what));
        }
    }
}

fn check_sections(file: &ShowFile, faults: &mut Vec<Fault>) {
    match seat_count(&file.sections) {
        0 => faults.push(Fault::new("sections", "must have at least one seat")),
        count if count > SEATS_MAX => {
            let what = format!("{count} seats are more than {SEATS_MAX}");
            faults.push(Fault::new("sections", what));
        }
        _ => {}
    }
    for (at, section) in file.sections.iter().enumerate() {
        let is_of = |it: &contract::booking::Category| it.category == section.category;
        if !file.categories.iter().any(is_of) {
            let what = format!("there is no category `{}`", section.category);
            faults.push(Fault::new(format!("sections[{at}].category"), what));
        }
        for (row_at, row) in section.rows.iter().enumerate() {
            let is_fit = (1..=ROW_MAX).contains(&row.chars().count())
                && row.trim() == row
                && !row.chars().any(char::is_control);
            if !is_fit {
                let path = format!("sections[{at}].rows[{row_at}]");
                let what = format!("must have 1 to {ROW_MAX} characters, no space at either end");
                faults.push(Fault::new(path, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::from_ms(1_796_000_000_000);

    fn file() -> Value {
        json!({
            "showId": "eras-mumbai-1",
            "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN",
                     "timeZone": "Asia/Kolkata"},
            "title": "Eras",
            "venue": {"name": "Stadium", "address": "1 Road"},
            "startsAt": "2026-12-24T14:00:00Z",
            "currency": "INR",
            "categories": [{"category": "PREMIUM", "name": "Premium", "priceMinor": 250_000}],
            "sections": [{
                "name": "Stalls", "category": "PREMIUM", "rows": ["A", "B"], "seatsPerRow": 4,
                "accessible": ["A1"], "blocked": ["B4"]
            }]
        })
    }

    fn checked(file: &Value) -> Result<CheckedShow, Vec<Fault>> {
        crate::read(&serde_json::to_vec(file).unwrap(), NOW)
    }

    fn refuse(pointer: &str, value: Value, path: &str) {
        let mut file = file();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = file.pointer_mut(parent).unwrap();
        match parent {
            Value::Object(object) => drop(object.insert(member.to_owned(), value)),
            other => other[member.parse::<usize>().unwrap()] = value,
        }
        let found = checked(&file).unwrap_err();
        let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, [path], "{found:?}");
    }

    #[test]
    fn a_sound_file_is_laid_out_with_its_defaults() {
        let show = checked(&file()).unwrap();
        assert_eq!(
            (show.seats.len(), show.ticket_limit, show.hold_seconds),
            (8, 6, 600)
        );
        assert_eq!(
            (show.sale_closes_at, show.ends_at),
            (show.file.starts_at, show.file.starts_at)
        );
        assert!(show.seats[0].accessible && show.seats[7].blocked);
    }

    #[test]
    fn a_price_that_cannot_be_charged_is_refused() {
        let mut file = file();
        file["currency"] = json!("KWD");
        assert!(checked(&file).is_ok());
        file["categories"][0]["priceMinor"] = json!(1234);
        let faults = checked(&file).unwrap_err();
        assert_eq!(faults[0].path, "categories[0].priceMinor", "{faults:?}");
    }

    #[test]
    fn what_the_provider_does_not_charge_is_refused() {
        for code in ["QQQ", "XXX", "XTS", "XAU"] {
            refuse("/currency", json!(code), "currency");
        }
        let mut file = file();
        for (currency, price, sound) in [
            ("USD", 0, true),
            ("USD", 49, false),
            ("USD", 50, true),
            ("USD", 99_999_999, true),
            ("USD", 100_000_000_i64, false),
            ("USD", -1, false),
            ("JPY", 10, false),
            ("IDR", 100_000_000, true),
            ("KWD", 10, true),
        ] {
            file["currency"] = json!(currency);
            file["categories"][0]["priceMinor"] = json!(price);
            let checked = checked(&file);
            assert_eq!(checked.is_ok(), sound, "{currency} {price}");
            if let Err(faults) = checked {
                assert_eq!(faults[0].path, "categories[0].priceMinor", "{faults:?}");
                assert!(faults[0].what.contains(currency), "{faults:?}");
            }
        }
    }

    #[test]
    fn every_fault_is_told_by_its_path() {
        refuse("/venue/latitude", json!(90.01), "venue.latitude");
        refuse("/venue/longitude", json!(-181), "venue.longitude");
        refuse("/sections/0/rows/1", json!(7), "sections[0].rows[1]");
        refuse("/venue/nmae", json!("x"), "venue.nmae");
        refuse("/startsAt", json!("tomorrow"), "startsAt");
        refuse("/showId", json!("Eras!"), "showId");
        refuse("/title", json!(" "), "title");
        refuse("/title", json!("x".repeat(201)), "title");
        refuse("/title", json!("A\u{0}B"), "title");
        refuse("/categories/0/name", json!("\u{0}"), "categories[0].name");
        refuse("/venue/name", json!(""), "venue.name");
        refuse("/description", json!("x".repeat(10_001)), "description");
        refuse("/currency", json!("rupees"), "currency");
        refuse("/city/country", json!("India"), "city.country");
        refuse("/ticketLimit", json!(0), "ticketLimit");
        refuse("/ticketLimit", json!(50), "ticketLimit");
        refuse("/holdSeconds", json!(60), "holdSeconds");
        refuse("/saleOpensAt", json!("2026-12-25T00:00:00Z"), "saleOpensAt");
        refuse("/endsAt", json!("2026-12-24T13:00:00Z"), "endsAt");
        refuse("/startsAt", json!("2020-01-01T00:00:00Z"), "startsAt");
        refuse(
            "/categories/0/priceMinor",
            json!(-1),
            "categories[0].priceMinor",
        );
        refuse(
            "/categories",
            json!([{"category": "x".repeat(65), "name": "X", "priceMinor": 100},
            {"category": "PREMIUM", "name": "P", "priceMinor": 100}]),
            "categories[0].category",
        );
        refuse("/sections/0/category", json!("VIP"), "sections[0].category");
        refuse("/sections/0/seatsPerRow", json!(75_000), "sections");
        refuse("/sections/0/seatsPerRow", json!(u32::MAX), "sections");
        refuse("/sections", json!([]), "sections");
        refuse("/sections/0/rows/1", json!(" B"), "sections[0].rows[1]");
        refuse(
            "/sections/0/blocked",
            json!(["A11"]),
            "sections[0].blocked[0]",
        );
    }

    #[test]
    fn time_zones_are_those_of_the_database() {
        for zone in [
            "IST",
            "GMT+5:30",
            "Asia/Bombai",
            " Asia/Kolkata",
            "asia/kolkata",
            "",
        ] {
            refuse("/city/timeZone", json!(zone), "city.timeZone");
        }
        let mut file = file();
        for zone in ["Asia/Kolkata", "Asia/Calcutta", "America/New_York", "UTC"] {
            file["city"]["timeZone"] = json!(zone);
            assert!(checked(&file).is_ok(), "{zone}");
        }
    }

    #[test]
    fn a_file_may_name_its_schema() {
        let mut file = file();
        file["$schema"] = json!("show-file.schema.json");
        assert!(checked(&file).is_ok());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut file = file();
        file["title"] = json!("");
        file["holdSeconds"] = json!(1);
        file["sections"][0]["category"] = json!("VIP");
        assert_eq!(checked(&file).unwrap_err().len(), 3);
    }

    #[test]
    fn an_event_of_several_days_may_have_begun() {
        let mut file = file();
        file["startsAt"] = json!(NOW.minus(Duration::from_hours(30)));
        file["saleClosesAt"] = json!(NOW.plus(Duration::from_hours(48)));
        let show = checked(&file).unwrap();
        assert_eq!(show.ends_at, show.sale_closes_at);
        file["endsAt"] = json!(NOW.plus(Duration::from_hours(47)));
        assert_eq!(checked(&file).unwrap_err()[0].path, "saleClosesAt");
    }

    #[test]
    fn files_of_other_editors_are_read_or_told() {
        let text = serde_json::to_vec(&file()).unwrap();
        let marked = [b"\xEF\xBB\xBF", text.as_slice()].concat();
        let told = |bytes: &[u8]| crate::read(bytes, NOW).map_err(|faults| faults[0].clone());
        assert!(told(&marked).is_ok());
        let utf16: Vec<u8> = text.iter().flat_map(|byte| [*byte, 0]).collect();
        assert!(told(&utf16).unwrap_err().what.contains("UTF-8"));
        assert!(told(&[text.as_slice(), b" {}"].concat()).is_err());
        assert_eq!(told(b"").unwrap_err().path, ".");
        assert!(told(&vec![b' '; 5 << 20]).is_err());
    }
}
