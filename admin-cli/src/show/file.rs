//! Show files: reading one, and finding what is wrong with it before it is sent.

use std::collections::{HashMap, HashSet};

use contract::booking::{Section, ShowFile};

/// The most seats a show file may describe.
pub const SEATS_MAX: u64 = 200_000;
/// How long a hold may last, in seconds.
const HOLD_SECONDS: std::ops::RangeInclusive<u32> = 300..=900;

/// Something wrong in a show file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `sections[2].rows[0]`.
    pub path: String,
    /// What.
    pub what: String,
}

/// Seats and price of a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategorySummary {
    /// Its code.
    pub category: String,
    /// What fans read.
    pub name: String,
    /// Price, minor units.
    pub price_minor: i64,
    /// Its seats.
    pub seats: u64,
    /// Of these, seats that are not for sale.
    pub blocked: u64,
}

/// Reads a show file, naming the field that does not fit.
pub fn parse(bytes: &[u8]) -> Result<ShowFile, Fault> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let file: ShowFile = serde_path_to_error::deserialize(&mut json).map_err(|error| Fault {
        path: error.path().to_string(),
        what: error.inner().to_string(),
    })?;
    json.end().map_err(|error| Fault {
        path: ".".to_owned(),
        what: error.to_string(),
    })?;
    Ok(file)
}

/// Everything wrong with a show file that can be told without the gateway.
pub fn faults(file: &ShowFile) -> Vec<Fault> {
    let mut faults = Faults::default();
    check_fields(file, &mut faults);
    check_categories(file, &mut faults);
    let total = seat_count(file);
    if total == 0 {
        faults.add("sections", "there is no seat");
    } else if total > SEATS_MAX {
        faults.add(
            "sections",
            format!("{total} seats are more than {SEATS_MAX}"),
        );
    } else {
        check_seats(file, &mut faults);
    }
    faults.0
}

/// Seats and prices by category, in the file's order.
pub fn summary(file: &ShowFile) -> Vec<CategorySummary> {
    let categories = file.categories.iter().map(|it| {
        let of_it = || {
            file.sections
                .iter()
                .filter(|section| section.category == it.category)
        };
        CategorySummary {
            category: it.category.clone(),
            name: it.name.clone(),
            price_minor: it.price_minor,
            seats: of_it().map(section_seats).sum(),
            blocked: of_it().map(|section| section.blocked.len() as u64).sum(),
        }
    });
    categories.collect()
}

/// All seats of a show file.
pub fn seat_count(file: &ShowFile) -> u64 {
    let counts = file.sections.iter().map(section_seats);
    counts.fold(0, u64::saturating_add)
}

fn section_seats(section: &Section) -> u64 {
    (section.rows.len() as u64).saturating_mul(u64::from(section.seats_per_row))
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.0.push(Fault {
            path: path.into(),
            what: what.into(),
        });
    }
}

fn check_fields(file: &ShowFile, faults: &mut Faults) {
    if file.title.trim().is_empty() {
        faults.add("title", "it is empty");
    }
    let is_code = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    if !is_code(&file.currency, 3) {
        faults.add("currency", "write an ISO 4217 code such as INR");
    }
    if !is_code(&file.city.country, 2) {
        faults.add("city.country", "write an ISO 3166-1 code such as IN");
    }
    if file.ticket_limit == Some(0) {
        faults.add("ticketLimit", "no one could buy anything");
    }
    if file
        .hold_seconds
        .is_some_and(|seconds| !HOLD_SECONDS.contains(&seconds))
    {
        faults.add("holdSeconds", "a hold lasts 300 to 900 seconds");
    }
    let opens = file.sale_opens_at;
    let closes = file.sale_closes_at.unwrap_or(file.starts_at);
    if opens.is_some_and(|opens| opens >= closes) {
        faults.add("saleOpensAt", "the sale would close before it opens");
    }
}

fn check_categories(file: &ShowFile, faults: &mut Faults) {
    let mut known = HashSet::new();
    for (index, it) in file.categories.iter().enumerate() {
        if !known.insert(it.category.as_str()) {
            let what = format!("`{}` is there twice", it.category);
            faults.add(format!("categories[{index}].category"), what);
        }
        if it.price_minor < 0 {
            faults.add(
                format!("categories[{index}].priceMinor"),
                "a price is not negative",
            );
        }
    }
    for (index, section) in file.sections.iter().enumerate() {
        if !known.contains(section.category.as_str()) {
            let what = format!("there is no category `{}`", section.category);
            faults.add(format!("sections[{index}].category"), what);
        }
    }
}

fn check_seats(file: &ShowFile, faults: &mut Faults) {
    // Which section has a seat: ids are unique in the whole show, not only in their section.
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (index, section) in file.sections.iter().enumerate() {
        for (row_index, row) in section.rows.iter().enumerate() {
            let path = format!("sections[{index}].rows[{row_index}]");
            let ids = (1..=section.seats_per_row).map(|number| format!("{row}{number}"));
            if let Some(fault) = claim_row(ids, index, &mut owners) {
                faults.add(path, fault);
            }
        }
    }
    for (index, section) in file.sections.iter().enumerate() {
        for (name, seats) in [
            ("accessible", &section.accessible),
            ("blocked", &section.blocked),
        ] {
            let strange = seats.iter().enumerate();
            for (at, seat) in strange.filter(|(_, it)| owners.get(it.as_str()) != Some(&index)) {
                let what = format!("`{seat}` is no seat of this section");
                faults.add(format!("sections[{index}].{name}[{at}]"), what);
            }
        }
    }
}

