//! What a show file comes to, for people.

use contract::booking::{Section, ShowFile};

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

fn section_seats(section: &Section) -> u64 {
    (section.rows.len() as u64).saturating_mul(u64::from(section.seats_per_row))
}
