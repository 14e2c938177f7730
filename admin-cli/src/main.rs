//! `ropeline`: the operators' command line. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    admin_cli::main()
}
