//! How many sockets one process can hold.

use crate::call::CALLS_MAX;

/// Files that are neither fans' sockets nor calls: logs, the runtime, operators' reads.
const FILES_RESERVED: u64 = 128;

/// Raises this process's limit of open files as far as it may, and says how far that is.
pub(crate) fn open_files() -> std::io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// Refuses more sockets than fit beside the calls into `open_files`, and says what to do.
pub(crate) fn check_sockets(sockets: u64, processes: u32, open_files: u64) -> Result<(), String> {
    let fit = open_files.saturating_sub(u64::from(CALLS_MAX) + FILES_RESERVED);
    let each = sockets.div_ceil(u64::from(processes));
    if each <= fit {
        return Ok(());
    }
    let advice = if fit == 0 {
        "raise the limit of open files (ulimit -n)".to_owned()
    } else {
        let needed = sockets.div_ceil(fit);
        format!(
            "start {needed} processes with --processes {needed} and --process-index 0 to {}, \
             or raise the limit of open files (ulimit -n)",
            needed - 1
        )
    };
    Err(format!(
        "{each} sockets do not fit into one process: of {open_files} open files, {fit} are left \
         for sockets; {advice}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_accepted_and_what_does_not_is_split() {
        assert_eq!(check_sockets(19_000, 1, 20_000), Ok(()));
        let refusal = check_sockets(100_000, 1, 20_000).unwrap_err();
        assert!(refusal.contains("--processes 6"), "{refusal}");
        assert_eq!(check_sockets(100_000, 6, 20_000), Ok(()));
        assert!(check_sockets(1, 1, 100).unwrap_err().contains("ulimit"));
    }

    #[test]
    fn the_limit_of_this_process_is_known() {
        assert!(open_files().unwrap() > 0);
    }
}
