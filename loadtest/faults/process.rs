//! How the programs of a fault run are started.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

/// How long a program may take to become ready on a busy machine, with its servers away meanwhile.
/// A gateway waits for its database up to a minute in each of several steps.
pub(crate) const READY_MAX: Duration = Duration::from_mins(4);

/// A command for `program` that the kernel kills when this process dies.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        // Ctrl-C in a terminal reaches the run alone, which ends its children in order.
        .process_group(0);
    command
}
