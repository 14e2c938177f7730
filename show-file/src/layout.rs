//! Where seats are, and what they are called.
//!
//! Labels are free text: what a theatre writes on its rows. Ids go into URLs and never change
//! while a layout stays, so they are made of letters, digits, hyphens and underscores only. Of
//! three ways to make them the first is taken that gives every seat of the show an id of its own:
//!
//! 1. row and number, `A10`;
//! 2. row, hyphen, number, `11-1`, when rows end in digits;
//! 3. section, row, number, `BALCONY-A-10`, when sections have rows of the same name.

use std::collections::{HashMap, HashSet};

use contract::SeatId;
use contract::booking::{Category, Seat, SeatLabel, SeatStatus, Section};

use crate::fault::Fault;

/// Seats a show may have.
pub const SEATS_MAX: usize = 100_000;
/// Rows between two sections, so that the map shows where one ends.
const SECTION_GAP_ROWS: f64 = 1.0;
/// Longest name of a section within an id; longer ones are numbered, `S3`.
const SECTION_CODE_MAX: usize = 16;

/// A seat in its layout.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedSeat {
    /// Unique in the show, safe in URLs.
    pub seat_id: SeatId,
    /// What fans read of its section.
    pub section: String,
    /// What fans read of its row.
    pub row: String,
    /// Number within the row, from 1.
    pub number: u32,
    /// Code of its price category.
    pub category: String,
    /// Price, minor units.
    pub price_minor: i64,
    /// Seat widths from the left.
    pub x: f64,
    /// Rows from the stage.
    pub y: f64,
    /// Reachable without steps.
    pub accessible: bool,
    /// Not for sale from the start.
    pub blocked: bool,
}

impl PlannedSeat {
    /// Where it is, for people.
    pub fn label(&self) -> SeatLabel {
        SeatLabel {
            seat_id: self.seat_id.clone(),
            section: self.section.clone(),
            row: self.row.clone(),
            number: self.number,
            accessible: self.accessible,
        }
    }

    /// The wire form, with `status`.
    pub fn view(&self, status: SeatStatus) -> Seat {
        Seat {
            seat_id: self.seat_id.clone(),
            section: self.section.clone(),
            row: self.row.clone(),
            number: self.number,
            category: self.category.clone(),
            status,
            price_minor: self.price_minor,
            x: self.x,
            y: self.y,
            accessible: self.accessible,
        }
    }
}

/// A way to make ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Joined,
    Hyphenated,
    WithSection,
}

/// All seats of a show, rows one behind the other, each centred on the stage. Categories and sizes
/// must be sound already.
pub(crate) fn lay_out(
    sections: &[Section],
    categories: &[Category],
) -> Result<Vec<PlannedSeat>, Vec<Fault>> {
    let Some(ids) = ids(sections) else {
        let what = "its rows cannot be told apart by letters and digits; use shorter labels";
        return Err(vec![Fault::new("sections", what)]);
    };
    let prices: HashMap<&str, i64> = categories
        .iter()
        .map(|it| (it.category.as_str(), it.price_minor))
        .collect();
    let widest = sections
        .iter()
        .map(|it| it.seats_per_row)
        .max()
        .unwrap_or(0);
    let mut ids = ids.into_iter();
    let mut seats = Vec::new();
    let mut faults = Vec::new();
    let mut y = 1.0;
    for (at, section) in sections.iter().enumerate() {
        let first = seats.len();
        let indent = f64::from(widest - section.seats_per_row) / 2.0;
        for row in &section.rows {
            for (number, seat_id) in (1..=section.seats_per_row).zip(ids.by_ref()) {
                seats.push(PlannedSeat {
                    seat_id,
                    section: section.name.clone(),
                    row: row.clone(),
                    number,
                    category: section.category.clone(),
                    price_minor: prices.get(section.category.as_str()).copied().unwrap_or(0),
                    x: indent + f64::from(number),
                    y,
                    accessible: false,
                    blocked: false,
                });
            }
            y += 1.0;
        }
        y += SECTION_GAP_ROWS;
        mark(section, at, &mut seats[first..], &mut faults);
    }
    if faults.is_empty() {
        Ok(seats)
    } else {
        Err(faults)
    }
}

/// Rows that their section has already.
pub(crate) fn repeated_rows(sections: &[Section]) -> Vec<Fault> {
    let mut seen: HashMap<(&str, &str), usize> = HashMap::new();
    let mut faults = Vec::new();
    for (at, section) in sections.iter().enumerate() {
        for (row_at, row) in section.rows.iter().enumerate() {
            if seen.insert((&section.name, row), at).is_some() {
                let what = format!(
                    "section `{}` has a row `{row}` already; rows are unique within a section",
                    section.name
                );
                faults.push(Fault::new(format!("sections[{at}].rows[{row_at}]"), what));
            }
        }
    }
    faults
}

/// Ids of all seats in order, in the first way that tells them apart.
fn ids(sections: &[Section]) -> Option<Vec<SeatId>> {
    [Naming::Joined, Naming::Hyphenated, Naming::WithSection]
        .into_iter()
        .find_map(|naming| ids_by(naming, sections))
}

