//! The kinds of events. Pure.

/// Every kind, as `type` names it. The function `event_facts` in the database makes their data.
pub(crate) const KINDS: [&str; 9] = [
    "booking.confirmed",
    "booking.cancelled",
    "tickets.cancelled",
    "refund.made",
    "hold.expired",
    "ticket.scanned",
    "show.imported",
    "show.changed",
    "show.cancelled",
];

/// The kinds in a comma-separated list, or the first that does not exist.
pub(crate) fn read_list(text: &str) -> Result<Vec<String>, String> {
    let named = text
        .split(',')
        .map(str::trim)
        .filter(|kind| !kind.is_empty());
    checked(named.map(str::to_owned).collect())
}

/// `kinds`, each once, or the first that does not exist.
pub(crate) fn checked(mut kinds: Vec<String>) -> Result<Vec<String>, String> {
    if let Some(unknown) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(unknown.clone());
    }
    kinds.sort();
    kinds.dedup();
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_makes_the_data_of_every_kind_and_of_no_other() {
        let migration =
            include_str!("../../../migrations/20261202001020_tell_refunds_of_bookings.sql");
        let (_, function) = migration.split_once("function event_facts").unwrap();
        let mut made: Vec<&str> = function
            .lines()
            .filter_map(|line| line.trim().strip_prefix("when '"))
            .flat_map(|line| line.split('\'').step_by(2))
            .filter(|kind| kind.contains('.'))
            .collect();
        let mut kinds = KINDS.to_vec();
        made.sort_unstable();
        kinds.sort_unstable();
        assert_eq!(made, kinds);
    }

    #[test]
    fn lists_name_kinds_once_and_no_others() {
        let list = read_list(" refund.made,booking.confirmed,refund.made, ").unwrap();
        assert_eq!(list, ["booking.confirmed", "refund.made"]);
        assert_eq!(read_list("").unwrap(), Vec::<String>::new());
        assert_eq!(
            read_list("refund.made,code.asked"),
            Err("code.asked".to_owned())
        );
    }
}
