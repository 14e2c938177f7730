//! Running the built binary.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::stand_in::{StandIn, TOKEN};

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Stdout as exactly one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Stdout as one JSON document a line.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Checks the exit code, and shows what was said when it is another.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }
}

/// The command with no environment but what a test gives it.
pub(crate) fn ropeline(cwd: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeline"));
    command.env_clear().current_dir(cwd).stdin(Stdio::null());
    command
}

/// Runs `line` in `cwd`.
pub(crate) fn run_in(cwd: &Path, line: &str) -> Run {
    Run::of(
        ropeline(cwd)
            .args(line.split_whitespace())
            .output()
            .unwrap(),
    )
}

/// Runs `line` against `stand_in`.
pub(crate) fn run(stand_in: &StandIn, line: &str) -> Run {
    run_as(stand_in, TOKEN, line)
}

/// Runs `line` against `stand_in` with another token.
pub(crate) fn run_as(stand_in: &StandIn, token: &str, line: &str) -> Run {
    Run::of(
        at(stand_in, token)
            .args(line.split_whitespace())
            .output()
            .unwrap(),
    )
}

/// Runs `line` with `input` on stdin.
pub(crate) fn run_with(stand_in: &StandIn, line: &str, input: &[u8]) -> Run {
    let mut command = at(stand_in, TOKEN);
    command.args(line.split_whitespace());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Run::of(child.wait_with_output().unwrap())
}

fn at(stand_in: &StandIn, token: &str) -> Command {
    let mut command = ropeline(&std::env::temp_dir());
    command.env("ROPELINE_ADMIN_URL", stand_in.url());
    command.env("ROPELINE_PUBLIC_URL", stand_in.url());
    command.env("ROPELINE_ADMIN_TOKEN", token);
    command
}
