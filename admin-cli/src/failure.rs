//! How a command ends: exit codes, and failures that say what to do next.

use std::fmt;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// How the process ends. The numbers are part of the interface and listed in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Fine = 0,
    /// Failed, or a check found something.
    Failed = 1,
    /// The command line does not make sense.
    Usage = 2,
    /// The gateway does not answer.
    Unreachable = 3,
    /// The token is missing, wrong, or its role may not do this.
    NotAuthorised = 4,
    /// There is no such thing.
    NotFound = 5,
    /// Someone else changed it, or its state does not allow this.
    Conflict = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what was asked, told so that the reader knows what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends. `Fine` means that the reader of the output went away.
    pub exit: Exit,
    /// A short sentence.
    pub title: String,
    /// What happened this time.
    pub detail: Option<Box<str>>,
    /// The stable code of a problem document.
    pub code: Option<Box<str>>,
    /// The gateway's id of the request, to be found in its log.
    pub request_id: Option<Box<str>>,
    /// What to do.
    pub hint: Option<Box<str>>,
}

impl Failure {
    /// A failure that ends the process with `exit`.
    pub fn new(exit: Exit, title: impl Into<String>) -> Self {
        Self {
            exit,
            title: title.into(),
            detail: None,
            code: None,
            request_id: None,
            hint: None,
        }
    }

    /// What clap says about a command line: its first paragraph is the fault, the rest is advice.
    pub(crate) fn from_command_line(text: &str) -> Self {
        let mut parts = text.trim().splitn(2, "\n\n");
        let first = parts.next().unwrap_or_default();
        let mut lines = first.lines().map(str::trim);
        let title = lines.next().unwrap_or_default();
        let title = title.strip_prefix("error: ").unwrap_or(title);
        let named: Vec<&str> = lines.collect();
        let mut failure = Self::usage(title);
        if !named.is_empty() {
            failure = failure.detail(named.join(" "));
        }
        match parts.next() {
            Some(advice) => {
                let lines = advice.lines().map(str::trim);
                let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
                failure.hint(lines.join("; "))
            }
            None => failure,
        }
    }

    /// Something went wrong.
    pub fn failed(title: impl Into<String>) -> Self {
        Self::new(Exit::Failed, title)
    }

    /// The command line does not make sense.
    pub fn usage(title: impl Into<String>) -> Self {
        Self::new(Exit::Usage, title)
    }

    /// The reader of the output has gone, such as `head`; there is nobody left to tell.
    pub fn reader_gone() -> Self {
        Self::new(Exit::Fine, "the reader of the output has gone")
    }

    /// Adds what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into_boxed_str());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    /// Says what to do about a problem of this code, which the code alone does not tell.
    #[must_use]
    pub(crate) fn hint_about(self, code: &str, hint: &str) -> Self {
        match &self.code {
            Some(own) if **own == *code => self.hint(hint),
            _ => self,
        }
    }

    /// The failure that an answer of the gateway stands for. `body` is a problem document, or
    /// whatever an intermediary made of it.
    pub fn from_answer(status: u16, body: &[u8]) -> Self {
        let document: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let text = |member: &str| {
            let value = document.get(member).and_then(Value::as_str);
            value.map(Box::from)
        };
        let code = text("code");
        let exit = match status {
            401 | 403 => Exit::NotAuthorised,
            404 => Exit::NotFound,
            409 | 412 => Exit::Conflict,
            _ => Exit::Failed,
        };
        let Some(title) = document.get("title").and_then(Value::as_str) else {
            return Self::new(
                exit,
                format!("The gateway answered with HTTP status {status}"),
            )
            .hint("check that the URL is that of the operators' listener (ROPELINE_OPS_LISTEN)");
        };
        Self {
            exit,
            title: title.to_owned(),
            detail: text("detail"),
            hint: code.as_deref().and_then(hint_for).map(Box::from),
            code,
            request_id: text("requestId"),
        }
    }

    /// The failure as one JSON document.
    pub fn to_json(&self) -> Value {
        json!({
            "error": {
                "title": self.title,
                "detail": self.detail,
                "code": self.code,
                "requestId": self.request_id,
                "hint": self.hint,
                "exitCode": self.exit as u8,
            }
        })
    }
}

/// What to do about a problem of the gateway.
fn hint_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "unauthorized" => {
            "set ROPELINE_ADMIN_TOKEN, or name the gateway's data directory with --data-dir"
        }
        "forbidden" => "the token's role may not do this; use one with a higher role",
        "room-not-found" => "`ropeline room list` shows the rooms there are",
        "not-found" => "check the name; `list` shows what there is",
        "precondition-failed" => "look at it again and repeat the command",
        "conflict" => "`ropeline room show` tells its present state",
        "validation-failed" => "`--help` explains what each setting accepts",
        "line-unavailable" => "the gateway cannot reach Redis; try again when it is back",
        "database-unavailable" => "the gateway cannot reach PostgreSQL; try again when it is back",
        "rate-limited" | "booking-busy" => "wait a moment and try again",
        "internal" => "look for the request id in the gateway's log",
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        for (name, value) in [
            ("detail", &self.detail),
            ("code", &self.code),
            ("request", &self.request_id),
            ("hint", &self.hint),
        ] {
            if let Some(value) = value {
                write!(f, "\n  {name:<8} {value}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Problem, ProblemCode};

    fn answered(code: ProblemCode) -> Failure {
        let problem = Problem::new(code).detail("Because.");
        let body = serde_json::to_vec(&problem).unwrap();
        Failure::from_answer(problem.status, &body)
    }

    #[test]
    fn problems_end_with_their_exit_code() {
        for (code, exit) in [
            (ProblemCode::Unauthorized, Exit::NotAuthorised),
            (ProblemCode::Forbidden, Exit::NotAuthorised),
            (ProblemCode::RoomNotFound, Exit::NotFound),
            (ProblemCode::PreconditionFailed, Exit::Conflict),
            (ProblemCode::Conflict, Exit::Conflict),
            (ProblemCode::ValidationFailed, Exit::Failed),
            (ProblemCode::LineUnavailable, Exit::Failed),
        ] {
            let failure = answered(code);
            assert_eq!(failure.exit, exit, "{code:?}");
            assert_eq!(failure.code.as_deref(), Some(code.as_str()));
            assert!(failure.hint.is_some(), "{code:?} has no hint");
        }
    }

    #[test]
    fn what_is_wrong_with_a_command_line_has_the_parts_of_a_failure() {
        let text = "error: the following required arguments were not provided:\n  <ROOM>\n\n\
            Usage: ropeline room show <ROOM>\n\nFor more information, try '--help'.\n";
        let failure = Failure::from_command_line(text);
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.title,
            "the following required arguments were not provided:"
        );
        assert_eq!(failure.detail.as_deref(), Some("<ROOM>"));
        assert_eq!(
            failure.hint.as_deref(),
            Some("Usage: ropeline room show <ROOM>; For more information, try '--help'.")
        );
    }

    #[test]
    fn an_answer_of_a_stranger_names_its_status() {
        let failure = Failure::from_answer(502, b"<h1>Bad Gateway</h1>");
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.title.contains("502") && failure.hint.is_some());
    }

    #[test]
    fn the_text_has_every_part_on_its_own_line() {
        let mut failure = answered(ProblemCode::RoomNotFound);
        failure.request_id = Some("req-1".into());
        assert_eq!(
            failure.to_string(),
            "There is no such room\n  detail   Because.\n  code     room-not-found\n  \
             request  req-1\n  hint     `ropeline room list` shows the rooms there are"
        );
    }
}
