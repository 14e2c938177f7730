//! Chooses the best available seats for a quantity.
//!
//! In this order: adjacent seats that leave no single free seat between taken ones, then adjacent
//! seats, then the largest groups available. Among equals, the nearest to the middle of the stage.

use super::plan::{PlannedSeat, SeatPlan};

/// Picks `quantity` of the seats that `is_free`, or `None` when fewer are free.
pub(crate) fn pick(
    plan: &SeatPlan,
    quantity: usize,
    category: Option<&str>,
    is_free: impl Fn(usize) -> bool,
) -> Option<Vec<usize>> {
    let seats = plan.seats();
    let mut free: Vec<bool> = (0..seats.len()).map(is_free).collect();
    let wanted = |seat: &PlannedSeat| category.is_none_or(|category| seat.category == category);
    let enough = seats
        .iter()
        .zip(&free)
        .filter(|(seat, free)| **free && wanted(seat))
        .count();
    if quantity == 0 || enough < quantity {
        return None;
    }
    let stage = stage_centre(seats);
    let mut picked = Vec::with_capacity(quantity);
    let mut together = quantity;
    while picked.len() < quantity {
        together = together.min(quantity - picked.len());
        if let Some(start) = best_window(seats, &free, together, &wanted, stage) {
            free[start..start + together].fill(false);
            picked.extend(start..start + together);
        } else {
            // A group of one seat always fits while enough seats are free, so the loop ends.
            together -= 1;
        }
    }
    picked.sort_unstable();
    Some(picked)
}

/// The middle of the front of the stage.
fn stage_centre(seats: &[PlannedSeat]) -> f64 {
    let (left, right) = seats
        .iter()
        .fold((f64::MAX, f64::MIN), |(left, right), seat| {
            (left.min(seat.x), right.max(seat.x))
        });
    f64::midpoint(left, right)
}

/// The start of the best run of `size` adjacent free seats.
fn best_window(
    seats: &[PlannedSeat],
    free: &[bool],
    size: usize,
    wanted: &impl Fn(&PlannedSeat) -> bool,
    stage: f64,
) -> Option<usize> {
    let mut run = 0;
    let mut best: Option<(usize, f64, usize)> = None;
    for end in 0..seats.len() {
        let usable = free[end] && wanted(&seats[end]);
        let joined = end > 0 && adjacent(&seats[end - 1], &seats[end]);
        run = match (usable, joined) {
            (false, _) => 0,
            (true, true) => run + 1,
            (true, false) => 1,
        };
        if run >= size {
            let start = end + 1 - size;
            let stranded = stranded_count(seats, free, start, end);
            let distance = distance(&seats[start..=end], stage);
            let better =
                best.is_none_or(|(fewest, nearest, _)| (stranded, distance) < (fewest, nearest));
            if better {
                best = Some((stranded, distance, start));
            }
        }
    }
    best.map(|(_, _, start)| start)
}

fn adjacent(left: &PlannedSeat, right: &PlannedSeat) -> bool {
    left.section == right.section && left.row == right.row && right.number == left.number + 1
}

/// How many single free seats beside `start..=end` would be stranded if it were taken.
fn stranded_count(seats: &[PlannedSeat], free: &[bool], start: usize, end: usize) -> usize {
    // Whether the seat at `at` is free and belongs to the row of the seat at `beside`.
    let reaches = |at: Option<usize>, beside: usize| {
        at.is_some_and(|at| {
            at < seats.len()
                && free[at]
                && (adjacent(&seats[at.min(beside)], &seats[at.max(beside)]))
        })
    };
    let left = start.checked_sub(1);
    let left_stranded =
        reaches(left, start) && !left.is_some_and(|left| reaches(left.checked_sub(1), left));
    let right = end + 1;
    let right_stranded = reaches(Some(right), end) && !reaches(Some(right + 1), right);
    usize::from(left_stranded) + usize::from(right_stranded)
}

/// Mean squared distance from the middle of the stage.
fn distance(window: &[PlannedSeat], stage: f64) -> f64 {
    let sum: f64 = window
        .iter()
        .map(|seat| (seat.x - stage).powi(2) + seat.y.powi(2))
        .sum();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a window has at most twenty seats"
    )]
    let count = window.len() as f64;
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows `A`, `B`, … as drawn: `.` is free, `#` is taken. `expected` lists the chosen seats in
    /// order.
    fn check(rows: &[&str], quantity: usize, expected: Option<&[&str]>) {
        let mut seats = Vec::new();
        let mut taken = Vec::new();
        for (row_at, row) in rows.iter().enumerate() {
            let label = char::from(b'A' + u8::try_from(row_at).unwrap()).to_string();
            for (seat_at, mark) in row.chars().enumerate() {
                let number = u32::try_from(seat_at + 1).unwrap();
                taken.push(mark == '#');
                seats.push(PlannedSeat {
                    seat_id: format!("{label}{number}").parse().unwrap(),
                    section: "Stalls".to_owned(),
                    row: label.clone(),
                    number,
                    category: if row_at == 0 { "PREMIUM" } else { "REGULAR" }.to_owned(),
                    price_minor: 100,
                    x: f64::from(number),
                    y: f64::from(u32::try_from(row_at).unwrap() + 1),
                    accessible: false,
                    blocked: false,
                });
            }
        }
        let plan = SeatPlan::new(1, seats);
        let picked = pick(&plan, quantity, None, |index| !taken[index]);
        let labels = picked.map(|picked| {
            let labels = plan.labels(&picked);
            labels.iter().map(ToString::to_string).collect::<Vec<_>>()
        });
        let expected = expected.map(|labels| labels.iter().map(ToString::to_string).collect());
        assert_eq!(labels, expected, "{rows:?} for {quantity}");
    }

    #[test]
    fn nearest_to_the_middle_of_the_stage() {
        check(&["......", "......"], 2, Some(&["A3", "A4"]));
        check(&["######", "......"], 2, Some(&["B3", "B4"]));
    }

    #[test]
    fn no_single_seat_is_stranded_if_that_can_be_helped() {
        // A2 and A3 are nearest, but would strand A1 and A4.
        check(&["....", "####"], 2, Some(&["A1", "A2"]));
        check(&["...#"], 2, Some(&["A2", "A3"]));
    }

    #[test]
    fn a_party_is_split_only_when_no_row_has_room() {
        check(&["..#.."], 3, Some(&["A1", "A2", "A4"]));
        check(&[".#.#."], 3, Some(&["A1", "A3", "A5"]));
        check(&["..#"], 3, None);
    }

    #[test]
    fn a_category_is_kept() {
        let seat = |label: &str, category: &str, x: f64| PlannedSeat {
            seat_id: label.parse().unwrap(),
            section: "S".to_owned(),
            row: "A".to_owned(),
            number: 1,
            category: category.to_owned(),
            price_minor: 1,
            x,
            y: 1.0,
            accessible: false,
            blocked: false,
        };
        let plan = SeatPlan::new(1, vec![seat("A1", "X", 1.0), seat("A2", "Y", 2.0)]);
        assert_eq!(pick(&plan, 1, Some("Y"), |_| true), Some(vec![1]));
        assert_eq!(pick(&plan, 2, Some("Y"), |_| true), None);
    }
}
