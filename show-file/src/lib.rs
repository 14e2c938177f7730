//! Show files: what `ropeline show import` sends and the server takes.
//!
//! The command line and the server check a file with the same code, so that a file that a dry run
//! calls sound is taken. Pure: no input or output; the time is a parameter.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`check`](fn@check) | everything that is wrong with a file, by field |
//! | [`currency`] | how the payment provider counts amounts |
//! | [`layout`] | where seats are, and their ids |
//! | [`schema`](fn@schema) | the JSON Schema that editors read |

mod check;
pub mod currency;
mod fault;
pub mod layout;
mod schema;

pub use check::{CheckedShow, LISTED_AFTER_END, check, seat_count};
pub use fault::Fault;
pub use layout::PlannedSeat;
pub use schema::{SCHEMA_ID, limit_components, schema};

use contract::booking::ShowFile;

/// Largest show file, bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads a show file, naming the field that does not fit.
pub fn parse(bytes: &[u8]) -> Result<ShowFile, Fault> {
    if bytes.len() > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(Fault::new(".", what));
    }
    let text = contract::text::json_text(bytes).map_err(|what| Fault::new(".", what))?;
    if let Some(path) = contract::text::nul_at(text) {
        return Err(Fault::new(path, "must not contain the character U+0000"));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let file = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Fault::new(error.path().to_string(), error.inner().to_string()))?;
    json.end()
        .map_err(|error| Fault::new(".", error.to_string()))?;
    Ok(file)
}
