//! A seat map in a few kilobytes: rows are sent as runs of neighbouring seats. Pure.

use contract::ShowId;
use contract::booking::{CompactSeatMap, SeatRun, SeatStatus};

use super::plan::{PlannedSeat, SeatPlan};

/// Largest distance between a seat's coordinates and those computed from its run, in seat widths.
const PLACE_TOLERANCE: f64 = 1e-6;

/// The map of `plan`; `statuses` are in the same order.
pub(crate) fn compact(
    show_id: ShowId,
    version: u64,
    plan: &SeatPlan,
    statuses: impl Iterator<Item = SeatStatus>,
) -> CompactSeatMap {
    let mut map = CompactSeatMap {
        show_id,
        version,
        sections: Vec::new(),
        categories: Vec::new(),
        runs: Vec::new(),
        accessible: Vec::new(),
        statuses: statuses.map(letter).collect(),
    };
    for (seat, at) in plan.seats().iter().zip(0..) {
        if seat.accessible {
            map.accessible.push(at);
        }
        let run = SeatRun {
            section: position(&mut map.sections, &seat.section),
            category: position(&mut map.categories, &seat.category),
            ..run_of(seat)
        };
        match map.runs.last_mut() {
            Some(last) if continues(last, &run) => last.count += 1,
            _ => map.runs.push(run),
        }
    }
    map
}

fn letter(status: SeatStatus) -> char {
    match status {
        SeatStatus::Available => 'A',
        SeatStatus::Held => 'H',
        SeatStatus::Booked => 'B',
        SeatStatus::Blocked => 'X',
    }
}

/// The index of `name` in `names`, where it is appended if new. A linear search, because a hall has
/// few names.
fn position(names: &mut Vec<String>, name: &str) -> u32 {
    let at = names.iter().rposition(|known| known == name);
    let at = at.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn run_of(seat: &PlannedSeat) -> SeatRun {
    let id = seat.seat_id.as_str();
    let prefix = id.strip_suffix(&seat.number.to_string());
    SeatRun {
        section: 0,
        row: seat.row.clone(),
        category: 0,
        price_minor: seat.price_minor,
        count: 1,
        number: seat.number,
        x: seat.x,
        y: seat.y,
        prefix: prefix.unwrap_or_default().to_owned(),
        seat_id: prefix.is_none().then(|| seat.seat_id.clone()),
    }
}

/// Whether the single seat `next` continues `run`.
fn continues(run: &SeatRun, next: &SeatRun) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < PLACE_TOLERANCE;
    run.seat_id.is_none()
        && next.seat_id.is_none()
        && (run.section, run.category, run.price_minor)
            == (next.section, next.category, next.price_minor)
        && (&run.row, &run.prefix) == (&next.row, &next.prefix)
        && run.number.checked_add(run.count) == Some(next.number)
        && near(run.y, next.y)
        && near(run.x + f64::from(run.count), next.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(id: &str, section: &str, row: &str, number: u32, x: f64) -> PlannedSeat {
        PlannedSeat {
            seat_id: id.parse().unwrap(),
            section: section.to_owned(),
            row: row.to_owned(),
            number,
            category: "GOLD".to_owned(),
            price_minor: 100,
            x,
            y: 1.0,
            accessible: number == 2,
            blocked: false,
        }
    }

    #[test]
    fn neighbours_are_one_run_and_gaps_begin_another() {
        let seats = vec![
            seat("A1", "Stalls", "A", 1, 1.0),
            seat("A2", "Stalls", "A", 2, 2.0),
            // After an aisle.
            seat("A3", "Stalls", "A", 3, 5.0),
            seat("BAL-A-1", "Balcony", "A", 1, 6.0),
            // Its id does not end with the number.
            seat("ROYAL", "Balcony", "A", 2, 7.0),
            seat("BAL-A-3", "Balcony", "A", 3, 8.0),
        ];
        let plan = SeatPlan::new(1, seats);
        let statuses = [
            SeatStatus::Available,
            SeatStatus::Held,
            SeatStatus::Booked,
            SeatStatus::Blocked,
            SeatStatus::Available,
            SeatStatus::Available,
        ];
        let show = "eras".parse().unwrap();
        let map = compact(show, 7, &plan, statuses.into_iter());
        assert_eq!(map.statuses, "AHBXAA");
        assert_eq!(map.accessible, [1, 4]);
        assert_eq!(map.sections, ["Stalls", "Balcony"]);
        let runs: Vec<_> = map
            .runs
            .iter()
            .map(|run| (run.prefix.as_str(), run.number, run.count))
            .collect();
        let expected = [
            ("A", 1, 2),
            ("A", 3, 1),
            ("BAL-A-", 1, 1),
            ("", 2, 1),
            ("BAL-A-", 3, 1),
        ];
        assert_eq!(runs, expected);
        assert_eq!(map.runs[3].seat_id.as_ref().unwrap().as_str(), "ROYAL");
    }

    #[test]
    fn thirty_thousand_seats_are_a_few_kilobytes_of_layout() {
        let mut seats = Vec::new();
        for row in 0..400 {
            for number in 1..=75 {
                let id = format!("R{row}-{number}");
                let mut seat = seat(&id, "Arena", &row.to_string(), number, f64::from(number));
                seat.y = f64::from(row);
                seats.push(seat);
            }
        }
        let plan = SeatPlan::new(1, seats);
        let free = std::iter::repeat_n(SeatStatus::Available, 30_000);
        let map = compact("arena".parse().unwrap(), 1, &plan, free);
        assert_eq!(map.runs.len(), 400);
        let bytes = serde_json::to_vec(&map).unwrap().len();
        assert!(bytes < 100_000, "{bytes}");
    }
}