fn ids_by(naming: Naming, sections: &[Section]) -> Option<Vec<SeatId>> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for (at, section) in sections.iter().enumerate() {
        let section_code = match code(&section.name) {
            short if short.len() <= SECTION_CODE_MAX => short,
            _ => format!("S{}", at + 1),
        };
        for row in &section.rows {
            let row_code = code(row);
            for number in 1..=section.seats_per_row {
                let text = match naming {
                    // Only labels that are ids as they are, as all once had to be.
                    Naming::Joined if row_code != *row || row.contains('_') => return None,
                    Naming::Joined => format!("{row}{number}"),
                    Naming::Hyphenated => format!("{row_code}-{number}"),
                    Naming::WithSection => format!("{section_code}-{row_code}-{number}"),
                };
                let id: SeatId = text.parse().ok()?;
                if !seen.insert(id.clone()) {
                    return None;
                }
                ids.push(id);
            }
        }
    }
    Some(ids)
}

/// A label in letters, digits, hyphens and underscores: a space is `_`, any other character its
/// code point, as `_C5_` for `Å`.
fn code(label: &str) -> String {
    let mut code = String::with_capacity(label.len());
    for letter in label.chars() {
        match letter {
            ' ' => code.push('_'),
            plain if plain.is_ascii_alphanumeric() || plain == '-' => code.push(plain),
            other => code.extend(["_", &format!("{:X}", u32::from(other)), "_"]),
        }
    }
    code
}

/// Marks the seats that a section's lists name: by id, by row and number, or by row, hyphen and
/// number.
fn mark(section: &Section, at: usize, seats: &mut [PlannedSeat], faults: &mut Vec<Fault>) {
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, seat) in seats.iter().enumerate() {
        let (row, number) = (&seat.row, seat.number);
        let mut names = vec![
            format!("{row}{number}"),
            format!("{row}-{number}"),
            seat.seat_id.to_string(),
        ];
        names.sort();
        names.dedup();
        for name in names {
            known.entry(name).or_default().push(index);
        }
    }
    for (field, names) in [
        ("accessible", &section.accessible),
        ("blocked", &section.blocked),
    ] {
        for (name_at, name) in names.iter().enumerate() {
            let path = format!("sections[{at}].{field}[{name_at}]");
            match known.get(name).map(Vec::as_slice) {
                Some([index]) if field == "blocked" => seats[*index].blocked = true,
                Some([index]) => seats[*index].accessible = true,
                Some(several) => {
                    let ids: Vec<String> = several
                        .iter()
                        .map(|index| format!("`{}`", seats[*index].seat_id))
                        .collect();
                    let what =
                        format!("`{name}` may mean {}; write one of these", ids.join(" or "));
                    faults.push(Fault::new(path, what));
                }
                None => {
                    let what = format!("`{name}` is no seat of this section");
                    faults.push(Fault::new(path, what));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, rows: &[&str], seats_per_row: u32) -> Section {
        Section {
            name: name.to_owned(),
            category: "P".to_owned(),
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
            seats_per_row,
            accessible: Vec::new(),
            blocked: Vec::new(),
        }
    }

    fn laid_out(sections: &[Section]) -> Vec<String> {
        let category = Category {
            category: "P".to_owned(),
            name: "P".to_owned(),
            price_minor: 1,
            ticket_types: Vec::new(),
        };
        let seats = lay_out(sections, &[category]).unwrap();
        seats.iter().map(|seat| seat.seat_id.to_string()).collect()
    }

    #[test]
    fn plain_rows_keep_the_short_ids() {
        let ids = laid_out(&[section("Front", &["A", "B"], 2), section("Back", &["C"], 1)]);
        assert_eq!(ids, ["A1", "A2", "B1", "B2", "C1"]);
    }

    #[test]
    fn rows_of_digits_are_told_apart() {
        let rows: Vec<String> = (1..=20).map(|row| row.to_string()).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let ids = laid_out(&[section("Stalls", &rows, 20)]);
        assert_eq!((ids[0].as_str(), ids[10].as_str()), ("1-1", "1-11"));
        assert_eq!((ids.len(), ids[200].as_str()), (400, "11-1"));
    }

    #[test]
    fn sections_may_have_rows_of_the_same_name() {
        let ids = laid_out(&[
            section("STALLS", &["A", "B"], 1),
            section("BALCONY", &["A"], 1),
            section("The upper gallery, left", &["A"], 1),
        ]);
        assert_eq!(ids, ["STALLS-A-1", "STALLS-B-1", "BALCONY-A-1", "S3-A-1"]);
    }

    #[test]
    fn labels_are_free_and_ids_stay_safe_in_urls() {
        let ids = laid_out(&[section("Stalls", &["Å", "Ö", "א", "Row 5"], 1)]);
        assert_eq!(ids, ["_C5_-1", "_D6_-1", "_5D0_-1", "Row_5-1"]);
    }

    #[test]
    fn a_seat_is_named_within_its_section() {
        let mut stalls = section("STALLS", &["A"], 2);
        let mut balcony = section("BALCONY", &["A"], 2);
        stalls.accessible = vec!["A1".to_owned()];
        balcony.blocked = vec!["BALCONY-A-2".to_owned()];
        let seats = lay_out(&[stalls, balcony], &[]).unwrap();
        let marked: Vec<_> = seats.iter().map(|it| (it.accessible, it.blocked)).collect();
        assert_eq!(
            marked,
            [(true, false), (false, false), (false, false), (false, true)]
        );
        let mut digits = section("S", &["1", "11"], 11);
        digits.blocked = vec!["111".to_owned()];
        let faults = lay_out(&[digits], &[]).unwrap_err();
        assert!(faults[0].what.contains("`1-11` or `11-1`"), "{faults:?}");
    }

    #[test]
    fn a_row_that_is_there_twice_is_told() {
        let faults = repeated_rows(&[section("S", &["A", "A"], 1)]);
        assert_eq!(faults[0].path, "sections[0].rows[1]");
    }
}