/// Gives the seats of a row to a section. The first seat that cannot be had is told.
fn claim_row(
    ids: impl Iterator<Item = String>,
    section: usize,
    owners: &mut HashMap<String, usize>,
) -> Option<String> {
    for id in ids {
        if let Err(error) = id.parse::<contract::SeatId>() {
            return Some(format!("its seat `{id}` is {error}"));
        }
        if owners.contains_key(&id) {
            return Some(format!("its seat `{id}` is there twice"));
        }
        owners.insert(id, section);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file() -> Value {
        json!({
            "showId": "eras-mumbai-1",
            "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN",
                     "timeZone": "Asia/Kolkata"},
            "title": "The Eras Show",
            "venue": {"name": "Arena", "address": "1 Sea Road"},
            "startsAt": "2026-12-01T14:00:00Z",
            "currency": "INR",
            "categories": [
                {"category": "PREMIUM", "name": "Premium", "priceMinor": 1_500_000},
                {"category": "STANDARD", "name": "Standard", "priceMinor": 500_000}
            ],
            "sections": [
                {"name": "Stalls", "category": "PREMIUM", "rows": ["A", "B"], "seatsPerRow": 10,
                 "blocked": ["A1"]},
                {"name": "Balcony", "category": "STANDARD", "rows": ["C"], "seatsPerRow": 20,
                 "accessible": ["C1", "C20"]}
            ]
        })
    }

    fn read(file: &Value) -> Result<ShowFile, Fault> {
        parse(&serde_json::to_vec(file).unwrap())
    }

    fn check(pointer: &str, value: Value, path: &str) {
        let mut file = file();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let parent = file.pointer_mut(parent).unwrap();
        match parent {
            Value::Object(object) => drop(object.insert(member.to_owned(), value)),
            other => other[member.parse::<usize>().unwrap()] = value,
        }
        let found = match read(&file) {
            Err(fault) => vec![fault],
            Ok(file) => faults(&file),
        };
        let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, [path], "{found:?}");
    }

    #[test]
    fn a_sound_file_has_no_fault_and_a_summary() {
        let file = read(&file()).unwrap();
        assert_eq!(faults(&file), []);
        let counts: Vec<_> = summary(&file)
            .iter()
            .map(|it| (it.seats, it.blocked))
            .collect();
        assert_eq!(counts, [(20, 1), (20, 0)]);
        assert_eq!(seat_count(&file), 40);
    }

    #[test]
    fn every_fault_is_told_by_its_path() {
        check("/sections/0/rows/1", json!(7), "sections[0].rows[1]");
        check("/venue/nmae", json!("x"), "venue.nmae");
        check("/startsAt", json!("tomorrow"), "startsAt");
        check("/showId", json!("Eras!"), "showId");
        check("/title", json!(" "), "title");
        check("/currency", json!("rupees"), "currency");
        check("/city/country", json!("India"), "city.country");
        check("/ticketLimit", json!(0), "ticketLimit");
        check("/holdSeconds", json!(60), "holdSeconds");
        check("/saleOpensAt", json!("2026-12-02T00:00:00Z"), "saleOpensAt");
        check(
            "/categories/1/priceMinor",
            json!(-1),
            "categories[1].priceMinor",
        );
        check("/sections/1/category", json!("VIP"), "sections[1].category");
        check("/sections/0/rows", json!(["A", "A"]), "sections[0].rows[1]");
        check(
            "/sections/0/blocked",
            json!(["A11"]),
            "sections[0].blocked[0]",
        );
        check(
            "/sections/0/accessible",
            json!(["C1"]),
            "sections[0].accessible[0]",
        );
        check("/sections/0/rows/1", json!("B row"), "sections[0].rows[1]");
    }

    #[test]
    fn rows_that_spell_the_same_seat_are_found() {
        let mut file = file();
        // Row A has a seat 11, row A1 has a seat 1: both would be A11.
        file["sections"][0]["rows"] = json!(["A", "A1"]);
        file["sections"][0]["seatsPerRow"] = json!(11);
        file["sections"][0]["blocked"] = json!([]);
        let found = faults(&read(&file).unwrap());
        assert_eq!(found[0].path, "sections[0].rows[1]");
        assert!(found[0].what.contains("`A11`"), "{found:?}");
    }

    #[test]
    fn a_huge_file_is_refused_before_its_seats_are_counted_out() {
        let mut file = file();
        file["sections"][0]["seatsPerRow"] = json!(u32::MAX);
        let found = faults(&read(&file).unwrap());
        assert_eq!(found[0].path, "sections");
    }

    #[test]
    fn what_follows_the_document_is_refused() {
        let mut bytes = serde_json::to_vec(&file()).unwrap();
        bytes.extend_from_slice(b" {}");
        assert!(parse(&bytes).is_err());
        assert_eq!(parse(b"").unwrap_err().path, ".");
    }
}
