//! A show file, checked and laid out.

use std::collections::HashSet;

use contract::booking::{Category, Section, ShowFile, ShowFileCity};
use contract::{SeatId, Timestamp};
use sha2::{Digest, Sha256};

use super::plan::PlannedSeat;
use crate::currency;

/// Seats a show may have.
const SEATS_MAX: usize = 100_000;
/// Rows between two sections, so that the map shows where one ends.
const SECTION_GAP_ROWS: f64 = 1.0;
const TICKET_LIMIT_DEFAULT: u32 = 6;
const TICKET_LIMIT_MAX: u32 = 20;
const HOLD_SECONDS_DEFAULT: u32 = 600;

/// Why a show file cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidShowFile {
    /// The field, as a path.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

fn invalid(field: impl Into<String>, problem: impl Into<String>) -> InvalidShowFile {
    InvalidShowFile {
        field: field.into(),
        problem: problem.into(),
    }
}

/// A show file with its defaults filled in and its seats laid out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShowDraft {
    pub(crate) file: ShowFile,
    pub(crate) sale_closes_at: Timestamp,
    pub(crate) ticket_limit: u32,
    pub(crate) hold_seconds: u32,
    pub(crate) seats: Vec<PlannedSeat>,
    /// SHA-256 of the file.
    pub(crate) content_hash: [u8; 32],
}

impl ShowDraft {
    pub(crate) fn new(file: ShowFile) -> Result<Self, InvalidShowFile> {
        check_texts(&file)?;
        check_categories(&file.categories)?;
        check_prices(&file)?;
        let ticket_limit = file.ticket_limit.unwrap_or(TICKET_LIMIT_DEFAULT);
        if !(1..=TICKET_LIMIT_MAX).contains(&ticket_limit) {
            let problem = format!("must be 1 to {TICKET_LIMIT_MAX}");
            return Err(invalid("ticketLimit", problem));
        }
        let hold_seconds = file.hold_seconds.unwrap_or(HOLD_SECONDS_DEFAULT);
        if !(300..=900).contains(&hold_seconds) {
            return Err(invalid("holdSeconds", "must be 300 to 900"));
        }
        let sale_closes_at = file.sale_closes_at.unwrap_or(file.starts_at);
        if file
            .sale_opens_at
            .is_some_and(|opens_at| opens_at >= sale_closes_at)
        {
            return Err(invalid("saleOpensAt", "must be before the sale closes"));
        }
        let seats = lay_out(&file.sections, &file.categories)?;
        let text = serde_json::to_vec(&file).map_err(|error| invalid("", error.to_string()))?;
        Ok(Self {
            sale_closes_at,
            ticket_limit,
            hold_seconds,
            seats,
            content_hash: Sha256::digest(text).into(),
            file,
        })
    }
}

fn check_texts(file: &ShowFile) -> Result<(), InvalidShowFile> {
    let ShowFileCity {
        name,
        country,
        time_zone,
        ..
    } = &file.city;
    for (field, text, longest) in [
        ("title", &file.title, 200),
        ("venue.name", &file.venue.name, 200),
        ("city.name", name, 100),
        ("city.timeZone", time_zone, 64),
    ] {
        if text.trim().is_empty() || text.chars().count() > longest {
            return Err(invalid(
                field,
                format!("must have 1 to {longest} characters"),
            ));
        }
    }
    if file.description.chars().count() > 10_000 {
        return Err(invalid("description", "must have at most 10000 characters"));
    }
    let upper = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_uppercase())
    };
    if !upper(country, 2) {
        return Err(invalid(
            "city.country",
            "must be two capital letters (ISO 3166-1)",
        ));
    }
    if !upper(&file.currency, 3) {
        return Err(invalid(
            "currency",
            "must be three capital letters (ISO 4217)",
        ));
    }
    Ok(())
}

/// Prices that the payment provider cannot take would be noticed by the first customer.
fn check_prices(file: &ShowFile) -> Result<(), InvalidShowFile> {
    for (at, category) in file.categories.iter().enumerate() {
        if currency::to_provider(category.price_minor, &file.currency).is_none() {
            return Err(invalid(
                format!("categories[{at}].priceMinor"),
                format!("is too fine for {}: it cannot be charged", file.currency),
            ));
        }
    }
    Ok(())
}

fn check_categories(categories: &[Category]) -> Result<(), InvalidShowFile> {
    if categories.is_empty() {
        return Err(invalid("categories", "must name at least one"));
    }
    let mut seen = HashSet::new();
    for (at, category) in categories.iter().enumerate() {
        let field = |name: &str| format!("categories[{at}].{name}");
        if category.category.is_empty() || category.category.len() > 64 {
            return Err(invalid(field("category"), "must have 1 to 64 characters"));
        }
        if !seen.insert(&category.category) {
            return Err(invalid(field("category"), "occurs twice"));
        }
        if !(1..=1_000_000_000).contains(&category.price_minor) {
            return Err(invalid(field("priceMinor"), "must be 1 to 1000000000"));
        }
    }
    Ok(())
}

