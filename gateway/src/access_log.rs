//! The access log: a line for each request to the public listener, when its answer has ended.
//!
//! It is off unless a place for it is set. Nothing secret is in it: no query, no cookie, no token
//! (see [`entry`]). A line is handed to a thread that writes it ([`lines`]); no request waits for
//! that.

mod entry;
mod line;
mod lines;
mod notes;
mod open;
mod output;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::response::Response;
use contract::Clock;
use http::request::Parts;
use web::RequestId;

use entry::Entry;
use lines::{Lines, WAITING_MAX};
use open::Open;
use output::Output;

pub use line::Form;
pub use notes::Notes;

/// Where the access log is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To stdout.
    Stdout,
    /// To the end of a file.
    File(PathBuf),
}

/// The access log, which may be off. Clones share it.
#[derive(Clone, Default)]
pub struct AccessLog(Option<Arc<Open>>);

/// A request that is being answered. If its answer never comes to be, it is logged as one whose
/// client left.
pub struct Logging(Option<Box<Entry>>);

impl AccessLog {
    /// An access log at `place`, or one that is off.
    pub fn open(place: Option<&Place>, form: Form, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let output = match place {
            None => return Ok(Self::default()),
            Some(Place::Stdout) => Output::stream(io::stdout()),
            Some(Place::File(path)) => Output::file(path)?,
        };
        let lines = Lines::start(output, WAITING_MAX)?;
        Ok(Self(Some(Arc::new(Open { lines, form, clock }))))
    }

    /// Begins the entry of a request, whose extensions get its notes.
    pub fn begin(&self, client: (IpAddr, bool), head: &mut Parts, id: &RequestId) -> Logging {
        let Some(open) = &self.0 else {
            return Logging(None);
        };
        let notes = Notes::kept();
        head.extensions.insert(notes.clone());
        let entry = Entry::new(open.clone(), client, head, id.clone(), notes);
        Logging(Some(Box::new(entry)))
    }

    /// Writes what waits, for as long as the end of the process may take.
    pub async fn end(&self) {
        if let Some(open) = &self.0 {
            open.lines.end().await;
        }
    }
}

impl Logging {
    /// The answer, whose end ends the entry too.
    pub fn answered(self, response: Response) -> Response {
        match self.0 {
            Some(entry) => entry.answered(response),
            None => response,
        }
    }
}
