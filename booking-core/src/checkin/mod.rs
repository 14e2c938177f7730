//! Check-in: tickets are scanned at the gates of a show, with a network or without.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `caller` | who scans: operators, or a scanner with a token of its own |
//! | `scanning` | settling scans, one transaction each |
//! | `overview` | manifest, counts, conflicts |
//!
//! What a scan comes to is decided in `scan`.

mod caller;
mod overview;
mod scanning;

pub(crate) use caller::{Caller, ScannerWish, token_hash};