/// Rows one behind the other, each centred on the stage.
fn lay_out(
    sections: &[Section],
    categories: &[Category],
) -> Result<Vec<PlannedSeat>, InvalidShowFile> {
    let widest = sections.iter().map(|section| section.seats_per_row).max();
    let Some(widest) = widest.filter(|widest| *widest > 0) else {
        return Err(invalid("sections", "must have at least one seat"));
    };
    let mut seats = Vec::new();
    let mut seen = HashSet::new();
    let mut y = 1.0;
    for (at, section) in sections.iter().enumerate() {
        let row_seats = usize::try_from(section.seats_per_row).unwrap_or(usize::MAX);
        if row_seats.saturating_mul(section.rows.len()) > SEATS_MAX - seats.len() {
            return Err(invalid("sections", format!("more than {SEATS_MAX} seats")));
        }
        let price_minor = categories
            .iter()
            .find(|category| category.category == section.category)
            .map(|category| category.price_minor)
            .ok_or_else(|| invalid(format!("sections[{at}].category"), "is not in categories"))?;
        let indent = f64::from(widest - section.seats_per_row) / 2.0;
        let mut block = lay_out_section(section, at, price_minor, indent, &mut y)?;
        for seat in &block {
            if !seen.insert(seat.seat_id.clone()) {
                let problem = format!("seat {} occurs twice", seat.seat_id);
                return Err(invalid(format!("sections[{at}].rows"), problem));
            }
        }
        seats.append(&mut block);
        y += SECTION_GAP_ROWS;
    }
    Ok(seats)
}

fn lay_out_section(
    section: &Section,
    at: usize,
    price_minor: i64,
    indent: f64,
    y: &mut f64,
) -> Result<Vec<PlannedSeat>, InvalidShowFile> {
    let mut accessible: HashSet<&SeatId> = section.accessible.iter().collect();
    let mut blocked: HashSet<&SeatId> = section.blocked.iter().collect();
    let mut seats = Vec::new();
    for row in &section.rows {
        for number in 1..=section.seats_per_row {
            let seat_id: SeatId = format!("{row}{number}").parse().map_err(|error| {
                invalid(
                    format!("sections[{at}].rows"),
                    format!("{row}{number}: {error}"),
                )
            })?;
            seats.push(PlannedSeat {
                section: section.name.clone(),
                row: row.clone(),
                number,
                category: section.category.clone(),
                price_minor,
                x: indent + f64::from(number),
                y: *y,
                accessible: accessible.remove(&seat_id),
                blocked: blocked.remove(&seat_id),
                seat_id,
            });
        }
        *y += 1.0;
    }
    for (field, left) in [("accessible", accessible), ("blocked", blocked)] {
        if let Some(seat) = left.into_iter().min() {
            let problem = format!("{seat} is not a seat of this section");
            return Err(invalid(format!("sections[{at}].{field}"), problem));
        }
    }
    Ok(seats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file() -> Value {
        json!({
            "showId": "eras-mumbai-1",
            "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
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

    fn draft(change: impl FnOnce(&mut Value)) -> Result<ShowDraft, InvalidShowFile> {
        let mut json = file();
        change(&mut json);
        ShowDraft::new(serde_json::from_value(json).unwrap())
    }

    fn check(change: impl FnOnce(&mut Value), field: &str) {
        assert_eq!(draft(change).unwrap_err().field, field);
    }

    #[test]
    fn a_good_file_is_laid_out_row_by_row() {
        let draft = draft(|_| {}).unwrap();
        assert_eq!(draft.seats.len(), 8);
        assert_eq!((draft.ticket_limit, draft.hold_seconds), (6, 600));
        assert_eq!(draft.sale_closes_at, draft.file.starts_at);
        assert!(draft.seats[0].accessible && draft.seats[7].blocked);
        assert_eq!(draft.seats[4].seat_id.as_str(), "B1");
    }

    #[test]
    fn a_bad_file_is_refused_with_the_field_named() {
        check(|f| f["title"] = json!(" "), "title");
        check(|f| f["currency"] = json!("rupees"), "currency");
        check(
            |f| {
                f["currency"] = json!("KWD");
                f["categories"][0]["priceMinor"] = json!(1234);
            },
            "categories[0].priceMinor",
        );
        check(|f| f["city"]["country"] = json!("in"), "city.country");
        check(|f| f["holdSeconds"] = json!(60), "holdSeconds");
        check(|f| f["ticketLimit"] = json!(0), "ticketLimit");
        check(
            |f| f["saleOpensAt"] = json!("2027-01-01T00:00:00Z"),
            "saleOpensAt",
        );
        check(|f| f["categories"] = json!([]), "categories");
        check(|f| f["sections"] = json!([]), "sections");
        check(
            |f| f["sections"][0]["category"] = json!("X"),
            "sections[0].category",
        );
        check(
            |f| {
                f["sections"][0]["blocked"] = json!([]);
                f["sections"][0]["rows"] = json!(["A", "A"]);
            },
            "sections[0].rows",
        );
        check(
            |f| f["sections"][0]["blocked"] = json!(["Z9"]),
            "sections[0].blocked",
        );
        check(
            |f| f["sections"][0]["seatsPerRow"] = json!(4_000_000_000_u32),
            "sections",
        );
    }
}
