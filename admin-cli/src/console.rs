//! Where words go: documents and tables to stdout, notes and questions to stderr.

use std::io::{self, BufRead, IsTerminal, Write};

use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::config;
use crate::failure::Failure;
use crate::fitted;

/// The process's output, with what is known about who reads it.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the process"
)]
pub struct Console {
    json: bool,
    terminal: bool,
    interactive: bool,
    colour: bool,
}

impl Console {
    /// The console of this process; `json` when programs read it.
    pub fn of_process(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            terminal,
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            colour: terminal && !config::no_colour(),
        }
    }

    /// Whether programs read the output.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether stdout is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether a person can be asked.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether colours are wanted.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes the one document of a command.
    pub fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.text(&json_text(serde_json::to_string_pretty(document))?)
    }

    /// Writes one of many documents, a line each.
    pub fn document_line(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.text(&json_line(document)?)
    }

    /// Writes a line, or several, for people.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::failed(format!("Cannot write the output: {error}")),
        })
    }

    /// Writes a table.
    pub fn table(&self, mut table: Table) -> Result<(), Failure> {
        table.force_no_tty();
        if self.colour {
            table.enforce_styling();
        }
        let size = self
            .terminal
            .then(|| ratatui::crossterm::terminal::size().ok());
        let width = size.flatten().map(|(width, _)| width);
        self.text(&fitted::text(table, width))
    }

    /// Tells something that is not the result.
    pub fn note(&self, text: &str) {
        // Without a stderr there is nobody to tell that it is missing.
        writeln!(io::stderr(), "{text}").ok();
    }

    /// Tells what may not be meant, although it is done.
    pub fn warning(&self, text: &str) {
        if self.json {
            self.note(&json!({"warning": text}).to_string());
        } else {
            self.note(&format!("Warning: {text}"));
        }
    }

    /// Tells why the command failed.
    pub fn failure(&self, failure: &Failure) {
        if self.json {
            self.note(&failure.to_json().to_string());
        } else if self.interactive && self.colour {
            self.note(&format!("\u{1b}[1;31merror:\u{1b}[0m {failure}"));
        } else {
            self.note(&format!("error: {failure}"));
        }
    }

    /// Goes on only if `yes` was given or a person at the terminal agrees.
    pub fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.interactive {
            return Err(Failure::usage("This needs a confirmation")
                .detail(question.to_owned())
                .hint("add --yes to confirm it without a terminal"));
        }
        let agreed = ask(question, &mut io::stdin().lock(), &mut io::stderr())
            .map_err(|error| Failure::failed(format!("Cannot ask: {error}")))?;
        if agreed {
            Ok(())
        } else {
            Err(Failure::failed("Nothing was done"))
        }
    }
}

/// The document as text.
pub(crate) fn json_line(document: &impl Serialize) -> Result<String, Failure> {
    json_text(serde_json::to_string(document))
}

fn json_text(text: serde_json::Result<String>) -> Result<String, Failure> {
    text.map_err(|error| Failure::failed(format!("Cannot write the document: {error}")))
}

/// Asks until the answer is yes or no. The end of the input means no.
fn ask(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    loop {
        write!(output, "{question} [y/N] ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "" | "n" | "no" => return Ok(false),
            _ => writeln!(output, "Please answer y or n.")?,
        }
    }
}

/// A table with these column titles.
pub fn table_of(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(titles.iter().map(Cell::new));
    table
}

/// A cell that stands out.
pub fn coloured(text: impl ToString, colour: Color) -> Cell {
    Cell::new(text).fg(colour)
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 seat`, `2,000 seats`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, agreed: bool) {
        let mut output = Vec::new();
        let answer = ask("Close room eras?", &mut typed.as_bytes(), &mut output).unwrap();
        assert_eq!(answer, agreed, "{typed:?}");
        assert!(output.starts_with(b"Close room eras? [y/N] "));
    }

    #[test]
    fn only_a_yes_agrees() {
        check("y\n", true);
        check("YES\n", true);
        check("n\n", false);
        check("\n", false);
        check("", false);
        check("maybe\nyes\n", true);
        check("maybe\n", false);
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "seat", "seats"), "1 seat");
    }

    #[test]
    fn tables_align_their_columns() {
        let mut table = table_of(&["room", "phase"]);
        table
            .add_row(["eras", "queueing"])
            .add_row(["a-longer-name", "idle"]);
        table.force_no_tty();
        let text = table.trim_fmt();
        let columns: Vec<Option<usize>> = text
            .lines()
            .filter_map(|line| {
                ["phase", "queueing", "idle"]
                    .iter()
                    .find(|w| line.contains(**w))
                    .map(|w| line.find(*w))
            })
            .collect();
        assert_eq!(columns.len(), 3, "{text}");
        assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}
