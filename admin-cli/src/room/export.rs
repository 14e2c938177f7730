//! `ropeline room export`: a room and what came of it, as one document.

use contract::RoomId;
use contract::room::{AdmissionRecord, RoomView};

use crate::client::AdminClient;
use crate::console::{Console, json_line};
use crate::failure::Failure;

/// Writes `{"room": …, "admissions": […]}`, a record a line: a log may be longer than what fits
/// into memory. When the log breaks off, so does the document, which then is no JSON: a part is
/// not taken for the whole.
pub(super) async fn run(
    room: &RoomId,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let view: RoomView = client.get(&format!("rooms/{room}")).await?;
    let mut lines = client.lines(&format!("rooms/{room}/admissions")).await?;
    console.text(&format!(
        "{{\"room\": {},\n\"admissions\": [",
        json_line(&view)?
    ))?;
    let mut next: Option<AdmissionRecord> = lines.next().await?;
    while let Some(record) = next {
        next = lines.next().await?;
        let end = if next.is_some() { "," } else { "" };
        console.text(&format!("{}{end}", json_line(&record)?))?;
    }
    console.text("]}")
}
