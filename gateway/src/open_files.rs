//! The limit of open files; every connection is one.

/// The lowest limit of the systems that we know.
const FILES_MIN: u64 = 256;

/// Raises the soft limit to the hard limit and returns the limit in force.
pub fn raise() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(FILES_MIN)
}

/// How many of `files` may be client connections: the rest is for upstreams, stores and logs.
pub fn for_clients(files: u64) -> usize {
    usize::try_from(files - files / 5).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_leaves_room_for_what_else_is_open() {
        let files = raise();
        assert!(files >= FILES_MIN);
        assert_eq!(raise(), files);
        assert_eq!(for_clients(20_000), 16_000);
        assert_eq!(for_clients(1_024), 820);
    }
}
